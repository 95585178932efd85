//! From names to addresses, with the judgement in between: the HTTP client sees judged addresses only.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::CallbackRefused;
use super::allow::Policy;

/// A way from a name to its addresses.
pub(super) trait Lookup: Send + Sync + 'static {
    /// All addresses of the name. An error is the name service's. Dropping the future has no effect.
    fn lookup(&self, name: &str) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send;
}

/// The system's.
pub(super) struct SystemLookup;

impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0))
            .await?
            .map(|address| address.ip())
            .collect())
    }
}

/// A resolver that refuses names with an address which may not be reached.
pub(super) struct Judging<L> {
    policy: Arc<Policy>,
    lookup: Arc<L>,
}

impl<L> Judging<L> {
    pub(super) fn new(policy: Arc<Policy>, lookup: L) -> Self {
        Self {
            policy,
            lookup: Arc::new(lookup),
        }
    }
}

impl<L: Lookup> Resolve for Judging<L> {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        let lookup = Arc::clone(&self.lookup);
        Box::pin(async move {
            let name = name.as_str();
            let addresses = lookup.lookup(name).await?;
            // One that is not allowed condemns all: which of them is connected to is not for the name's owner to try.
            if !policy.lets_reach_name(name)
                && !addresses.iter().all(|address| policy.lets_reach(*address))
            {
                return Err(CallbackRefused::Name(name.to_owned()).into());
            }
            // Port 0 stands for the URL's.
            let addresses: Addrs = Box::new(
                addresses
                    .into_iter()
                    .map(|address| SocketAddr::new(address, 0)),
            );
            Ok(addresses)
        })
    }
}
