//! Budget of bytes: a backend's answer reserves its place in it before it takes memory.
//!
//! Nobody is given a fixed part. A namespace may hold as much as is free (the "dynamic thresholds" of shared switch
//! buffers): alone half of the whole, beside another one that takes all it gets a third. So something is always free,
//! and a namespace that fills its part refuses its own answers and nobody else's.
//!
//! What a replica's memory is made of, at the chart's limit of 512 MiB:
//!
//! | MiB | what | bound |
//! |--:|---|---|
//! | 96 | rows of answers in flight, items and replies until they are encoded | [`ANSWERS`] |
//! | 64 | listings, those that are read and those that are kept | [`LISTINGS`] |
//! | 32 | answers that are used again | `CAPACITY` of `answer::held` |
//! | 64 | encoded replies on their way, half of it for the front proxy | `reply_room` of `server::state` |
//! | 32 | bodies on their way: windows of HTTP/2, what waits for its decoder | `maxConcurrent` |
//! | 224 | rules, objects of the cluster, connections, and what the allocator does not give back | – |

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    metrics::{BackendMetrics, BudgetKind},
    sample::{InstantVector, SeriesSet},
};

/// All rows of answers in flight, and what is made of them until the reply is encoded, in bytes.
pub(super) const ANSWERS: usize = 96 << 20;
/// All listings, in bytes.
pub(super) const LISTINGS: usize = 64 << 20;
/// Places grow by as much at a time, so that a row costs no lock.
const STEP: usize = 64 << 10;

/// A number of bytes that many share. A clone is the same budget.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    kind: BudgetKind,
    total: usize,
    state: Mutex<State>,
    metrics: BackendMetrics,
}

#[derive(Default)]
struct State {
    used: usize,
    /// Without those that hold nothing.
    by: HashMap<Holder, usize>,
}

/// On whose behalf: a namespace, `None` for what belongs to none.
type Holder = Option<Arc<str>>;

/// A part of a budget, given back when it is dropped.
#[derive(Default)]
pub struct Place {
    budget: Option<(Budget, Holder)>,
    bytes: usize,
    /// What the place is about, kept for as long as the place.
    kept: Option<Arc<dyn Any + Send + Sync>>,
}

/// There is no room for this holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answers for this namespace take {} MiB of memory now, which is its share", .held >> 20)]
pub struct NoRoom {
    /// What it holds already.
    held: usize,
}

/// A value and its place in a budget.
#[derive(Debug, Default)]
pub struct Placed<T> {
    value: T,
    place: Mutex<Place>,
}

/// The rows of an answer.
pub type Rows = Placed<InstantVector>;
/// The series of a listing.
pub type ListedSeries = Placed<SeriesSet>;

// === impl Budget ===

impl Budget {
    /// A budget of so many bytes.
    pub(super) fn new(kind: BudgetKind, total: usize, metrics: BackendMetrics) -> Self {
        Self(Arc::new(Shared {
            kind,
            total,
            state: Mutex::default(),
            metrics,
        }))
    }

    /// An empty place for `holder`.
    pub fn place(&self, holder: Holder) -> Place {
        Place {
            budget: Some((self.clone(), holder)),
            bytes: 0,
            kept: None,
        }
    }

    fn take(&self, holder: &Holder, bytes: usize) -> Result<(), NoRoom> {
        let mut state = self.state();
        let held = state.by.get(holder).copied().unwrap_or(0);
        let free = self.0.total.saturating_sub(state.used);
        if held.saturating_add(bytes) > free {
            return Err(NoRoom { held });
        }
        state.used += bytes;
        *state.by.entry(holder.clone()).or_default() += bytes;
        self.0.metrics.budget_used(self.0.kind, state.used);
        Ok(())
    }

    fn give_back(&self, holder: &Holder, bytes: usize) {
        let mut state = self.state();
        state.used = state.used.saturating_sub(bytes);
        if let Some(held) = state.by.get_mut(holder) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                state.by.remove(holder);
            }
        }
        self.0.metrics.budget_used(self.0.kind, state.used);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.state().used
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("total", &self.0.total)
            .field("used", &self.state().used)
            .finish_non_exhaustive()
    }
}

// === impl Place ===

impl Place {
    /// Grows to at least `bytes`.
    ///
    /// # Errors
    ///
    /// [`NoRoom`], and the place is what it was.
    pub fn cover(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let more = bytes.saturating_sub(self.bytes);
        let Some((budget, holder)) = self.budget.as_ref().filter(|_| more > 0) else {
            return Ok(());
        };
        let step = more.max(STEP);
        let taken = match budget.take(holder, step) {
            Ok(()) => step,
            Err(_) if step > more && budget.take(holder, more).is_ok() => more,
            Err(no_room) => {
                budget.0.metrics.budget_refused(budget.0.kind);
                return Err(no_room);
            }
        };
        self.bytes += taken;
        Ok(())
    }

    /// Shrinks to `bytes`, where it is larger.
    pub fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        if let Some((budget, holder)) = self.budget.as_ref().filter(|_| less > 0) {
            budget.give_back(holder, less);
            self.bytes -= less;
        }
    }

    /// Keeps `what` for as long as the place lives: the place of what is made of it.
    #[must_use]
    pub fn keeping(mut self, what: Arc<dyn Any + Send + Sync>) -> Self {
        self.kept = Some(what);
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.bytes).finish()
    }
}

// === impl Placed ===

impl<T> Placed<T> {
    /// A value that takes that place.
    pub fn new(value: T, place: Place) -> Self {
        Self {
            value,
            place: Mutex::new(place),
        }
    }

    /// Gives the place back, for the value is counted elsewhere from now on.
    pub fn count_elsewhere(&self) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Place::default();
    }
}

/// A value that takes no place: a test's, or one of a fixed size.
impl<T> From<T> for Placed<T> {
    fn from(value: T) -> Self {
        Self::new(value, Place::default())
    }
}

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn budget(total: usize) -> Budget {
        Budget::new(BudgetKind::Answers, total, Metrics::new().backend)
    }

    #[test]
    fn a_namespace_that_takes_all_it_gets_leaves_room_for_others() {
        let budget = budget(64 << 20);
        let mut hogs = Vec::new();
        for name in ["a", "b", "c"] {
            let mut place = budget.place(Some(name.into()));
            while place.cover(place.bytes + STEP).is_ok() {}
            hogs.push(place);
        }
        let held: Vec<usize> = hogs.iter().map(|hog| hog.bytes >> 20).collect();
        assert_eq!(held, [32, 16, 8], "each as much as it leaves free");
        assert!(budget.place(Some("d".into())).cover(1 << 20).is_ok());
        assert!(budget.place(None).cover(1 << 20).is_ok());

        // Several places of one namespace are one share.
        assert!(budget.place(Some("a".into())).cover(1).is_err());
    }

    #[test]
    fn every_byte_is_given_back() {
        let budget = budget(1 << 20);
        let mut place = budget.place(Some("a".into()));
        place.cover(10).unwrap();
        assert_eq!(budget.used(), STEP, "in steps");
        place.shrink(10);
        assert_eq!(budget.used(), 10);
        place.cover(512 << 10).unwrap();
        assert!(place.cover(1 << 20).is_err());
        assert_eq!(budget.used(), 512 << 10, "a refusal takes nothing");
        let rows = Placed::new("rows", place);
        rows.count_elsewhere();
        assert_eq!((budget.used(), *rows), (0, "rows"));

        let kept: Arc<Place> = Arc::new({
            let mut place = budget.place(None);
            place.cover(STEP).unwrap();
            place
        });
        let item = budget.place(None).keeping(kept);
        assert_eq!(budget.used(), STEP);
        drop(item);
        assert_eq!(budget.used(), 0);
        assert!(
            budget.state().by.is_empty(),
            "no namespace is remembered for nothing"
        );
    }

    #[test]
    fn the_last_bytes_go_to_who_needs_no_whole_step() {
        let budget = budget(STEP - 1);
        let mut place = budget.place(None);
        place.cover(100).unwrap();
        assert_eq!(budget.used(), 100);
    }
}
