//! The other nodes, as the fake tells them: it checks their proofs, runs their calls, and knows none of them.

use std::sync::Arc;

use async_trait::async_trait;
use serverledge_api::{
    FunctionCatalogue as _, PeerGateway, PeerInvokeError, PeerRefused, PeerRequest,
};
use serverledge_core::{Payload, Report, SpaceId};
use serverledge_wire::peer::{PeerLoad, PeerState, Proof, Proved};
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::rollout::{self, FunctionNodes, NodeVersion};

use super::{FakeBackend, cluster_key, echo};

#[async_trait]
impl PeerGateway for FakeBackend {
    fn check_peer(
        &self,
        proof: &Proof,
        path: &str,
        call: &[u8],
        body: &[u8],
    ) -> Result<(), PeerRefused> {
        let what = Proved {
            to: "ROME/n1",
            path,
            call,
            body,
        };
        if cluster_key().holds(proof, &what) {
            Ok(())
        } else {
            Err(PeerRefused::Proof)
        }
    }

    async fn peer_invoke(self: Arc<Self>, request: PeerRequest) -> Result<Report, PeerInvokeError> {
        let mut state = self.state();
        let scripted = state.peer_invoke.pop_front();
        let params = request.params.clone();
        state.peer_calls.push(request);
        scripted.unwrap_or_else(|| Ok(echo(Payload::Json(params))))
    }

    fn peer_load(&self) -> PeerLoad {
        PeerLoad {
            epoch: "first".to_owned(),
            free_memory_mib: 512,
            ..PeerLoad::default()
        }
    }

    fn peer_state(&self) -> PeerState {
        PeerState {
            load: self.peer_load(),
            ..PeerState::default()
        }
    }

    fn peers(&self) -> Vec<PeerInfo> {
        Vec::new()
    }

    async fn nodes(&self, space: &SpaceId, name: &str) -> Option<FunctionNodes> {
        let function = self.function(space, name)?;
        let node = NodeVersion {
            node: "n1".to_owned(),
            area: "ROME".to_owned(),
            state: rollout::READY.to_owned(),
            runs: function.version.digest.to_string(),
            detail: String::new(),
        };
        let version = function.version.digest.to_string();
        Some(FunctionNodes {
            function: name.to_owned(),
            version,
            nodes: vec![node],
        })
    }
}
