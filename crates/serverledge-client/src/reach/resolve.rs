//! From names to addresses, with the judgement in between: HTTP clients see judged addresses only.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use tower_service::Service;

use super::allow::Policy;

/// A way from a name to its addresses.
pub(crate) trait Lookup: Send + Sync + 'static {
    /// All addresses of the name. An error is the name service's. After the future was dropped the
    /// look-up may go on, and counts as long as it does.
    fn lookup(&self, name: &str) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send;
}

/// Most look-ups of a [`SystemLookup`] at once. Each holds a thread until the name service has answered, whether
/// somebody still waits for it or not.
const LOOKUPS_MAX: usize = 32;

/// The system's.
pub(crate) struct SystemLookup {
    slots: Arc<Semaphore>,
}

// === impl SystemLookup ===

impl SystemLookup {
    pub(crate) fn new() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let name = name.to_owned();
        look_up(&self.slots, move || {
            let addresses = (name.as_str(), 0).to_socket_addrs()?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
        .await
    }
}

/// Runs a look-up on a thread of its own. It cannot be stopped there, so that it has its slot to its own end.
async fn look_up(
    slots: &Arc<Semaphore>,
    resolve: impl FnOnce() -> io::Result<Vec<IpAddr>> + Send + 'static,
) -> io::Result<Vec<IpAddr>> {
    let slot = Arc::clone(slots).acquire_owned().await;
    let slot = slot.map_err(io::Error::other)?;
    let looked_up = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        resolve()
    });
    looked_up.await.map_err(io::Error::other)?
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A name service that is slow is asked no more often because nobody waits for its answers.
    #[tokio::test]
    async fn a_look_up_counts_until_its_own_end() {
        let slots = Arc::new(Semaphore::new(1));
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (answer, answers) = mpsc::channel::<()>();
        let slow = look_up(&slots, move || {
            begun.send(()).unwrap();
            answers.recv().unwrap();
            Ok(Vec::new())
        });
        tokio::select! {
            _ = slow => panic!("it has no answer"),
            begun = begins => begun.unwrap(),
        }
        assert_eq!(slots.available_permits(), 0, "nobody waits for it");
        answer.send(()).unwrap();
        let address = IpAddr::from([127, 0, 0, 1]);
        let next = look_up(&slots, move || Ok(vec![address]));
        assert_eq!(next.await.unwrap(), [address]);
    }
}
