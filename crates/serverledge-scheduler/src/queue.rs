//! Waiting calls, indexed for every question that the scheduler asks: by arrival, by expiry, and by what they want.
//!
//! Calls that want the same share a lane, since they can start or not together; there are as many lanes as different
//! wants wait, which is at most the number of functions in use. Every operation costs a few tree steps per lane.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, btree_set};
use std::time::Instant;

use serverledge_core::OverloadReason;

use crate::arrival::{Arrival, Demand, Rank, Want};
use crate::scheduler::{LeaseId, TicketId};
use crate::snapshot::WaitingByClass;

/// A waiting call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) arrival: Arrival,
    /// The lease of the call that made this one, if it is a lease of this node.
    pub(crate) caller: Option<LeaseId>,
    pub(crate) since: Instant,
    pub(crate) expires: Instant,
    /// The reason with which it is turned away when it expires.
    pub(crate) expires_as: OverloadReason,
}

/// The order of service, smallest first: nested calls, then class, then earliest deadline (none counts as the latest), then arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueuePlace {
    outside: bool,
    rank: Reverse<Rank>,
    due: Due,
    ticket: TicketId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    At(Instant),
    Never,
}

/// Waiting calls that want the same; never empty.
#[derive(Debug)]
struct Lane {
    want: Want,
    by_place: BTreeSet<QueuePlace>,
    by_arrival: BTreeSet<TicketId>,
    by_class: WaitingByClass,
}

/// All waiting calls.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Tickets count up, so their order is the order of arrival.
    waiters: BTreeMap<TicketId, Waiter>,
    expiries: BTreeSet<(Instant, TicketId)>,
    lanes: Vec<Lane>,
    pub(crate) by_class: WaitingByClass,
    nested: usize,
}

// === impl Queue ===

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(crate) fn push(&mut self, ticket: TicketId, waiter: Waiter) {
        self.waiters.insert(ticket, waiter);
        self.expiries.insert((waiter.expires, ticket));
        self.lane(waiter.arrival.want())
            .push(QueuePlace::new(ticket, &waiter.arrival));
        *self.by_class.of(waiter.arrival.class.rank()) += 1;
        self.nested += usize::from(waiter.arrival.nested);
    }

    pub(crate) fn remove(&mut self, ticket: TicketId) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        self.expiries.remove(&(waiter.expires, ticket));
        self.lane(waiter.arrival.want())
            .remove(QueuePlace::new(ticket, &waiter.arrival));
        self.lanes.retain(|lane| !lane.by_place.is_empty());
        *self.by_class.of(waiter.arrival.class.rank()) -= 1;
        self.nested -= usize::from(waiter.arrival.nested);
        Some(waiter)
    }

    pub(crate) fn get(&self, ticket: TicketId) -> Option<&Waiter> {
        self.waiters.get(&ticket)
    }

    /// The one that waits longest.
    pub(crate) fn oldest(&self) -> Option<(TicketId, &Waiter)> {
        self.waiters
            .iter()
            .next()
            .map(|(ticket, waiter)| (*ticket, waiter))
    }

    /// The one that waits longest among those for which there is a spot, told what they want and how many want it.
    pub(crate) fn oldest_with<S>(
        &self,
        spot: impl Fn(&Want, usize) -> Option<S>,
    ) -> Option<(TicketId, S)> {
        let fitting = self
            .lanes
            .iter()
            .filter_map(|lane| Some((*lane.by_arrival.first()?, lane.spot(&spot)?)));
        fitting.min_by_key(|(ticket, _)| *ticket)
    }

    /// The first in the order of service among those for which there is a spot.
    pub(crate) fn first_with<S>(
        &self,
        spot: impl Fn(&Want, usize) -> Option<S>,
    ) -> Option<(TicketId, S)> {
        let fitting = self
            .lanes
            .iter()
            .filter_map(|lane| Some((lane.by_place.first()?, lane.spot(&spot)?)));
        fitting
            .min_by_key(|(place, _)| *place)
            .map(|(place, spot)| (place.ticket, spot))
    }

    /// Whether any nested call waits.
    pub(crate) const fn has_nested(&self) -> bool {
        self.nested > 0
    }

    pub(crate) fn is_nested(&self, ticket: TicketId) -> bool {
        self.waiters
            .get(&ticket)
            .is_some_and(|waiter| waiter.arrival.nested)
    }

    /// The first nested call in the order of service, and what it wants.
    pub(crate) fn first_nested(&self) -> Option<(TicketId, Want)> {
        if self.nested == 0 { None } else { self.first() }
    }

    /// The first in the order of service among nested calls for which there is a spot.
    pub(crate) fn first_nested_with<S>(
        &self,
        spot: impl Fn(&Want, usize) -> Option<S>,
    ) -> Option<(TicketId, S)> {
        let heads = self
            .lanes
            .iter()
            .filter_map(|lane| Some((lane, *lane.by_place.first()?)));
        let nested = heads.filter(|(_, place)| !place.outside);
        let fitting = nested.filter_map(|(lane, place)| Some((place, lane.spot(&spot)?)));
        fitting
            .min_by_key(|(place, _)| *place)
            .map(|(place, spot)| (place.ticket, spot))
    }

    /// The nested call that came last among those whose want passes a test.
    pub(crate) fn latest_nested(&self, test: impl Fn(&Want) -> bool) -> Option<TicketId> {
        if self.nested == 0 {
            return None;
        }
        let lanes = self
            .lanes
            .iter()
            .filter(|lane| lane.by_place.first().is_some_and(|place| !place.outside));
        let lanes = lanes.filter(|lane| test(&lane.want));
        lanes
            .flat_map(|lane| lane.by_place.iter().take_while(|place| !place.outside))
            .map(|place| place.ticket)
            .max()
    }

    /// The number of waiting calls with this want.
    pub(crate) fn in_line(&self, want: &Want) -> usize {
        self.lanes
            .iter()
            .find(|lane| lane.want == *want)
            .map_or(0, |lane| lane.by_place.len())
    }

    /// The place of the first waiting call with this want.
    pub(crate) fn first_place(&self, want: &Want) -> Option<QueuePlace> {
        self.lanes
            .iter()
            .find(|lane| lane.want == *want)?
            .by_place
            .first()
            .copied()
    }

    /// The wants of the waiting calls, each want once.
    pub(crate) fn wants(&self) -> impl Iterator<Item = &Want> {
        self.lanes.iter().map(|lane| &lane.want)
    }

    /// The wants of the waiting calls, each with the calls that want it.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&Want, WaitingByClass)> {
        self.lanes.iter().map(|lane| (&lane.want, lane.by_class))
    }

    /// Visits the waiting calls in the order of service. After a call for which `visit` answers false, no other that
    /// wants the same is visited.
    pub(crate) fn visit_in_order(&self, mut visit: impl FnMut(TicketId, &Want) -> bool) {
        let mut heads: BTreeMap<&QueuePlace, (&Want, btree_set::Iter<'_, QueuePlace>)> =
            BTreeMap::new();
        for lane in &self.lanes {
            let mut places = lane.by_place.iter();
            heads.extend(places.next().map(|place| (place, (&lane.want, places))));
        }
        while let Some((place, (want, mut places))) = heads.pop_first() {
            if visit(place.ticket, want) {
                heads.extend(places.next().map(|place| (place, (want, places))));
            }
        }
    }

    /// The first in the order of service, and what it wants.
    pub(crate) fn first(&self) -> Option<(TicketId, Want)> {
        let first = self
            .lanes
            .iter()
            .filter_map(|lane| Some((lane.by_place.first()?, lane.want)));
        first
            .min_by_key(|(place, _)| *place)
            .map(|(place, want)| (place.ticket, want))
    }

    /// The last in the order of service.
    pub(crate) fn last(&self) -> Option<(TicketId, &Waiter)> {
        let ticket = self
            .lanes
            .iter()
            .filter_map(|lane| lane.by_place.last())
            .max()?
            .ticket;
        self.waiters.get(&ticket).map(|waiter| (ticket, waiter))
    }

    /// The time at which the first one expires.
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
        let selected = self
            .waiters
            .iter()
            .filter(|(_, waiter)| test(waiter.arrival.demand));
        selected.map(|(ticket, _)| *ticket).collect()
    }

    fn lane(&mut self, want: Want) -> &mut Lane {
        let index = self
            .lanes
            .iter()
            .position(|lane| lane.want == want)
            .unwrap_or_else(|| {
                self.lanes.push(Lane {
                    want,
                    by_place: BTreeSet::new(),
                    by_arrival: BTreeSet::new(),
                    by_class: WaitingByClass::default(),
                });
                self.lanes.len() - 1
            });
        &mut self.lanes[index]
    }
}

// === impl Lane ===

impl Lane {
    fn spot<S>(&self, spot: impl Fn(&Want, usize) -> Option<S>) -> Option<S> {
        spot(&self.want, self.by_place.len())
    }

    fn push(&mut self, place: QueuePlace) {
        self.by_arrival.insert(place.ticket);
        *self.by_class.of(place.rank.0) += 1;
        self.by_place.insert(place);
    }

    fn remove(&mut self, place: QueuePlace) {
        if self.by_place.remove(&place) {
            self.by_arrival.remove(&place.ticket);
            *self.by_class.of(place.rank.0) -= 1;
        }
    }
}

// === impl QueuePlace ===

impl QueuePlace {
    pub(crate) fn new(ticket: TicketId, arrival: &Arrival) -> Self {
        let Arrival {
            class,
            deadline,
            nested,
            ..
        } = *arrival;
        Self {
            outside: !nested,
            rank: Reverse(class.rank()),
            due: deadline.map_or(Due::Never, Due::At),
            ticket,
        }
    }

    pub(crate) const fn ticket(self) -> TicketId {
        self.ticket
    }
}
