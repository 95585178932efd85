//! Calls that run on other nodes: what this node learns of them.

use std::sync::Arc;

use serverledge_core::{Function, InvocationId};
use serverledge_scheduler::{PeerId, Ran, Sample};
use serverledge_wire::events::OffloadEvent;

use crate::clock::unix_ms;
use crate::cluster::peers::Contact;
use crate::cluster::{Offloaded, Versions, lacks_version};
use crate::events::EventBody;
use crate::invoke::Invoker;
use crate::invoke::request::ResolvedCall;

impl Invoker {
    /// Runs an invocation on a peer. If the future is dropped, the peer goes on, and stops the run after a while.
    pub(crate) fn offload(
        &self,
        to: PeerId,
        request: &ResolvedCall,
    ) -> impl Future<Output = Offloaded> + Send {
        let function = request.entry.key;
        let generation = self.functions.generation(&request.entry.function.space);
        let version = *request.entry.digest();
        let versions = self.versions_for(request);
        let hops = request.call.context.hops() + 1;
        let called = Arc::clone(&request.entry.function);
        let id = request.call.id;
        let sent = self
            .cluster
            .hand_over(to, request, (hops, versions), Some(generation));
        async move {
            let (contact, offloaded) = sent.await;
            if let Offloaded::Elsewhere(why) = &offloaded
                && lacks_version(why)
            {
                self.cluster.lacking.note(to, &version);
            }
            if let Some(contact) = contact {
                self.metrics.offloaded(&contact.area, offloaded.outcome());
                self.tell_offloaded(&called, id, &contact, offloaded.outcome());
            }
            if let Offloaded::Done { report, overhead } = &offloaded {
                self.admissions.learn(Sample {
                    function,
                    place: Ran::On(to),
                    cold: !report.warm,
                    start: report.phases.start,
                    execution: report.phases.execution,
                    overhead: *overhead,
                });
            }
            offloaded
        }
    }

    fn tell_offloaded(&self, function: &Function, id: InvocationId, to: &Contact, outcome: &str) {
        self.events.publish(&function.space, &function.name, || {
            EventBody::Offload(OffloadEvent {
                unix_ms: unix_ms(),
                id: id.to_string(),
                function: function.name.to_string(),
                app: None,
                to: format!("{}/{}", to.area, to.node),
                outcome: outcome.to_owned(),
            })
        });
    }

    /// The versions that a peer may run a call in: while this node goes on with an earlier version, the deployed one
    /// will do as well.
    fn versions_for(&self, request: &ResolvedCall) -> Versions {
        let function = &request.entry.function;
        let newest = || self.functions.get(&function.space, function.name.as_str());
        let other = if request.pinned { None } else { newest() };
        let other = other.filter(|newest| newest.digest() != request.entry.digest());
        other.map_or(Versions::Own, |newest| {
            Versions::Or(newest.digest().to_string())
        })
    }
}
