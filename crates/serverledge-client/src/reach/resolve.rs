//! From names to addresses, with the judgement in between: HTTP clients see judged addresses only.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tower_service::Service;

use super::allow::Policy;

/// A way from a name to its addresses.
pub(crate) trait Lookup: Send + Sync + 'static {
    /// All addresses of the name. An error is the name service's. Dropping the future has no effect.
    fn lookup(&self, name: &str) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send;
}

/// The system's.
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0))
            .await?
            .map(|address| address.ip())
            .collect())
    }
}

type LookupFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// A [`Lookup`] of whatever type.
trait AnyLookup: Send + Sync {
    fn lookup_boxed<'a>(&'a self, name: &'a str) -> LookupFuture<'a>;
}

impl<L: Lookup> AnyLookup for L {
    fn lookup_boxed<'a>(&'a self, name: &'a str) -> LookupFuture<'a> {
        Box::pin(self.lookup(name))
    }
}

/// A resolver that refuses names with an address which may not be reached. Clones share everything.
#[derive(Clone)]
pub(crate) struct Judge {
    policy: Arc<Policy>,
    lookup: Arc<dyn AnyLookup>,
}

/// The reason why a name has no addresses to connect to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JudgeError {
    /// One of its addresses may not be reached.
    #[error("{0:?} has an address that may not be reached")]
    Refused(String),
    /// The name service knows none, or gave no answer.
    #[error("failed to resolve the name")]
    Lookup(#[source] io::Error),
}

// === impl Judge ===

impl Judge {
    pub(crate) fn new(policy: Arc<Policy>, lookup: impl Lookup) -> Self {
        Self {
            policy,
            lookup: Arc::new(lookup),
        }
    }

    /// The addresses of a name, if all of them may be reached. Port 0 stands for the URL's.
    async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, JudgeError> {
        let addresses = self.lookup.lookup_boxed(name).await;
        let addresses = addresses.map_err(JudgeError::Lookup)?;
        // One that is not allowed condemns all: which of them is connected to is not for the name's owner to try.
        if !self.policy.lets_reach_name(name)
            && !addresses
                .iter()
                .all(|address| self.policy.lets_reach(*address))
        {
            return Err(JudgeError::Refused(name.to_owned()));
        }
        Ok(addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, 0))
            .collect())
    }
}

/// For reqwest.
impl Resolve for Judge {
    fn resolve(&self, name: Name) -> Resolving {
        let judge = self.clone();
        Box::pin(async move {
            let addresses: Addrs = Box::new(judge.addresses(name.as_str()).await?.into_iter());
            Ok(addresses)
        })
    }
}

/// For hyper's client.
impl Service<dns::Name> for Judge {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = JudgeError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, JudgeError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), JudgeError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: dns::Name) -> Self::Future {
        let judge = self.clone();
        Box::pin(async move { Ok(judge.addresses(name.as_str()).await?.into_iter()) })
    }
}
