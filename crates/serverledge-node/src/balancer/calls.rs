//! Calls with JSON parameters: forwarded like offloaded ones, with the same rules for retries.

use std::time::Duration;

use serverledge_api::ClientCall;
use serverledge_core::{InvocationError, OverloadReason, Report};

use super::LoadBalancer;
use crate::clock::now;
use crate::cluster::{OffloadRefusal, Offloaded, Versions, lacks_version};
use crate::invoke::request::ResolvedCall;

/// Default `Retry-After`, for nodes that give none.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl LoadBalancer {
    /// Runs a function on one of the nodes.
    pub(super) async fn hand_over(&self, call: ClientCall) -> Result<Report, InvocationError> {
        let space = call.caller.space;
        let name = call.call.function.clone();
        let mut request = ResolvedCall::new(self.function(&space, &name).await?, call.call);
        let refusals = match self.try_all(&mut request, &Versions::Own).await {
            Ok(outcome) => return outcome,
            Err(refusals) => refusals,
        };
        if !refusals.iter().any(lacks_version) {
            return Err(refusal(&refusals));
        }
        // The nodes and this balancer do not have the same version: one of them has not heard of a deploy yet, or no node that
        // has prepared it takes the call. Then what they have will do.
        self.look_up(&space, &name).await?;
        request.entry = self.function(&space, &name).await?;
        self.try_all(&mut request, &Versions::Any)
            .await
            .unwrap_or_else(|refusals| Err(refusal(&refusals)))
    }

    /// Tries one node after the other, until one gives an outcome.
    async fn try_all(
        &self,
        request: &mut ResolvedCall,
        versions: &Versions,
    ) -> Result<Result<Report, InvocationError>, Vec<OffloadRefusal>> {
        // To the nodes this is no hop: one of them may offload the call still, unless its caller forbids it.
        let hops = request.call.context.hops();
        let mut tried = Vec::new();
        let mut refusals = Vec::new();
        while let Some(in_flight) =
            self.router
                .take(&self.cluster.peers, &request.entry.function, &tried)
        {
            if !tried.is_empty() {
                self.metrics.retried();
            }
            tried.push(in_flight.id);
            let (contact, offloaded) = self
                .cluster
                .hand_over(in_flight.id, request, (hops, versions.clone()), None)
                .await;
            if let Some(contact) = contact {
                self.metrics
                    .passed(contact.target.name(), offloaded.outcome());
            }
            match offloaded {
                Offloaded::Done { report, .. } => return Ok(Ok(report)),
                Offloaded::Failed(error) => return Ok(Err(error)),
                Offloaded::Elsewhere(why) => refusals.push(why),
            }
            if request
                .call
                .deadline
                .is_some_and(|deadline| deadline <= now())
            {
                let reason = OverloadReason::Deadline;
                let retry_after = RETRY_AFTER;
                return Ok(Err(InvocationError::Overloaded {
                    reason,
                    retry_after,
                }));
            }
        }
        Err(refusals)
    }
}

/// The error of a call that no node took. If nodes were full, the caller is to retry as soon as the first of them has
/// room; else the error repeats the nodes' answers.
fn refusal(refusals: &[OffloadRefusal]) -> InvocationError {
    let refusals = || {
        refusals.iter().filter_map(|why| match why {
            OffloadRefusal::Refused {
                status,
                code,
                retry_after,
            } => Some((*status, code.as_str(), *retry_after)),
            OffloadRefusal::Unreachable => None,
        })
    };
    let full = refusals()
        .filter(|(status, ..)| *status == 429)
        .map(|(.., after)| after.unwrap_or(RETRY_AFTER))
        .min();
    if let Some(retry_after) = full {
        return InvocationError::Overloaded {
            reason: OverloadReason::QueueFull,
            retry_after,
        };
    }
    let is = |reason: OverloadReason| refusals().all(|(_, code, _)| code == reason.code());
    let said: Vec<String> = refusals()
        .map(|(status, code, _)| format!("{status} {code}"))
        .collect();
    match said.as_slice() {
        [] => InvocationError::Dependency {
            what: "a node that can run the function",
            code: "no_node",
            source: "none that is known lives, has the function's runtime and architecture, and takes calls".into(),
        },
        _ if is(OverloadReason::NeverFits) => {
            InvocationError::Overloaded { reason: OverloadReason::NeverFits, retry_after: RETRY_AFTER }
        }
        said => InvocationError::Dependency {
            what: "every node that can run the function",
            code: "nodes_refused",
            source: said.join(", ").into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str, seconds: Option<u64>) -> OffloadRefusal {
        OffloadRefusal::Refused {
            status,
            code: code.to_owned(),
            retry_after: seconds.map(Duration::from_secs),
        }
    }

    #[test]
    fn the_caller_learns_what_the_nodes_said() {
        for (refusals, expected) in [
            (vec![], "no_node"),
            (vec![OffloadRefusal::Unreachable], "no_node"),
            (
                vec![
                    refused(429, "queue_full", Some(9)),
                    refused(429, "queue_timeout", Some(4)),
                ],
                "queue_full 4",
            ),
            (
                vec![
                    refused(503, "draining", None),
                    refused(429, "queue_full", None),
                ],
                "queue_full 1",
            ),
            (
                vec![
                    refused(503, "exceeds_node", None),
                    OffloadRefusal::Unreachable,
                ],
                "exceeds_node 1",
            ),
            (
                vec![
                    refused(503, "exceeds_node", None),
                    refused(503, "draining", None),
                ],
                "nodes_refused",
            ),
        ] {
            let said = match refusal(&refusals) {
                InvocationError::Overloaded {
                    reason,
                    retry_after,
                } => {
                    format!("{} {}", reason.code(), retry_after.as_secs())
                }
                InvocationError::Dependency { code, .. } => code.to_owned(),
                other => panic!("{other}"),
            };
            assert_eq!(said, expected, "{refusals:?}");
        }
    }
}
