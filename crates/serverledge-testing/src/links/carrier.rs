//! The emulator: a thread for each site reads what leaves it, one more hands packets over when their time has come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tun_rs::{InterruptEvent, SyncDevice};

use super::line::{Condition, Counts, Fate, LinkDirection};

/// Larger than any packet of a device with the usual size of 1,500 bytes.
const PACKET_BYTES_MAX: usize = 2048;
/// Before everything else on the machine that is not as urgent: the emulator must be on time while nodes compete for the cores.
const NICENESS: i32 = -15;

/// The running emulator; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Carrier {
    shared: Arc<CarrierShared>,
    threads: Vec<JoinHandle<()>>,
}

struct CarrierShared {
    /// One for each site: reading gives what leaves it, writing is what reaches it.
    devices: Vec<(Ipv4Addr, SyncDevice)>,
    traffic: Mutex<Traffic>,
    /// The earliest packet is another one, or everything ends.
    changed: Condvar,
    end: InterruptEvent,
}

/// Everything under the one lock, which is also held while a packet is handed over: whoever has it knows that nothing moves.
struct Traffic {
    /// From the first site to each, from the second to each, and so on.
    lines: Vec<LinkDirection>,
    waiting: BinaryHeap<Reverse<Packet>>,
    order: u64,
    ending: bool,
}

/// On its way. Ordered by time, then by the order of sending.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    due: Instant,
    order: u64,
    line: usize,
    to: usize,
    bytes: Vec<u8>,
}

// === impl Carrier ===

impl Carrier {
    pub(crate) fn start(devices: Vec<(Ipv4Addr, SyncDevice)>, seed: u64) -> anyhow::Result<Self> {
        let sites = devices.len();
        let lines = (0_u64..)
            .take(sites * sites)
            .map(|line| LinkDirection::new(seed ^ (line << 32)))
            .collect();
        let traffic = Mutex::new(Traffic {
            lines,
            waiting: BinaryHeap::new(),
            order: 0,
            ending: false,
        });
        let end = InterruptEvent::new().context("make a pipe")?;
        let shared = Arc::new(CarrierShared {
            devices,
            traffic,
            changed: Condvar::new(),
            end,
        });
        // Complete before the first thread, so that a failure stops those that run.
        let mut carrier = Self {
            shared,
            threads: Vec::new(),
        };
        for from in 0..sites {
            carrier.spawn(move |shared| shared.read(from))?;
        }
        carrier.spawn(|shared| shared.hand_over())?;
        Ok(carrier)
    }

    pub(crate) fn set(&self, from: usize, to: usize, condition: Condition) {
        self.shared.traffic.lock().lines[self.shared.line(from, to)].set(condition);
    }

    pub(crate) fn counts(&self, from: usize, to: usize) -> Counts {
        self.shared.traffic.lock().lines[self.shared.line(from, to)].counts()
    }

    fn spawn(&mut self, work: impl FnOnce(&CarrierShared) + Send + 'static) -> anyhow::Result<()> {
        let shared = Arc::clone(&self.shared);
        let urgent = move || {
            let thread = rustix::thread::gettid();
            rustix::process::setpriority_process(Some(thread), NICENESS)
                .expect("root may be urgent");
            work(&shared);
        };
        self.threads.push(
            std::thread::Builder::new()
                .name("link".to_owned())
                .spawn(urgent)?,
        );
        Ok(())
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.shared.traffic.lock().ending = true;
        self.shared.changed.notify_all();
        let told = self.shared.end.trigger();
        // A reader that was not told would be waited for for ever.
        if told.is_ok() {
            for thread in self.threads.drain(..) {
                let _panicked_already = thread.join();
            }
        }
    }
}

// === impl CarrierShared ===

impl CarrierShared {
    fn line(&self, from: usize, to: usize) -> usize {
        from * self.devices.len() + to
    }

    fn read(&self, from: usize) {
        let (_, device) = &self.devices[from];
        let mut buffer = [0; PACKET_BYTES_MAX];
        loop {
            // Waits for a packet, or for the end.
            match device.recv_intr(&mut buffer, &self.end) {
                Ok(length) => self.send(from, &buffer[..length]),
                Err(error)
                    if error.kind() == ErrorKind::Interrupted && !self.traffic.lock().ending =>
                {
                    continue;
                }
                Err(_) => return,
            }
            while let Ok(length @ 1..) = device.recv(&mut buffer) {
                self.send(from, &buffer[..length]);
            }
        }
    }

    /// Sends a packet of IPv4 for another site; anything else is dropped.
    fn send(&self, from: usize, bytes: &[u8]) {
        let Some(to) = destination(bytes)
            .and_then(|to| self.devices.iter().position(|(known, _)| *known == to))
        else {
            return;
        };
        let line = self.line(from, to);
        let mut traffic = self.traffic.lock();
        let now = now();
        let Fate::Due(due) = traffic.lines[line].send(now) else {
            return;
        };
        // Without delay it need not wait for another thread, unless others of the line are before it.
        if due <= now && traffic.lines[line].counts().waiting == 1 {
            self.arrive(&mut traffic, line, to, due, bytes);
            return;
        }
        let order = traffic.order;
        traffic.order += 1;
        let earlier = traffic
            .waiting
            .peek()
            .is_none_or(|Reverse(first)| due < first.due);
        traffic.waiting.push(Reverse(Packet {
            due,
            order,
            line,
            to,
            bytes: bytes.to_vec(),
        }));
        if earlier {
            self.changed.notify_one();
        }
    }

    fn hand_over(&self) {
        let mut traffic = self.traffic.lock();
        while !traffic.ending {
            match traffic.waiting.peek().map(|Reverse(first)| first.due) {
                None => self.changed.wait(&mut traffic),
                Some(due) if due > now() => {
                    let _timed_out = self.changed.wait_until(&mut traffic, due);
                }
                Some(_) => {
                    if let Some(Reverse(packet)) = traffic.waiting.pop() {
                        self.arrive(
                            &mut traffic,
                            packet.line,
                            packet.to,
                            packet.due,
                            &packet.bytes,
                        );
                    }
                    MutexGuard::bump(&mut traffic);
                }
            }
        }
    }

    fn arrive(&self, traffic: &mut Traffic, line: usize, to: usize, due: Instant, bytes: &[u8]) {
        let line = &mut traffic.lines[line];
        if line.arrive() {
            let taken = self.devices[to].1.send(bytes).is_ok();
            line.arrived(taken, due, now());
        }
    }
}

impl std::fmt::Debug for CarrierShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses: Vec<_> = self.devices.iter().map(|(address, _)| address).collect();
        f.debug_struct("Shared")
            .field("sites", &addresses)
            .finish_non_exhaustive()
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The destination of a packet of IPv4 (RFC 791 §3.1).
fn destination(bytes: &[u8]) -> Option<Ipv4Addr> {
    let header = bytes.first_chunk::<20>()?;
    (header[0] >> 4 == 4).then(|| Ipv4Addr::new(header[16], header[17], header[18], header[19]))
}
