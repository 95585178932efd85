//! A burst on one node: some clients, each of which calls again as soon as it has its answer, and one warm sandbox.
//! It shows the times to the answer with calls that wait in line or start a sandbox, whichever is quicker, and with
//! calls each of which is bound to its own start.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use serverledge_core::{CpuMilli, Digest, MemoryMib};
use serverledge_scheduler::{
    Admission, Arrival, Capacity, Config, Decided, Demand, Effects, Lease, PeerView, PoolKey,
    Pooled, SandboxCondition, SandboxId, SandboxUse, Scheduler, Ticket, TicketId, Verdict,
};

/// The numbers of a burst.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Burst {
    pub(crate) clients: u32,
    pub(crate) calls_each: u32,
    pub(crate) execution: Duration,
    pub(crate) start: Duration,
    /// Every call that finds no free sandbox starts one and waits for it.
    pub(crate) bound: bool,
}

/// The outcome of a burst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BurstReport {
    /// Of the calls, in order.
    pub(crate) times: Vec<Duration>,
    /// Sandboxes started beside the warm one.
    pub(crate) starts: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum BurstEvent {
    Ask(u32),
    Started(SandboxId),
    End(u32),
    Review(TicketId),
}

struct OneNode {
    burst: Burst,
    scheduler: Scheduler,
    epoch: Instant,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, BurstEvent)>>,
    sequence: u64,
    effects: Effects,
    asked: HashMap<u32, Duration>,
    left: HashMap<u32, u32>,
    tickets: HashMap<TicketId, (Ticket, u32)>,
    leases: HashMap<u32, Lease>,
    starting: HashMap<SandboxId, u32>,
    /// Idle sandboxes, where calls are bound to their starts and no scheduler is asked.
    idle: u32,
    report: BurstReport,
}

/// A table of bursts of eight clients: how the times change with what a call takes.
pub(crate) fn table() -> String {
    let mut text = String::from(
        "| execution | start | p99, each call bound to its start | p99 | starts, bound | starts |\n\
         |--:|--:|--:|--:|--:|--:|\n",
    );
    for execution_ms in [5, 20, 100, 500, 5_000] {
        let execution = Duration::from_millis(execution_ms);
        let start = Duration::from_millis(600);
        let of = |bound| {
            run(Burst {
                clients: 8,
                calls_each: 4,
                execution,
                start,
                bound,
            })
        };
        let bound = of(true);
        let free = of(false);
        text += &format!(
            "| {execution_ms} ms | {} ms | {} ms | {} ms | {} | {} |\n",
            start.as_millis(),
            bound.percentile(99).as_millis(),
            free.percentile(99).as_millis(),
            bound.starts,
            free.starts
        );
    }
    text
}

/// Runs a burst after the one sandbox has served a few calls one by one.
pub(crate) fn run(burst: Burst) -> BurstReport {
    let mut node = OneNode::new(burst);
    node.warm_up();
    for client in 0..burst.clients {
        node.left.insert(client, burst.calls_each);
        node.later(Duration::ZERO, BurstEvent::Ask(client));
    }
    node.run();
    node.report.times.sort_unstable();
    node.report
}

// === impl BurstReport ===

impl BurstReport {
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.times.len() * percent).div_ceil(100).max(1);
        self.times.get(rank - 1).copied().unwrap_or_default()
    }
}

// === impl OneNode ===

impl OneNode {
    fn new(burst: Burst) -> Self {
        let epoch = crate::timing::clock();
        let capacity = Capacity {
            memory: MemoryMib::new(8_192),
            cpu: CpuMilli::new(16_000),
            slots: 16,
            containers: 32,
        };
        Self {
            burst,
            scheduler: Scheduler::new(Config::new(capacity), epoch),
            epoch,
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            sequence: 0,
            effects: Effects::default(),
            asked: HashMap::new(),
            left: HashMap::new(),
            tickets: HashMap::new(),
            leases: HashMap::new(),
            starting: HashMap::new(),
            idle: 0,
            report: BurstReport {
                times: Vec::new(),
                starts: 0,
            },
        }
    }

    fn warm_up(&mut self) {
        self.left.insert(0, 4);
        self.later(Duration::ZERO, BurstEvent::Ask(0));
        self.run();
        self.report = BurstReport {
            times: Vec::new(),
            starts: 0,
        };
    }

    fn later(&mut self, delay: Duration, event: BurstEvent) {
        self.events
            .push(Reverse((self.now + delay, self.sequence, event)));
        self.sequence += 1;
    }

    fn run(&mut self) {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.now = at;
            let clock = self.epoch + at;
            match event {
                BurstEvent::Ask(client) => self.ask(client),
                BurstEvent::Started(id) => {
                    self.scheduler.started(clock, id, &mut self.effects);
                    if let Some(client) = self.starting.remove(&id) {
                        self.later(self.burst.execution, BurstEvent::End(client));
                    }
                }
                BurstEvent::End(client) => self.end(client),
                BurstEvent::Review(ticket) => self.resume(ticket),
            }
            self.heed();
        }
    }

    fn ask(&mut self, client: u32) {
        self.asked.insert(client, self.now);
        if self.burst.bound {
            return self.ask_bound(client);
        }
        let demand = Demand::pooled(MemoryMib::new(128), CpuMilli::new(100));
        let pool = Some(Pooled {
            key: PoolKey(Digest::new([1; 32])),
            concurrency: 1,
        });
        let arrival = Arrival {
            demand,
            pool,
            ..Arrival::default()
        };
        let clock = self.epoch + self.now;
        let admission = self
            .scheduler
            .admit(clock, arrival, PeerView::NONE, &mut self.effects);
        self.admitted(client, admission);
    }

    /// Takes a sandbox that is idle, else starts one and waits for it.
    fn ask_bound(&mut self, client: u32) {
        let starts = self.idle == 0;
        let start = if starts {
            self.burst.start
        } else {
            Duration::ZERO
        };
        self.idle = self.idle.saturating_sub(1);
        self.report.starts += usize::from(starts);
        self.later(start + self.burst.execution, BurstEvent::End(client));
    }

    fn admitted(&mut self, client: u32, admission: Admission) {
        match admission {
            Admission::Run(lease) => {
                if let SandboxUse::Start(id) = lease.place() {
                    self.report.starts += 1;
                    self.starting.insert(id, client);
                    self.later(self.burst.start, BurstEvent::Started(id));
                } else {
                    self.later(self.burst.execution, BurstEvent::End(client));
                }
                self.leases.insert(client, lease);
            }
            Admission::Wait(ticket) => {
                let left = ticket
                    .review()
                    .saturating_duration_since(self.epoch + self.now);
                self.later(left, BurstEvent::Review(ticket.id()));
                self.tickets.insert(ticket.id(), (ticket, client));
            }
            Admission::Reject(_) | Admission::Offload(_) => {}
        }
    }

    fn end(&mut self, client: u32) {
        if let Some(lease) = self.leases.remove(&client) {
            self.scheduler.release(
                self.epoch + self.now,
                lease,
                SandboxCondition::Clean,
                &mut self.effects,
            );
        } else {
            self.idle += 1;
        }
        if let Some(asked) = self.asked.remove(&client) {
            self.report.times.push(self.now - asked);
        }
        if let Some(left) = self.left.get_mut(&client) {
            *left = left.saturating_sub(1);
            if *left > 0 {
                self.later(Duration::ZERO, BurstEvent::Ask(client));
            }
        }
    }

    fn resume(&mut self, ticket: TicketId) {
        let Some((ticket, client)) = self.tickets.remove(&ticket) else {
            return;
        };
        let admission = self
            .scheduler
            .resume(self.epoch + self.now, ticket, &mut self.effects);
        self.admitted(client, admission);
    }

    /// Does what the scheduler decided.
    fn heed(&mut self) {
        while !self.effects.decided.is_empty() {
            for Decided { ticket, verdict } in std::mem::take(&mut self.effects.decided) {
                match verdict {
                    Verdict::Moved => self.moved(ticket),
                    Verdict::Granted | Verdict::Rejected(_) => self.resume(ticket),
                }
            }
        }
    }

    fn moved(&mut self, ticket: TicketId) {
        let Some((client, lease)) = self
            .leases
            .iter_mut()
            .find(|(_, lease)| lease.ticket() == ticket)
        else {
            return;
        };
        if let SandboxUse::Start(id) = lease.place()
            && self.scheduler.moved(lease)
        {
            self.starting.remove(&id);
            let client = *client;
            self.later(self.burst.execution, BurstEvent::End(client));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn eight(execution: Duration, bound: bool) -> BurstReport {
        let report = run(Burst {
            clients: 8,
            calls_each: 4,
            execution,
            start: 600 * MS,
            bound,
        });
        assert_eq!(report.times.len(), 32, "every call has its answer");
        report
    }

    #[test]
    fn short_calls_wait_in_line() {
        let bound = eight(20 * MS, true);
        let free = eight(20 * MS, false);
        assert!(bound.percentile(99) >= 600 * MS, "{bound:?}");
        assert!(free.percentile(99) <= 8 * 20 * MS, "{free:?}");
        assert!(free.starts <= 1, "{free:?}");
    }

    #[test]
    fn long_calls_start_more() {
        let free = eight(5_000 * MS, false);
        assert!(free.percentile(99) <= 5_000 * MS + 2 * 600 * MS, "{free:?}");
        assert_eq!(free.starts, 7);
    }

    /// Whatever is started: the line alone would not have been quicker, and few short calls start little.
    #[test]
    fn no_call_waits_longer_than_the_line_alone() {
        for clients in 1..=12 {
            for ms in [1, 7, 50, 130, 400, 900, 3_000] {
                let execution = ms * MS;
                let report = run(Burst {
                    clients,
                    calls_each: 1,
                    execution,
                    start: 600 * MS,
                    bound: false,
                });
                let line: Vec<_> = (1..=clients).map(|place| place * execution).collect();
                assert!(
                    report
                        .times
                        .iter()
                        .zip(&line)
                        .all(|(time, line)| time <= line),
                    "{clients}, {ms}: {report:?}"
                );
                assert!(
                    clients * execution > 600 * MS || report.starts <= 1,
                    "{clients}, {ms}: {report:?}"
                );
            }
        }
    }

    #[test]
    fn a_burst_repeats_itself() {
        assert_eq!(eight(100 * MS, false), eight(100 * MS, false));
    }
}
