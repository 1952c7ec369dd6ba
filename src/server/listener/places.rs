//! Connection places at the listener, and who gives one up when they become scarce.
//!
//! A new connection is never left waiting: whoever can open connections could keep everyone else out. It is let in, and one
//! that matters less goes: a peer that is silent before one that is known, and of equals the one that has been so for longest,
//! from the address that holds most of them. A caller that means it needs milliseconds to become known, so that a flood has to
//! be very fast to push it out first.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Limits, activity::Activity};
use crate::server::peer::Peer;

/// All connections of a listener.
#[derive(Debug)]
pub(super) struct Places {
    most: Most,
    state: Mutex<State>,
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
struct Most {
    connections: usize,
    handshakes: usize,
    strangers: usize,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Without HTTP yet.
    handshakes: BTreeMap<u64, Place>,
    open: BTreeMap<u64, Place>,
}

#[derive(Debug)]
struct Place {
    source: IpAddr,
    since: Instant,
    occupant: Occupant,
    leave: CancellationToken,
}

#[derive(Debug)]
enum Occupant {
    /// Has not said that it wants TLS.
    Silent,
    /// Has to finish the handshake.
    Shaking,
    /// Speaks HTTP.
    Open(Peer, Activity),
}

/// What a place counts for: the first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Silent,
    IdleStranger,
    Shaking,
    BusyStranger,
    IdleKnown,
    BusyKnown,
    /// It speaks for a whole cluster.
    IdleProxy,
    /// Never goes.
    BusyProxy,
}

/// One connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    places: Arc<Places>,
    id: u64,
    leave: CancellationToken,
}

// === impl Places ===

impl Places {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            most: Most {
                connections: limits.connections,
                handshakes: limits.handshakes,
                strangers: limits.strangers,
            },
            state: Mutex::default(),
        })
    }

    /// A place for a connection that was just accepted, and whether somebody had to go for it. `None` if all are taken by the
    /// front proxy, with requests in flight.
    pub(super) fn take(self: &Arc<Self>, addr: SocketAddr) -> Option<(Seat, bool)> {
        let mut state = self.state();
        let mut crowded = false;
        if state.handshakes.len() >= self.most.handshakes {
            crowded |= evict(&mut state.handshakes, |_| true);
        }
        if state.handshakes.len() + state.open.len() >= self.most.connections {
            crowded = true;
            if !state.evict_anyone() {
                return None;
            }
        }
        let id = state.next;
        state.next += 1;
        let leave = CancellationToken::new();
        let place = Place {
            // An IPv4 address is one address, however the socket was bound.
            source: addr.ip().to_canonical(),
            since: Instant::now(),
            occupant: Occupant::Silent,
            leave: leave.clone(),
        };
        state.handshakes.insert(id, place);
        let seat = Seat {
            places: Arc::clone(self),
            id,
            leave,
        };
        Some((seat, crowded))
    }

    /// Whether strangers should be quick: three quarters of what they or all may have is taken.
    pub(super) fn is_crowded(&self) -> bool {
        let state = self.state();
        let taken = state.open.len() + state.handshakes.len();
        let quarters = |most: usize| most.saturating_sub(most / 4);
        taken > quarters(self.most.connections)
            // Only those beyond that many can be too many strangers.
            || (state.open.len() > quarters(self.most.strangers)
                && strangers(&state.open) > quarters(self.most.strangers))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn evict_anyone(&mut self) -> bool {
        let lowest = |places: &BTreeMap<u64, Place>| places.values().map(Place::rank).min();
        let (shaking, open) = (lowest(&self.handshakes), lowest(&self.open));
        let from = match (shaking, open) {
            (Some(shaking), Some(open)) if shaking <= open => &mut self.handshakes,
            (Some(_), None) => &mut self.handshakes,
            _ => &mut self.open,
        };
        evict(from, |rank| rank < Rank::BusyProxy)
    }
}

/// Sends one of those away that `of` admits; whether there was one.
fn evict(places: &mut BTreeMap<u64, Place>, of: impl Fn(Rank) -> bool) -> bool {
    let ranked = places
        .iter()
        .map(|(id, place)| (*id, place, place.rank()))
        .filter(|(_, _, rank)| of(*rank));
    let ranked: Vec<_> = ranked.collect();
    let Some(lowest) = ranked.iter().map(|(_, _, rank)| *rank).min() else {
        return false;
    };
    let candidates = || ranked.iter().filter(|(_, _, rank)| *rank == lowest);
    let mut sources: HashMap<IpAddr, usize> = HashMap::new();
    for (_, place, _) in &ranked {
        *sources.entry(place.source).or_default() += 1;
    }
    let victim = candidates().min_by_key(|(id, place, _)| {
        let share = sources.get(&place.source).copied().unwrap_or_default();
        (Reverse(share), place.idle_since(), *id)
    });
    let Some(id) = victim.map(|(id, ..)| *id) else {
        return false;
    };
    if let Some(place) = places.remove(&id) {
        place.leave.cancel();
    }
    true
}

fn strangers(places: &BTreeMap<u64, Place>) -> usize {
    places
        .values()
        .filter(|place| matches!(&place.occupant, Occupant::Open(peer, _) if !peer.is_known()))
        .count()
}

// === impl Place ===

impl Place {
    fn rank(&self) -> Rank {
        match &self.occupant {
            Occupant::Silent => Rank::Silent,
            Occupant::Shaking => Rank::Shaking,
            Occupant::Open(peer, activity) => {
                let (idle, busy) = if peer.is_front_proxy() {
                    (Rank::IdleProxy, Rank::BusyProxy)
                } else if peer.is_known() {
                    (Rank::IdleKnown, Rank::BusyKnown)
                } else {
                    (Rank::IdleStranger, Rank::BusyStranger)
                };
                if activity.is_busy() { busy } else { idle }
            }
        }
    }

    fn idle_since(&self) -> Instant {
        match &self.occupant {
            Occupant::Open(_, activity) => activity.moved(),
            _ => self.since,
        }
    }
}

// === impl Seat ===

impl Seat {
    /// The client has said that it wants TLS.
    pub(super) fn shaking(&self) {
        if let Some(place) = self.places.state().handshakes.get_mut(&self.id) {
            place.occupant = Occupant::Shaking;
        }
    }

    /// HTTP begins. Where that makes too many strangers, one goes.
    pub(super) fn open(&self, peer: &Peer, activity: &Activity) {
        let mut state = self.places.state();
        let Some(mut place) = state.handshakes.remove(&self.id) else {
            // It was sent away in this moment.
            return;
        };
        place.occupant = Occupant::Open(peer.clone(), activity.clone());
        if state.open.len() >= self.places.most.strangers
            && strangers(&state.open) >= self.places.most.strangers
        {
            evict(&mut state.open, |rank| {
                matches!(rank, Rank::IdleStranger | Rank::BusyStranger)
            });
        }
        state.open.insert(self.id, place);
    }

    /// Resolves when the place is needed for another.
    pub(super) async fn taken(&self) {
        self.leave.cancelled().await;
    }

    /// Whether those without business should go.
    pub(super) fn is_crowded(&self) -> bool {
        self.places.is_crowded()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.handshakes.remove(&self.id);
        state.open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
