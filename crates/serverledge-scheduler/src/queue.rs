//! Waiting calls, indexed for every question that the scheduler asks: by arrival, by expiry, and by demand.
//!
//! Calls with equal demands share a lane, since they fit or do not fit together; there are as many lanes as different
//! demands wait, which is at most the number of functions in use. Every operation costs a few tree steps per lane.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serverledge_core::OverloadReason;

use crate::arrival::{Arrival, Demand, Rank};
use crate::scheduler::TicketId;
use crate::snapshot::WaitingByClass;

/// A waiting call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) arrival: Arrival,
    pub(crate) since: Instant,
    pub(crate) expires: Instant,
    /// Why it is turned away when it expires.
    pub(crate) expires_as: OverloadReason,
}

/// The order of service, smallest first: class, then earliest deadline (none counts as the latest), then arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: Reverse<Rank>,
    due: Due,
    ticket: TicketId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    At(Instant),
    Never,
}

/// Waiting calls with equal demands; never empty.
#[derive(Debug)]
struct Lane {
    demand: Demand,
    by_place: BTreeSet<Place>,
    by_arrival: BTreeSet<TicketId>,
}

/// All waiting calls.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Tickets count up, so their order is the order of arrival.
    waiters: BTreeMap<TicketId, Waiter>,
    expiries: BTreeSet<(Instant, TicketId)>,
    lanes: Vec<Lane>,
    by_class: WaitingByClass,
}

// === impl Queue ===

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(crate) const fn by_class(&self) -> WaitingByClass {
        self.by_class
    }

    pub(crate) fn push(&mut self, ticket: TicketId, waiter: Waiter) {
        self.waiters.insert(ticket, waiter);
        self.expiries.insert((waiter.expires, ticket));
        self.lane(waiter.arrival.demand).push(Place::new(ticket, &waiter));
        *self.by_class.of(waiter.arrival.class.rank()) += 1;
    }

    pub(crate) fn remove(&mut self, ticket: TicketId) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        self.expiries.remove(&(waiter.expires, ticket));
        self.lane(waiter.arrival.demand).remove(Place::new(ticket, &waiter));
        self.lanes.retain(|lane| !lane.by_place.is_empty());
        *self.by_class.of(waiter.arrival.class.rank()) -= 1;
        Some(waiter)
    }

    /// The one that waits longest.
    pub(crate) fn oldest(&self) -> Option<(TicketId, &Waiter)> {
        self.waiters.iter().next().map(|(ticket, waiter)| (*ticket, waiter))
    }

    /// The one that waits longest among those whose demand fits.
    pub(crate) fn oldest_fitting(&self, fits: impl Fn(Demand) -> bool) -> Option<TicketId> {
        let fitting = self.lanes.iter().filter(|lane| fits(lane.demand));
        fitting.filter_map(|lane| lane.by_arrival.first()).min().copied()
    }

    /// The first in the order of service among those whose demand fits.
    pub(crate) fn first_fitting(&self, fits: impl Fn(Demand) -> bool) -> Option<TicketId> {
        let fitting = self.lanes.iter().filter(|lane| fits(lane.demand));
        fitting.filter_map(|lane| lane.by_place.first()).min().map(|place| place.ticket)
    }

    /// The last in the order of service.
    pub(crate) fn last(&self) -> Option<(TicketId, &Waiter)> {
        let ticket = self.lanes.iter().filter_map(|lane| lane.by_place.last()).max()?.ticket;
        self.waiters.get(&ticket).map(|waiter| (ticket, waiter))
    }

    /// When the first one expires.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// One that has expired.
    pub(crate) fn expired(&self, now: Instant) -> Option<(TicketId, &Waiter)> {
        let (_, ticket) = self.expiries.first().filter(|(at, _)| *at <= now)?;
        self.waiters.get(ticket).map(|waiter| (*ticket, waiter))
    }

    /// All whose demand passes a test, the longest waiting first.
    pub(crate) fn select(&self, test: impl Fn(Demand) -> bool) -> Vec<TicketId> {
        let selected = self.waiters.iter().filter(|(_, waiter)| test(waiter.arrival.demand));
        selected.map(|(ticket, _)| *ticket).collect()
    }

    fn lane(&mut self, demand: Demand) -> &mut Lane {
        let index = self.lanes.iter().position(|lane| lane.demand == demand).unwrap_or_else(|| {
            self.lanes.push(Lane { demand, by_place: BTreeSet::new(), by_arrival: BTreeSet::new() });
            self.lanes.len() - 1
        });
        &mut self.lanes[index]
    }
}

// === impl Lane ===

impl Lane {
    fn push(&mut self, place: Place) {
        self.by_arrival.insert(place.ticket);
        self.by_place.insert(place);
    }

    fn remove(&mut self, place: Place) {
        self.by_arrival.remove(&place.ticket);
        self.by_place.remove(&place);
    }
}

// === impl Place ===

impl Place {
    fn new(ticket: TicketId, waiter: &Waiter) -> Self {
        let Arrival { class, deadline, .. } = waiter.arrival;
        Self { rank: Reverse(class.rank()), due: deadline.map_or(Due::Never, Due::At), ticket }
    }
}
