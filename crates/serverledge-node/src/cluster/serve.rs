//! Requests of peers to this node: invocations, and probes of its state.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_api::{Identity, PeerGateway, PeerInvokeError, PeerRefused, PeerRequest};
use serverledge_core::{
    Call, CallContext, CallOrigin, ClientCache, Digest, FunctionFailure, FunctionName,
    InvocationError, InvocationId, Payload, PropagatedContext, Report, SpaceId, Trigger,
};
use serverledge_wire::endpoint_body::EndpointBody;
use serverledge_wire::peer::{PeerCall, PeerLoad, PeerState, Proof, WARM_MAX, chain_of};
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::rollout::{FunctionNodes, VersionQuestion};

use super::joins::{JoinLookup, PeerOutcome, PeerRun};
use super::offload::HOPS_MAX;
use crate::admission::Admissions;
use crate::background::Background;
use crate::clock::now;
use crate::cluster::Cluster;
use crate::cluster::membership::Membership;
use crate::functions::follow::Catalogue;
use crate::functions::preparing::jobs::Jobs;
use crate::functions::spaces::Spaces;
use crate::functions::warm::warm_containers;
use crate::functions::{FunctionEntry, Functions};
use crate::invoke::Invoker;
use crate::invoke::request::{ResolvedCall, not_prepared};
use crate::program::foundation::Foundation;

/// The service for requests of peers.
pub(crate) struct PeerServer {
    pub(super) identity: Identity,
    pub(super) cluster: Arc<Cluster>,
    pub(super) membership: Arc<Membership>,
    pub(super) catalogue: Arc<Catalogue>,
    invoker: Arc<Invoker>,
    functions: Arc<Functions>,
    admissions: Admissions,
    spaces: Arc<dyn Spaces>,
    jobs: Arc<Jobs>,
    background: Background,
}

#[async_trait]
impl PeerGateway for PeerServer {
    fn check_peer(
        &self,
        proof: &Proof,
        path: &str,
        call: &[u8],
        body: &[u8],
    ) -> Result<(), PeerRefused> {
        match &self.cluster.proofs {
            Some(proofs) => proofs.check(proof, path, call, body),
            None => Err(PeerRefused::NoKey),
        }
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.cluster.peers.infos()
    }

    fn peer_load(&self) -> PeerLoad {
        let load = self.admissions.load();
        PeerLoad {
            epoch: self.membership.owner().epoch.clone(),
            free_memory_mib: load.free_memory.get(),
            free_cpu_milli: load.free_cpu.get(),
            wait_us: u64::try_from(load.wait.as_micros()).unwrap_or(u64::MAX),
            draining: self.admissions.is_draining(),
        }
    }

    fn peer_state(&self) -> PeerState {
        let peers = &self.cluster.peers;
        let warm = warm_containers(&self.functions, &self.admissions, &*self.spaces)
            .into_iter()
            .take(WARM_MAX);
        PeerState {
            load: self.peer_load(),
            coordinates: peers.coordinates(),
            sightings: peers.sightings(),
            warm: warm
                .map(|(name, count)| (name, u32::try_from(count).unwrap_or(u32::MAX)))
                .collect(),
        }
    }

    async fn peer_invoke(self: Arc<Self>, request: PeerRequest) -> Result<Report, PeerInvokeError> {
        let call = &request.call;
        let malformed = || malformed_call("the head of the call holds what is no id");
        let offer = InvocationId::parse(&call.offer).ok_or_else(malformed)?;
        let id = InvocationId::parse(&call.id).ok_or_else(malformed)?;
        let root = InvocationId::parse(&call.root).ok_or_else(malformed)?;
        let joins = &self.cluster.joins;
        if let Some(run) = joins.known(offer) {
            return run.wait().await.into_result();
        }
        let again = call.again_ms.is_some();
        let generation = call.generation;
        let version = call.version.clone();
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
            JoinLookup::Run(run) => run,
            JoinLookup::New(run) => {
                let other = request.entry.digest().to_string() != version;
                self.start_for_peer(
                    (offer, again),
                    Arc::clone(&run),
                    request,
                    (generation, other),
                );
                run
            }
        };
        run.wait().await.into_result()
    }

    async fn nodes(&self, space: &SpaceId, name: &str) -> Option<FunctionNodes> {
        let (version, stand) = self.catalogue.newest(space, name)?;
        let question = VersionQuestion {
            space: space.to_string(),
            function: name.to_owned(),
            version: version.clone(),
        };
        let nodes = self.stands(stand, &question).await;
        Some(FunctionNodes {
            function: name.to_owned(),
            version,
            nodes,
        })
    }
}

impl PeerServer {
    pub(crate) fn new(base: Foundation, invoker: Arc<Invoker>, catalogue: Arc<Catalogue>) -> Self {
        Self {
            identity: base.identity,
            cluster: base.cluster,
            membership: base.membership,
            catalogue,
            invoker,
            functions: base.resources.functions,
            admissions: base.resources.admissions,
            spaces: base.reach,
            jobs: base.jobs,
            background: base.background,
        }
    }

    /// Stores the refusal of an offer: its first request may come yet, and must not run then.
    fn never_run(&self, offer: InvocationId, refused: &PeerInvokeError) {
        if let JoinLookup::New(run) = self.cluster.joins.find(offer) {
            let code = "offer_refused";
            let outcome = PeerOutcome::Dependency {
                what: "the offered call",
                code,
                message: refused.to_string(),
            };
            self.cluster.joins.ended(offer, &run, outcome, true);
        }
    }

    /// Whether an unknown offer may begin here.
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
        Ok(self.invoker.check_open()?)
    }

    fn peer_request(
        &self,
        request: PeerRequest,
        id: InvocationId,
        root: InvocationId,
    ) -> Result<ResolvedCall, PeerInvokeError> {
        let PeerRequest {
            function,
            call,
            params,
            arrived,
        } = request;
        let (params, client_cache) = parts(params, call.params_bytes)?;
        let chain = chain_of(&call.chain)
            .ok_or_else(|| malformed_call("the chain of the call holds what is no key"))?;
        if call.hops > HOPS_MAX || call.path.contains(&self.cluster.me) {
            return Err(PeerInvokeError::Loop);
        }
        let space = SpaceId::parse(&call.space)
            .ok_or_else(|| InvocationError::Unknown(function.to_string()))?;
        let entry = self.entry_for_peer(&space, &function, &call)?;
        let deadline = call
            .deadline_ms
            .and_then(|ms| now().checked_add(Duration::from_millis(ms)));
        let propagated = PropagatedContext {
            hops: call.hops,
            path: call.path,
            request_id: call.request_id,
            trace: call.trace,
            trace_state: call.trace_state,
        };
        let context = CallContext {
            depth: call.depth,
            may_offload: call.hops < HOPS_MAX && !call.stays,
            propagated: Some(Arc::new(propagated)),
            client_cache,
            returns_cache: call.returns_cache,
            chain,
            // A nested call's answer is of use until then only.
            ..CallContext::root(root, deadline.filter(|_| call.depth > 0))
        };
        let qos_class = call.class;
        let pinned = !call.any_version;
        let call = Call {
            qos_class,
            deadline,
            origin: CallOrigin::of(Trigger::Peer),
            context,
            ..Call::new(id, function, Payload::Json(params), arrived)
        };
        Ok(ResolvedCall {
            pinned,
            ..ResolvedCall::new(entry, call)
        })
    }

    /// The version that a peer's call runs in: one that the peer allows, and that is prepared here.
    fn entry_for_peer(
        &self,
        space: &SpaceId,
        function: &FunctionName,
        call: &PeerCall,
    ) -> Result<Arc<FunctionEntry>, PeerInvokeError> {
        let unknown = || InvocationError::Unknown(function.to_string());
        let newest = self
            .functions
            .get(space, function.as_str())
            .ok_or_else(unknown)?;
        if call.any_version {
            return Ok(newest.served());
        }
        let named = |digest: &Digest| {
            let digest = digest.to_string();
            digest == call.version || digest == call.or_version
        };
        if let Some(entry) = newest.prepared_as(named) {
            return Ok(entry);
        }
        if !named(newest.digest()) {
            return Err(PeerInvokeError::Version);
        }
        // It comes before others now.
        self.jobs.want(&newest, true);
        Err(not_prepared("it is still being prepared".to_owned()).into())
    }

    /// Starts a run for a peer. `generation`: that of the function's space on the peer. `other_version`: it runs in
    /// another version than the one under which the peer keeps its result.
    fn start_for_peer(
        self: &Arc<Self>,
        (offer, again): (InvocationId, bool),
        run: Arc<PeerRun>,
        request: ResolvedCall,
        (generation, other_version): (Option<u64>, bool),
    ) {
        let server = Arc::clone(self);
        let ours = self.functions.generation(&request.entry.function.space);
        let differs = generation.is_some_and(|theirs| theirs != ours);
        self.background.spawn(async move {
            // Whatever becomes of this task, those who wait hear of it.
            let mut end = RunEnd { cluster: &server.cluster, offer, run: &run, outcome: PeerOutcome::Forgotten, again };
            end.outcome = tokio::select! {
                result = server.invoker.invoke(request) => PeerOutcome::of(in_one_generation(result, differs, other_version)),
                () = run.abandoned() => PeerOutcome::Forgotten,
            };
        });
    }
}

/// Marks a result that no cache may keep: one that may combine two generations, or comes from another version than the
/// caller named. Whether a failed function made a call is not known any more.
fn in_one_generation(
    result: Result<Report, InvocationError>,
    differs: bool,
    other_version: bool,
) -> Result<Report, InvocationError> {
    match result {
        Ok(mut report) => {
            report.memo.uncacheable |= other_version || (differs && report.memo.called);
            Ok(report)
        }
        Err(InvocationError::Function(failure)) => {
            let stale = failure.stale || differs || other_version;
            Err(InvocationError::Function(FunctionFailure {
                stale,
                ..failure
            }))
        }
        other => other,
    }
}

/// Splits a body into the parameters and the client's cache behind them.
fn parts(
    body: Bytes,
    params_bytes: Option<usize>,
) -> Result<(Bytes, Option<Arc<ClientCache>>), InvocationError> {
    let Some(at) = params_bytes else {
        return Ok((body, None));
    };
    if at > body.len() {
        return Err(malformed_call("the body is shorter than its parameters"));
    }
    let client_cache = EndpointBody::parse(&body.slice(at..))
        .map_err(|fault| malformed_call(&fault.to_string()))?
        .client_cache;
    // A call that has carried anything stays one that does, here as well.
    Ok((
        body.slice(..at),
        Some(Arc::new(client_cache.unwrap_or_default())),
    ))
}

fn malformed_call(what: &str) -> InvocationError {
    InvocationError::Request {
        code: "peer_call_malformed",
        message: what.to_owned(),
    }
}

/// Reports the end of a run when it is dropped.
struct RunEnd<'a> {
    cluster: &'a Cluster,
    offer: InvocationId,
    run: &'a PeerRun,
    outcome: PeerOutcome,
    again: bool,
}

impl Drop for RunEnd<'_> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, PeerOutcome::Forgotten);
        self.cluster
            .joins
            .ended(self.offer, self.run, outcome, self.again);
    }
}
