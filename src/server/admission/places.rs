//! The places for requests being answered: how many there are, and who goes when there are too many.
//!
//! Whoever comes gets a place while there is one. Without one the HPA controller goes before people, and then whoever has less
//! before whoever has most: the newest request of the namespace with the most of them is sent away. So a crowd in one namespace
//! costs that namespace its places, and nobody else's HPA a value.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// The places of one door.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    taken: BTreeMap<Owner, BTreeMap<u64, CancellationToken>>,
}

/// Whose a request is. In the order in which requests are sent away: people's before the HPA controller's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    /// Whether the HPA controller asks: somebody's replicas depend on it.
    pub(super) is_autoscaler: bool,
    /// The namespace that is asked about, where there is one.
    pub(super) namespace: Option<String>,
}

/// A place until it is dropped or taken away.
#[derive(Debug)]
pub(in crate::server) struct Place {
    places: Places,
    owner: Owner,
    number: u64,
    taken_away: CancellationToken,
}

// === impl Places ===

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            state: Mutex::default(),
        }))
    }

    /// A place, if need be somebody else's; that not for a request that nothing will come of.
    pub(super) fn take(&self, owner: Owner, is_sound: bool) -> Option<Place> {
        let mut state = self.state();
        if state.count() >= self.0.most {
            is_sound.then(|| state.make_room(&owner))??;
        }
        state.next += 1;
        let (number, taken_away) = (state.next, CancellationToken::new());
        state
            .taken
            .entry(owner.clone())
            .or_default()
            .insert(number, taken_away.clone());
        drop(state);
        Some(Place {
            places: self.clone(),
            owner,
            number,
            taken_away,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn count(&self) -> usize {
        self.taken.values().map(BTreeMap::len).sum()
    }

    /// Takes the newest place of whoever matters less, or has more than `newcomer` will have.
    fn make_room(&mut self, newcomer: &Owner) -> Option<()> {
        let own = self.taken.get(newcomer).map_or(0, BTreeMap::len);
        let (_, places) = self
            .taken
            .iter_mut()
            .filter(|(owner, places)| {
                let matters_less = newcomer.is_autoscaler && !owner.is_autoscaler;
                let is_like = newcomer.is_autoscaler == owner.is_autoscaler;
                matters_less || (is_like && places.len() > own + 1)
            })
            .max_by_key(|(owner, places)| (!owner.is_autoscaler, places.len()))?;
        let (_, taken_away) = places.pop_last()?;
        taken_away.cancel();
        Some(())
    }
}

// === impl Place ===

impl Place {
    /// Waits until somebody else has got it.
    pub(in crate::server) async fn taken_away(&self) {
        self.taken_away.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        if let Some(places) = state.taken.get_mut(&self.owner) {
            places.remove(&self.number);
            if places.is_empty() {
                state.taken.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(namespace: &str) -> Owner {
        Owner {
            is_autoscaler: false,
            namespace: Some(namespace.to_owned()),
        }
    }

    fn autoscaler(namespace: &str) -> Owner {
        Owner {
            is_autoscaler: true,
            ..people(namespace)
        }
    }

    fn holds(place: &Place) -> bool {
        !place.taken_away.is_cancelled()
    }

    #[test]
    fn a_crowd_in_one_namespace_leaves_places_to_the_others() {
        let places = Places::new(4);
        let crowd: Vec<Place> = (0..4)
            .map(|_| places.take(people("lab"), true).unwrap())
            .collect();
        assert!(
            places.take(people("lab"), true).is_none(),
            "it has them all already"
        );
        let shop = places.take(people("shop"), true).unwrap();
        assert!(
            !holds(&crowd[3]) && crowd[..3].iter().all(holds),
            "the newest went"
        );
        let second = places.take(people("shop"), true).unwrap();
        assert!(
            places.take(people("shop"), true).is_none(),
            "two and two are fair"
        );
        assert!(holds(&shop) && holds(&second) && holds(&crowd[0]));
        let bank = places.take(people("bank"), true);
        assert!(bank.is_some(), "one who has none finds room");
        drop(crowd);
        assert!(
            places.take(people("bank"), true).is_some(),
            "what is given back is free"
        );
    }

    #[test]
    fn the_hpa_controller_goes_before_people() {
        let places = Places::new(2);
        let lab = places.take(people("lab"), true).unwrap();
        let shop = places.take(people("shop"), true).unwrap();
        let first = places.take(autoscaler("bank"), true).unwrap();
        let second = places.take(autoscaler("bank"), true).unwrap();
        assert!(!holds(&lab) && !holds(&shop));
        assert!(
            places.take(people("lab"), true).is_none(),
            "people take nothing of it"
        );
        let other = places.take(autoscaler("shop"), true);
        assert!(other.is_none(), "one of two would be no fairer");
        drop(first);
        assert!(holds(&second) && places.take(people("lab"), true).is_some());
    }

    #[test]
    fn places_are_never_more_and_never_lost() {
        let places = Places::new(3);
        let mut held = Vec::new();
        for turn in 0..200_usize {
            let namespace = ["a", "b", "c", "d"][turn * 7 % 4];
            let owner = if turn % 3 == 0 {
                autoscaler(namespace)
            } else {
                people(namespace)
            };
            held.extend(places.take(owner, true));
            if turn % 5 == 0 {
                held.remove(turn % held.len());
            }
            assert!(places.state().count() <= 3);
            assert_eq!(
                held.iter().filter(|place| holds(place)).count(),
                places.state().count()
            );
        }
        held.clear();
        assert!(places.state().taken.is_empty());
    }
}
