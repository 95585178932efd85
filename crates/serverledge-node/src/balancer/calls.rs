//! Calls with JSON parameters: handed over as offloaded ones are, with the same rules for trying again.

use std::time::Duration;

use serverledge_api::Call;
use serverledge_core::{InvocationError, OverloadReason, Report};

use super::LoadBalancer;
use crate::cluster::{NotTaken, Offloaded};
use crate::invoke::{Request, now};

/// When to come back, where no node says so.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why no node gave an outcome.
type InVain = Vec<NotTaken>;

impl LoadBalancer {
    /// Has a node run a function.
    pub(super) async fn hand_over(&self, call: Call) -> Result<Report, InvocationError> {
        let (space, name) = (call.caller.space.clone(), call.function.clone());
        let entry = self.function(&space, &name).await?;
        let mut request = Request::of(call, entry);
        let in_vain = match self.try_all(&mut request).await {
            Ok(outcome) => return outcome,
            Err(in_vain) => in_vain,
        };
        if !in_vain.iter().any(is_of_another_time) {
            return Err(refusal(&in_vain));
        }
        // The nodes and this balancer do not know the same version: one of them has not heard of a deploy yet.
        self.look_up(&space, &name).await?;
        request.entry = self.function(&space, &name).await?;
        self.try_all(&mut request)
            .await
            .unwrap_or_else(|in_vain| Err(refusal(&in_vain)))
    }

    /// Tries one node after the other, until one gives an outcome.
    async fn try_all(
        &self,
        request: &mut Request,
    ) -> Result<Result<Report, InvocationError>, InVain> {
        // To the nodes this is no hop: one of them may offload the call still, unless its caller forbids it.
        let hops = request.context.hops();
        let (mut tried, mut in_vain) = (Vec::new(), Vec::new());
        while let Some(going) =
            self.router
                .take(&self.cluster.peers, &request.entry.function, &tried)
        {
            if !tried.is_empty() {
                self.metrics.retried();
            }
            tried.push(going.id);
            let (contact, offloaded) = self.cluster.hand_over(going.id, request, hops, None).await;
            if let Some(contact) = contact {
                self.metrics.handed_over(contact.target.name(), &offloaded);
            }
            match offloaded {
                Offloaded::Done { report, .. } => return Ok(Ok(report)),
                Offloaded::Failed(error) => return Ok(Err(error)),
                Offloaded::Elsewhere(why) => in_vain.push(why),
            }
            if request.deadline.is_some_and(|deadline| deadline <= now()) {
                let (reason, retry_after) = (OverloadReason::Deadline, RETRY_AFTER);
                return Ok(Err(InvocationError::Overloaded {
                    reason,
                    retry_after,
                }));
            }
        }
        Err(in_vain)
    }
}

fn is_of_another_time(why: &NotTaken) -> bool {
    matches!(why, NotTaken::Refused { code, .. } if matches!(code.as_str(), "function_version_differs" | "function_unknown"))
}

/// What the caller is told when no node took the call: to come back as soon as the first of those that were full has room;
/// else what the nodes said.
fn refusal(in_vain: &[NotTaken]) -> InvocationError {
    let refusals = || {
        in_vain.iter().filter_map(|why| match why {
            NotTaken::Refused {
                status,
                code,
                retry_after,
            } => Some((*status, code.as_str(), *retry_after)),
            NotTaken::Unreachable => None,
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

    fn refused(status: u16, code: &str, seconds: Option<u64>) -> NotTaken {
        NotTaken::Refused {
            status,
            code: code.to_owned(),
            retry_after: seconds.map(Duration::from_secs),
        }
    }

    #[test]
    fn the_caller_learns_what_the_nodes_said() {
        for (in_vain, expected) in [
            (vec![], "no_node"),
            (vec![NotTaken::Unreachable], "no_node"),
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
                vec![refused(503, "exceeds_node", None), NotTaken::Unreachable],
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
            let said = match refusal(&in_vain) {
                InvocationError::Overloaded {
                    reason,
                    retry_after,
                } => {
                    format!("{} {}", reason.code(), retry_after.as_secs())
                }
                InvocationError::Dependency { code, .. } => code.to_owned(),
                other => panic!("{other}"),
            };
            assert_eq!(said, expected, "{in_vain:?}");
        }
    }
}
