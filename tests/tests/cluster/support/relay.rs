//! A relay of TCP connections: lets sites reach what listens outside of them, and loses replies on request.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::Result;

use crate::e2e::http::Dial;

/// A relay. Ends all its connections when dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    /// The way in which its own door is reached from here.
    dial: Dial,
    shared: Arc<Shared>,
    door: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The address to which connections go; nowhere at first.
    target: Mutex<Option<SocketAddr>>,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
    loses_replies: AtomicBool,
    lost: AtomicUsize,
}

// === impl Relay ===

impl Relay {
    /// Takes over a listener that is reached by `dial`.
    pub(crate) fn start(listener: TcpListener, dial: Dial) -> Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let of_door = Arc::clone(&shared);
        let door = std::thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                if of_door.ended.load(Ordering::SeqCst) {
                    return;
                }
                // Whoever is not connected finds the connection closed.
                let _ = relay(&of_door, from);
            }
        });
        Ok(Self {
            address,
            dial,
            shared,
            door: Some(door),
        })
    }

    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *locked(&self.shared.target) = Some(target);
    }

    /// From now on every connection ends when a reply comes, instead of carrying it; or no longer.
    pub(crate) fn lose_replies(&self, lose: bool) {
        self.shared.loses_replies.store(lose, Ordering::SeqCst);
    }

    /// The number of replies that were lost.
    pub(crate) fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // The door sees the end when somebody comes.
        let woken = crate::e2e::Connection::open_by(&self.dial, self.address);
        for stream in locked(&self.shared.open).drain(..) {
            let _closed_already = stream.shutdown(Shutdown::Both);
        }
        if let Some(door) = self.door.take().filter(|_| woken.is_ok()) {
            let _panicked_already = door.join();
        }
    }
}

fn relay(shared: &Arc<Shared>, from: TcpStream) -> Result<()> {
    let Some(target) = *locked(&shared.target) else {
        return Ok(());
    };
    let to = TcpStream::connect(target)?;
    from.set_nodelay(true)?;
    to.set_nodelay(true)?;
    locked(&shared.open).extend([from.try_clone()?, to.try_clone()?]);
    let requests = (from.try_clone()?, to.try_clone()?);
    let replies = (to, from);
    std::thread::spawn(move || copy(requests, |_| true));
    let shared = Arc::clone(shared);
    std::thread::spawn(move || copy(replies, |_| !shared.loses()));
    Ok(())
}

/// Copies until one side ends, or a piece is not to be carried.
fn copy((mut from, mut to): (TcpStream, TcpStream), mut carries: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !carries(&buffer[..count]) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _closed_already = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

impl Shared {
    fn loses(&self) -> bool {
        let loses = self.loses_replies.load(Ordering::SeqCst);
        self.lost.fetch_add(usize::from(loses), Ordering::SeqCst);
        loses
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
