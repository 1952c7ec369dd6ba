//! The room for large replies that are not sent yet, in bytes, shared between the namespaces that are asked about.
//!
//! Nobody has a part of his own: a namespace may hold as much as it leaves free, alone half of the whole. So whoever asks for much
//! in one namespace and reads slowly keeps no other namespace's HPA from its reply.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The room at one door. A clone is the same.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    /// Without those that hold nothing.
    by: HashMap<Option<String>, usize>,
}

/// A part of a room, given back when it is dropped.
#[derive(Debug)]
pub(in crate::server) struct Taken {
    room: Room,
    namespace: Option<String>,
    bytes: usize,
}

// === impl Room ===

impl Room {
    /// Of so many bytes.
    pub(super) fn new(total: usize) -> Self {
        Self(Arc::new(Shared {
            total,
            state: Mutex::default(),
        }))
    }

    /// So many bytes for a reply about a namespace, if it then holds no more than is left.
    pub(super) fn take(&self, namespace: Option<&str>, bytes: usize) -> Option<Taken> {
        let namespace = namespace.map(ToOwned::to_owned);
        let mut state = self.state();
        let held = state.by.get(&namespace).copied().unwrap_or(0);
        let held = held.saturating_add(bytes);
        let left = self.0.total.checked_sub(state.used.saturating_add(bytes))?;
        if held > left {
            return None;
        }
        state.used += bytes;
        state.by.insert(namespace.clone(), held);
        drop(state);
        Some(Taken {
            room: self.clone(),
            namespace,
            bytes,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Taken ===

impl Drop for Taken {
    fn drop(&mut self) {
        let mut state = self.room.state();
        state.used = state.used.saturating_sub(self.bytes);
        if let Some(held) = state.by.get_mut(&self.namespace) {
            *held = held.saturating_sub(self.bytes);
            if *held == 0 {
                state.by.remove(&self.namespace);
            }
        }
    }
}

#[cfg(test)]
pub(in crate::server) fn taken_of(total: usize, bytes: usize) -> (Taken, impl Fn() -> usize) {
    let room = Room::new(total);
    let taken = room.take(None, bytes).unwrap();
    (taken, move || room.state().used)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_takes_all_he_gets_leaves_room_for_the_others() {
        let room = Room::new(64);
        let mut held = Vec::new();
        let mut take_all = |namespace: &str| {
            let before = held.len();
            while let Some(taken) = room.take(Some(namespace), 1) {
                held.push(taken);
            }
            held.len() - before
        };
        assert_eq!([take_all("a"), take_all("b"), take_all("c")], [32, 16, 8]);
        assert!(room.take(Some("a"), 1).is_none());
        assert!(room.take(Some("d"), 4).is_some() && room.take(None, 4).is_some());
        assert!(room.take(Some("e"), 33).is_none(), "larger than half");
        held.clear();
        assert!(room.take(Some("e"), 32).is_some());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_never_is_there_more(steps in prop::collection::vec((0..4_u8, 0..40_usize, any::<bool>()), 0..80)) {
            let (room, mut held) = (Room::new(100), Vec::new());
            for (namespace, bytes, gives_back) in steps {
                if gives_back && !held.is_empty() {
                    held.swap_remove(bytes % held.len());
                }
                held.extend(room.take(Some(&namespace.to_string()), bytes));
                let used: usize = held.iter().map(|taken| taken.bytes).sum();
                prop_assert_eq!(room.state().used, used);
                prop_assert!(used < 100);
            }
            held.clear();
            prop_assert_eq!(room.state().used, 0);
            prop_assert!(room.state().by.values().all(|held| *held == 0));
        }
    }
}
