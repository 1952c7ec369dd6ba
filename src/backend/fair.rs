//! Fair queue for a backend's slots: round robin between the waiting namespaces, and within one between its rules.
//!
//! Pure: a ticket enters, waits or runs, and leaves; whoever runs next is returned. Each namespace has a share of the slots, and
//! so has each `MetricRule`. Beyond its share it may borrow idle slots while its queries are quick, so that they are back in a
//! moment; a quarter of all slots is never lent.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::api::{BackendLimits, RuleKey};

/// Queries below this are quick: a slot that is lent to one is back before anybody minds.
const QUICK: Duration = Duration::from_millis(250);
/// How many of the last queries say how long the next will take.
const REMEMBERED: usize = 8;
/// Namespaces and rules at rest that are remembered; the memory of the others begins anew.
const AT_REST: usize = 2048;
/// The most that wait for one namespace; the places of the API server are fewer.
const MAX_WAITING: usize = 1024;

/// Whose share a query is counted against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Tenant {
    /// The namespace of the request.
    Namespace(Arc<str>),
    /// A request without a namespace.
    Cluster,
    /// The listings of series, whoever's rule they are for.
    Listings,
}

/// On whose behalf a slot is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) tenant: Tenant,
    pub(super) rule: Option<Arc<RuleKey>>,
}

/// One place in the queue or at the backend.
pub(super) type Ticket = u64;

/// The bound that a query waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ceiling {
    /// `limits.maxConcurrent`.
    Backend,
    /// `limits.perNamespace.maxConcurrent`.
    Namespace,
    /// `limits.perRule.maxConcurrent`.
    Rule,
    /// `limits.queriesPerSecond`.
    Rate,
}

/// How many slots there are, and whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shares {
    all: usize,
    tenant: usize,
    rule: usize,
    /// Never lent.
    reserve: usize,
}

/// `W` is what wakes the one that waits.
#[derive(Debug)]
pub(super) struct FairQueue<W> {
    shares: Shares,
    next: Ticket,
    running: HashMap<Ticket, Who>,
    waiting: HashMap<Tenant, VecDeque<Waiter<W>>>,
    /// Those of `waiting`, in the order of their turns.
    turns: VecDeque<Tenant>,
    tenants: HashMap<Tenant, Usage>,
    rules: HashMap<Arc<RuleKey>, Usage>,
}

#[derive(Debug)]
struct Waiter<W> {
    ticket: Ticket,
    rule: Option<Arc<RuleKey>>,
    wake: W,
}

/// What somebody has at the backend, and how long it took lately.
#[derive(Debug, Default)]
struct Usage {
    /// With the time of the start; tickets grow, so that the first is the oldest.
    running: BTreeMap<Ticket, Instant>,
    took: VecDeque<Duration>,
}

// === impl FairQueue ===

impl<W> FairQueue<W> {
    pub(super) fn new(limits: &BackendLimits) -> Self {
        Self {
            shares: Shares::of(limits),
            next: 0,
            running: HashMap::new(),
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            tenants: HashMap::new(),
            rules: HashMap::new(),
        }
    }

    /// Queues up; `None` where far too many wait for this tenant. [`Self::start`] tells whose turn it is.
    pub(super) fn enter(&mut self, who: &Who, wake: W) -> Option<Ticket> {
        let waiting = self.waiting.entry(who.tenant.clone()).or_default();
        if waiting.len() >= MAX_WAITING {
            return None;
        }
        if waiting.is_empty() {
            self.turns.push_back(who.tenant.clone());
        }
        self.next += 1;
        waiting.push_back(Waiter {
            ticket: self.next,
            rule: who.rule.clone(),
            wake,
        });
        Some(self.next)
    }

    /// Gives free slots to those who wait, in their order: first to those within their share, then idle ones on loan.
    pub(super) fn start(&mut self, now: Instant) -> Vec<(Ticket, W)> {
        let mut started = Vec::new();
        for on_loan in [false, true] {
            while let Some((turn, place)) = self.next_to_start(on_loan, now) {
                let Some(tenant) = self.turns.remove(turn) else {
                    break;
                };
                let Some(waiting) = self.waiting.get_mut(&tenant) else {
                    break;
                };
                let Some(waiter) = waiting.remove(place) else {
                    break;
                };
                if waiting.is_empty() {
                    self.waiting.remove(&tenant);
                } else {
                    self.turns.push_back(tenant.clone());
                }
                let who = Who {
                    tenant,
                    rule: waiter.rule,
                };
                self.begin(waiter.ticket, who, now);
                started.push((waiter.ticket, waiter.wake));
            }
        }
        started
    }

    /// Gives a place back, from the queue or from the backend; `took` is for a query that came to its end.
    pub(super) fn leave(&mut self, ticket: Ticket, who: &Who, took: Option<Duration>, now: Instant) {
        if let Some(who) = self.running.remove(&ticket) {
            if let Some(usage) = self.tenants.get_mut(&who.tenant) {
                usage.end(ticket, took, now);
            }
            if let Some(usage) = who.rule.as_ref().and_then(|rule| self.rules.get_mut(rule)) {
                usage.end(ticket, took, now);
            }
            prune(&mut self.tenants);
            prune(&mut self.rules);
            return;
        }
        if let Some(waiting) = self.waiting.get_mut(&who.tenant) {
            waiting.retain(|waiter| waiter.ticket != ticket);
            if waiting.is_empty() {
                self.waiting.remove(&who.tenant);
                self.turns.retain(|tenant| *tenant != who.tenant);
            }
        }
    }

    /// New bounds; what is at the backend goes on and counts.
    pub(super) fn set_limits(&mut self, limits: &BackendLimits) {
        self.shares = Shares::of(limits);
    }

    /// How many of one's own are in front of a ticket that waits; all of the tenant and those of the rule.
    pub(super) fn ahead(&self, ticket: Ticket, who: &Who) -> (usize, usize) {
        let Some(waiting) = self.waiting.get(&who.tenant) else {
            return (0, 0);
        };
        let ahead = waiting.iter().take_while(|waiter| waiter.ticket != ticket);
        ahead.fold((0, 0), |(all, same), waiter| {
            (all + 1, same + usize::from(waiter.rule == who.rule))
        })
    }

    /// The least time that a ticket will wait for a slot, and that it will then take, by the shortest of its like lately, however
    /// the turns of others fall. Nothing is said without enough of them: who could be served must not be sent away.
    pub(super) fn least_time(&self, ticket: Ticket, who: &Who, now: Instant) -> (Duration, Duration) {
        let (ahead, ahead_of_rule) = self.ahead(ticket, who);
        let of_tenant = self.tenants.get(&who.tenant).map_or(Duration::ZERO, |usage| {
            let slots = if usage.least() <= QUICK {
                self.shares.all
            } else {
                self.shares.tenant
            };
            usage.least_wait(ahead, slots, now)
        });
        let Some(rule) = who.rule.as_ref().and_then(|rule| self.rules.get(rule)) else {
            return (of_tenant, Duration::ZERO);
        };
        let slots = if rule.least() <= QUICK || !is_capped(who.rule.as_ref()) {
            self.shares.all
        } else {
            self.shares.rule
        };
        let wait = of_tenant.max(rule.least_wait(ahead_of_rule, slots, now));
        (wait, rule.least())
    }

    /// What a ticket that waits is waiting for.
    pub(super) fn ceiling(&self, who: &Who) -> Ceiling {
        if is_capped(who.rule.as_ref()) && self.running_of_rule(who.rule.as_ref()) >= self.shares.rule {
            Ceiling::Rule
        } else if self.running_of(&who.tenant) >= self.shares.tenant {
            Ceiling::Namespace
        } else {
            Ceiling::Backend
        }
    }

    /// How many at once would be at the backend if a ceiling were no bound: those that are there, and those that wait.
    pub(super) fn wanted(&self, ceiling: Ceiling, who: &Who) -> usize {
        let of_tenant = self.waiting.get(&who.tenant);
        match ceiling {
            Ceiling::Rule => {
                let waiting = of_tenant.map_or(0, |waiting| {
                    waiting.iter().filter(|waiter| waiter.rule == who.rule).count()
                });
                self.running_of_rule(who.rule.as_ref()) + waiting
            }
            Ceiling::Namespace => self.running_of(&who.tenant) + of_tenant.map_or(0, VecDeque::len),
            Ceiling::Backend | Ceiling::Rate => self.running.len() + self.queued(),
        }
    }

    /// How many wait.
    pub(super) fn queued(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    /// Whose turn it is, and which of theirs: indices into `turns` and the tenant's queue.
    fn next_to_start(&self, on_loan: bool, now: Instant) -> Option<(usize, usize)> {
        let free = self.shares.all.saturating_sub(self.running.len());
        let needed = if on_loan { self.shares.reserve } else { 0 };
        if free <= needed {
            return None;
        }
        self.turns.iter().enumerate().find_map(|(turn, tenant)| {
            let waiting = self.waiting.get(tenant)?;
            // Between the rules of one namespace too: the one with the least at the backend, then the first to come.
            let place = waiting
                .iter()
                .enumerate()
                .filter(|(_, waiter)| self.may_start(tenant, waiter.rule.as_ref(), on_loan, now))
                .min_by_key(|(_, waiter)| (self.running_of_rule(waiter.rule.as_ref()), waiter.ticket))
                .map(|(place, _)| place)?;
            Some((turn, place))
        })
    }

    fn may_start(&self, tenant: &Tenant, rule: Option<&Arc<RuleKey>>, on_loan: bool, now: Instant) -> bool {
        let within = |usage: Option<&Usage>, share: usize| {
            let running = usage.map_or(0, |usage| usage.running.len());
            running < share || (on_loan && usage.is_some_and(|usage| usage.is_quick(now)))
        };
        let usage_of_rule = rule.and_then(|rule| self.rules.get(rule));
        within(self.tenants.get(tenant), self.shares.tenant)
            && (!is_capped(rule) || within(usage_of_rule, self.shares.rule))
    }

    fn begin(&mut self, ticket: Ticket, who: Who, now: Instant) {
        let usage = self.tenants.entry(who.tenant.clone()).or_default();
        usage.running.insert(ticket, now);
        if let Some(rule) = &who.rule {
            let usage = self.rules.entry(rule.clone()).or_default();
            usage.running.insert(ticket, now);
        }
        self.running.insert(ticket, who);
    }

    fn running_of(&self, tenant: &Tenant) -> usize {
        self.tenants.get(tenant).map_or(0, |usage| usage.running.len())
    }

    fn running_of_rule(&self, rule: Option<&Arc<RuleKey>>) -> usize {
        rule.and_then(|rule| self.rules.get(rule))
            .map_or(0, |usage| usage.running.len())
    }
}

/// The platform team's own rules serve every namespace, and are bounded by each namespace's share.
fn is_capped(rule: Option<&Arc<RuleKey>>) -> bool {
    rule.is_some_and(|rule| rule.namespace.is_some())
}

fn prune<K: std::hash::Hash + Eq>(usages: &mut HashMap<K, Usage>) {
    if usages.len() > AT_REST {
        usages.retain(|_, usage| !usage.running.is_empty());
    }
}

// === impl Shares ===

impl Shares {
    fn of(limits: &BackendLimits) -> Self {
        let size = |number: u32| usize::try_from(number.max(1)).unwrap_or(usize::MAX);
        let all = size(limits.max_concurrent);
        // The last slot is for somebody else.
        let tenant = size(limits.per_namespace.max_concurrent).min(all.saturating_sub(1).max(1));
        Self {
            all,
            tenant,
            rule: size(limits.per_rule.max_concurrent).min(tenant),
            reserve: all.div_ceil(4),
        }
    }
}

// === impl Usage ===

impl Usage {
    /// One that was given up says at least that it was not quick.
    fn end(&mut self, ticket: Ticket, took: Option<Duration>, now: Instant) {
        let started = self.running.remove(&ticket);
        let lingered = started
            .map(|started| now.saturating_duration_since(started))
            .filter(|lingered| *lingered > QUICK);
        if let Some(took) = took.or(lingered) {
            if self.took.len() >= REMEMBERED {
                self.took.pop_front();
            }
            self.took.push_back(took);
        }
    }

    /// Whether all that is known of it is quick; nothing known is not.
    fn is_quick(&self, now: Instant) -> bool {
        let lingers = self
            .running
            .values()
            .next()
            .is_some_and(|started| now.saturating_duration_since(*started) > QUICK);
        !lingers && !self.took.is_empty() && self.took.iter().all(|took| *took <= QUICK)
    }

    /// The least time until one starts that `ahead` others go before, with so many slots.
    fn least_wait(&self, ahead: usize, slots: usize, now: Instant) -> Duration {
        let slots = slots.max(1);
        let oldest = self
            .running
            .values()
            .next()
            .filter(|_| self.running.len() >= slots);
        let first = oldest.map_or(Duration::ZERO, |started| {
            self.least()
                .saturating_sub(now.saturating_duration_since(*started))
        });
        let rounds = u32::try_from(ahead / slots).unwrap_or(u32::MAX);
        first + self.least().saturating_mul(rounds)
    }

    /// The shortest of the last; zero while there are too few of them.
    fn least(&self) -> Duration {
        if self.took.len() < REMEMBERED {
            return Duration::ZERO;
        }
        self.took.iter().min().copied().unwrap_or_default()
    }
}
