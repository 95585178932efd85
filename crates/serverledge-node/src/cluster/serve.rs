//! What peers ask of this node: to run an invocation of theirs, and how it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serverledge_api::{PeerInvokeError, PeerRequest};
use serverledge_core::{
    CallContext, Carried, FunctionFailure, InvocationError, InvocationId, Payload, Report, SpaceId,
    Travel,
};
use serverledge_scheduler::QosClass;
use serverledge_wire::peer::{PeerCall, PeerLoad, PeerState, WARM_MAX, chain_of};
use serverledge_wire::thesis::ThesisRequest;

use super::joins::{Found, Outcome, Run};
use super::offload::HOPS_MAX;
use crate::invoke::{Request, now};
use crate::node::Node;

impl Node {
    pub(crate) fn peer_load(&self) -> PeerLoad {
        let load = self.admissions.load();
        PeerLoad {
            epoch: self.membership.owner().epoch.clone(),
            free_memory_mib: load.free_memory.get(),
            free_cpu_milli: load.free_cpu.get(),
            wait_us: u64::try_from(load.wait.as_micros()).unwrap_or(u64::MAX),
            draining: self.admissions.is_draining(),
        }
    }

    pub(crate) fn peer_state(&self) -> PeerState {
        let peers = &self.cluster.peers;
        let warm = self.warm_containers().into_iter().take(WARM_MAX);
        PeerState {
            load: self.peer_load(),
            coordinates: peers.coordinates(),
            sightings: peers.sightings(),
            warm: warm
                .map(|(name, count)| (name, u32::try_from(count).unwrap_or(u32::MAX)))
                .collect(),
        }
    }

    /// Runs a peer's invocation in a task of its own, or joins the run that there is.
    pub(crate) async fn peer_invoke(
        self: &Arc<Self>,
        request: PeerRequest,
    ) -> Result<Report, PeerInvokeError> {
        let call = &request.call;
        let malformed = || malformed_call("the head of the call holds what is no id");
        let offer = InvocationId::parse(&call.offer).ok_or_else(malformed)?;
        let id = InvocationId::parse(&call.id).ok_or_else(malformed)?;
        let root = InvocationId::parse(&call.root).ok_or_else(malformed)?;
        let joins = &self.cluster.joins;
        if let Some(run) = joins.known(offer) {
            return run.wait().await.into_result();
        }
        let (again, generation) = (call.again_ms.is_some(), call.generation);
        self.check_new(call)?;
        let request = match self.peer_request(request, id, root) {
            Ok(request) => request,
            Err(refused) => {
                if again {
                    self.never_run(offer, &refused);
                }
                return Err(refused);
            }
        };
        let run = match joins.find(offer) {
            // Another request of the same offer was faster.
            Found::Run(run) => run,
            Found::New(run) => {
                self.start_for_peer(offer, again, Arc::clone(&run), (request, generation));
                run
            }
        };
        run.wait().await.into_result()
    }

    /// The first request of an offer that was refused may come yet: it must not run then.
    fn never_run(&self, offer: InvocationId, refused: &PeerInvokeError) {
        if let Found::New(run) = self.cluster.joins.find(offer) {
            let code = "offer_refused";
            let outcome = Outcome::Dependency {
                what: "the offered call",
                code,
                message: refused.to_string(),
            };
            self.cluster.joins.ended(offer, &run, outcome, true);
        }
    }

    /// Whether an offer that is not known here may begin.
    fn check_new(&self, call: &PeerCall) -> Result<(), PeerInvokeError> {
        let same_life = call.epoch == self.membership.owner().epoch;
        match call.again_ms {
            // It never came here, unless this is another life, or runs of that time were forgotten.
            Some(again_ms)
                if !same_life
                    || !self
                        .cluster
                        .joins
                        .remembers(Duration::from_millis(again_ms)) =>
            {
                return Err(PeerInvokeError::Forgotten);
            }
            // What was caught on the way to an earlier life cannot be replayed to this one.
            None if !same_life => return Err(PeerInvokeError::OtherLife),
            _ => {}
        }
        // A node that stops takes no new work.
        Ok(self.check_open()?)
    }

    fn peer_request(
        &self,
        request: PeerRequest,
        id: InvocationId,
        root: InvocationId,
    ) -> Result<Request, PeerInvokeError> {
        let PeerRequest {
            function,
            call,
            params,
            arrived,
        } = request;
        let (params, carried) = parts(params, call.params_bytes)?;
        let chain = chain_of(&call.chain)
            .ok_or_else(|| malformed_call("the chain of the call holds what is no key"))?;
        if call.hops > HOPS_MAX || call.path.contains(&self.cluster.me) {
            return Err(PeerInvokeError::Loop);
        }
        let space = SpaceId::parse(&call.space)
            .ok_or_else(|| InvocationError::Unknown(function.to_string()))?;
        let entry = self.lookup(&space, function.as_str())?;
        if entry.function.version.digest.to_string() != call.version {
            return Err(PeerInvokeError::Version);
        }
        let deadline = call
            .deadline_ms
            .and_then(|ms| now().checked_add(Duration::from_millis(ms)));
        let travel = Travel {
            hops: call.hops,
            path: call.path,
            request_id: call.request_id,
            trace: call.trace,
        };
        let context = CallContext {
            depth: call.depth,
            may_offload: call.hops < HOPS_MAX && !call.stays,
            travel: Some(Arc::new(travel)),
            carried,
            hands_out: call.hands_out,
            chain,
            // A nested call's answer is of use until then only.
            ..CallContext::root(root, deadline.filter(|_| call.depth > 0))
        };
        let class = QosClass::new(call.class);
        Ok(Request {
            entry,
            id,
            payload: Payload::Json(params),
            class,
            deadline,
            context,
            arrived,
            caller: None,
            key: None,
        })
    }

    /// With the generation of the function's space on the node that asks.
    fn start_for_peer(
        self: &Arc<Self>,
        offer: InvocationId,
        again: bool,
        run: Arc<Run>,
        (request, generation): (Request, Option<u64>),
    ) {
        let node = Arc::clone(self);
        let ours = self.functions.generation(&request.entry.function.space);
        let differs = generation.is_some_and(|theirs| theirs != ours);
        self.background.spawn(async move {
            // Whatever becomes of this task, those who wait hear of it.
            let mut end = End {
                node: &node,
                offer,
                run: &run,
                outcome: Outcome::Forgotten,
                again,
            };
            end.outcome = tokio::select! {
                result = node.run(request) => Outcome::of(in_one_generation(result, differs)),
                () = run.abandoned() => Outcome::Forgotten,
            };
        });
    }
}

/// What may have been put together in two generations is kept by no cache. Whether a function that failed made a call is not
/// known any more.
fn in_one_generation(
    result: Result<Report, InvocationError>,
    differs: bool,
) -> Result<Report, InvocationError> {
    match result {
        Ok(mut report) => {
            report.memo.stale |= differs && report.memo.called;
            Ok(report)
        }
        Err(InvocationError::Function(failure)) => {
            Err(InvocationError::Function(FunctionFailure {
                stale: failure.stale || differs,
                ..failure
            }))
        }
        other => other,
    }
}

/// Parameters, and what the client carries behind them.
fn parts(
    body: Bytes,
    params_bytes: Option<usize>,
) -> Result<(Bytes, Option<Arc<Carried>>), InvocationError> {
    let Some(at) = params_bytes else {
        return Ok((body, None));
    };
    if at > body.len() {
        return Err(malformed_call("the body is shorter than its parameters"));
    }
    let carried = ThesisRequest::parse(&body.slice(at..))
        .map_err(|fault| malformed_call(&fault.to_string()))?
        .carried;
    // A call that has carried anything stays one that does, here as well.
    Ok((
        body.slice(..at),
        Some(Arc::new(carried.unwrap_or_default())),
    ))
}

fn malformed_call(what: &str) -> InvocationError {
    InvocationError::Request {
        code: "peer_call_malformed",
        message: what.to_owned(),
    }
}

/// Reports the end of a run when it is dropped.
struct End<'a> {
    node: &'a Node,
    offer: InvocationId,
    run: &'a Run,
    outcome: Outcome,
    again: bool,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Forgotten);
        self.node
            .cluster
            .joins
            .ended(self.offer, self.run, outcome, self.again);
    }
}
