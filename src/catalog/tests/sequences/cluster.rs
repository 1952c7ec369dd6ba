//! Cluster that a sequence is played on: specs, backends, series, two replicas, and the record.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{
    oracle::{Answer, Facts, Listed, Oracle},
    replica::{Replica, listed, selected},
    specs::{Backends, Breakage, METRICS, RULES, Spec},
};
use crate::{
    api::invariant::Violation,
    catalog::{
        Catalog, Entry, Listing, Recorded, Standing, derive,
        recorded::{Record, RecordSource, advance, pack, unpack},
    },
    resource::GroupResource,
    rule::{
        CompiledRule, Index, RuleObject, RuleTable,
        budget::SHARE,
        testing::{backend, index, rule},
    },
};

/// How catalogs are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Build {
    Real,
    /// From what a replica has listed alone.
    LocalOnly,
    /// Without the claims of rules that are refused.
    ForgetsRefused,
    /// What a replica alone has found is answered at once.
    BelievesItself,
    /// A former spec goes on answering, whether or not the present one is refused.
    KeepsRefused,
}

pub(super) struct Cluster {
    build: Build,
    rules: [Option<Existing>; 3],
    pub(super) backends: Backends,
    pub(super) present: [bool; 2],
    pub(super) leader: usize,
    minutes: i64,
    replicas: [Replica; 2],
    record: Arc<Record>,
    oracle: Oracle,
    created: usize,
    /// Every spec that there was, by UID and generation.
    specs: BTreeMap<(String, i64), Spec>,
}

#[derive(Clone)]
pub(super) struct Existing {
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) spec: Spec,
}

type Compiled = (usize, Spec, Backends);

thread_local! {
    /// Compiling is what takes long, and its outcome is the same each time.
    static COMPILED: RefCell<BTreeMap<String, Arc<CompiledRule>>> = const { RefCell::new(BTreeMap::new()) };
    static TABLES: RefCell<BTreeMap<String, RuleTable>> = const { RefCell::new(BTreeMap::new()) };
}

fn with_backends(backends: Backends) -> Index {
    let mut index = index();
    index.apply_backend(backend("second", "{}", false));
    match backends {
        Backends::One => {}
        Backends::None => {
            index.delete_backend("default");
        }
        Backends::TwoDefaults => {
            index.apply_backend(backend("second", "{}", true));
        }
        Backends::NotForShop => {
            let text = "{allowedNamespaces: {from: Selector, selector: {matchLabels: {team: bank}}}}";
            index.apply_backend(backend("default", text, true));
        }
    }
    index
}

fn table(backends: Backends) -> RuleTable {
    TABLES.with_borrow_mut(|tables| {
        tables
            .entry(format!("{backends:?}"))
            .or_insert_with(|| with_backends(backends).table())
            .clone()
    })
}

fn compiled(wanted: Compiled) -> Arc<CompiledRule> {
    let (number, spec, backends) = wanted;
    COMPILED.with_borrow_mut(|known| {
        known
            .entry(format!("{wanted:?}"))
            .or_insert_with(|| {
                let mut index = with_backends(backends);
                if spec.breakage == Breakage::Quota {
                    index.apply_rule(filler());
                }
                let text = spec.text(number);
                let mut object = rule(RULES[number], &text);
                if spec.breakage == Breakage::Undecodable {
                    object.spec = Err("it does not decode".to_owned());
                }
                let key = object.key.clone();
                index.apply_rule(object);
                let rule = index.table().get(&key).unwrap().clone();
                assert_eq!(
                    rule.refusals.is_empty(),
                    !spec.breaks(number),
                    "{text}: {:?}",
                    rule.refusals
                );
                rule
            })
            .clone()
    })
}

/// An older rule that leaves its namespace no room.
fn filler() -> RuleObject {
    let mut object = rule(
        "shop/filler",
        "name: {as: filler}\napi: External\nmetricsQuery: up{<<.LabelMatchers>>}",
    );
    object.created = Some(Timestamp::MIN);
    object.violations = vec![Violation {
        path: "spec".to_owned(),
        message: "x".repeat(SHARE / 2 - 1024),
    }];
    object
}

// === impl Cluster ===

impl Cluster {
    pub(super) fn new(build: Build) -> Self {
        Self {
            build,
            rules: [None, None, None],
            backends: Backends::One,
            present: [true, true],
            leader: 0,
            minutes: 0,
            replicas: [Replica::default(), Replica::default()],
            record: Arc::default(),
            oracle: Oracle::default(),
            created: 0,
            specs: BTreeMap::new(),
        }
    }

    pub(super) fn spec(&self, rule: usize) -> Option<Spec> {
        self.rules[rule].as_ref().map(|rule| rule.spec)
    }

    pub(super) fn apply(&mut self, rule: usize, mut spec: Spec, anew: bool) {
        if rule != 0 && spec.breakage == Breakage::Quota {
            spec.breakage = Breakage::None;
        }
        self.created += 1;
        let (uid, generation) = match &self.rules[rule] {
            Some(known) if !anew => (known.uid.clone(), known.generation + 1),
            _ => (format!("uid-{}", self.created), 1),
        };
        self.specs.insert((uid.clone(), generation), spec);
        self.rules[rule] = Some(Existing {
            uid,
            generation,
            spec,
        });
    }

    pub(super) fn delete(&mut self, rule: usize) {
        self.rules[rule] = None;
    }

    pub(super) fn restart(&mut self, replica: usize) {
        self.replicas[replica] = Replica::default();
    }

    /// Lists what one rule, or what all of them need.
    pub(super) fn list(&mut self, replica: usize, only: Option<usize>, fails: bool) {
        let table = self.table();
        let needed: Vec<String> = (0..RULES.len())
            .filter(|rule| only.is_none_or(|only| only == *rule))
            .filter_map(|rule| listed(&table, &*self.compiled(rule)?))
            .collect();
        let present = self.present;
        for listed in needed {
            let state = self.replicas[replica].listed.entry(listed).or_default();
            state.1 = fails;
            if !fails {
                state.0 = Some(present);
            }
        }
    }

    /// Takes down what each rule makes now. After each event, for an edit may change what is listed; a former spec is over when
    /// `minutes` pass.
    pub(super) fn pass(&mut self, minutes: i64) {
        self.minutes += minutes;
        let table = self.table();
        for replica in [0, 1] {
            let made = table.rules.iter().filter_map(|rule| {
                let (present, listing) = self.replicas[replica].listing(&table, rule, self.build);
                let metrics = match listing {
                    Listing::Pending => return None,
                    Listing::Edited { .. } if minutes > 0 => return None,
                    Listing::Edited { former } => former,
                    _ => Arc::new(derive(rule, &selected(rule, present), &table.resources)),
                };
                Some((rule.object.uid.clone(), metrics))
            });
            self.replicas[replica].made = made.collect();
        }
    }

    /// The leader writes the record, and both replicas read it.
    pub(super) fn write(&mut self) {
        let catalog = self.catalog(self.leader);
        let next = advance(&self.record, &catalog, self.now()).record;
        self.record = Arc::new(unpack(&pack(&next).unwrap()).unwrap());
        let mut oracle = std::mem::take(&mut self.oracle);
        oracle.write(&self.facts(self.leader), self.minutes);
        self.oracle = oracle;
    }

    /// Every answer of either replica is what the oracle allows.
    pub(super) fn check(&self) -> Result<(), String> {
        let facts = self.facts(self.leader);
        if self.build == Build::Real {
            self.oracle.compare(&self.record)?;
        }
        let catalogs = [self.catalog(0), self.catalog(1)];
        let seen = [self.seen(0), self.seen(1)];
        let former = [self.former(0), self.former(1)];
        for namespace in ["shop", "bank"] {
            for metric in METRICS {
                let answers = [0, 1].map(|replica| answer(&catalogs[replica], namespace, metric));
                let what = format!("{namespace}/{metric}: {answers:?}");
                for ((answer, seen), former) in answers.iter().zip(seen).zip(former) {
                    self.oracle
                        .judge(&facts, namespace, metric, *answer, (seen, former))
                        .map_err(|error| format!("{what}: {error}"))?;
                }
                if let [Some(one), Some(other)] = &answers
                    && one.answers
                    && other.answers
                    && one.rule != other.rule
                {
                    return Err(format!("{what}: two replicas, two rules"));
                }
            }
        }
        Ok(())
    }

    /// Mends everything: afterwards every claim is answered, on both replicas.
    pub(super) fn repair(&mut self) -> Result<(), String> {
        self.backends = Backends::One;
        for rule in 0..RULES.len() {
            if let Some(spec) = self.spec(rule).filter(|spec| spec.breakage != Breakage::None) {
                let breakage = Breakage::None;
                self.apply(rule, Spec { breakage, ..spec }, false);
            }
        }
        for replica in [0, 1] {
            self.list(replica, None, false);
        }
        self.write();
        self.check()?;
        let facts = self.facts(self.leader);
        for namespace in ["shop", "bank"] {
            for metric in METRICS {
                let owner = self.oracle.owner(&facts, namespace, metric);
                for replica in [0, 1] {
                    let answer = answer(&self.catalog(replica), namespace, metric);
                    if answer.map(|answer| (answer.rule, answer.answers)) != owner.map(|owner| (owner, true))
                    {
                        return Err(format!(
                            "{namespace}/{metric} at {replica}: {answer:?}, not {owner:?}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(self.minutes)
    }

    fn compiled(&self, number: usize) -> Option<Arc<CompiledRule>> {
        let existing = self.rules[number].as_ref()?;
        let mut rule = (*compiled((number, existing.spec, self.backends))).clone();
        rule.object.uid.clone_from(&existing.uid);
        rule.object.generation = existing.generation;
        Some(Arc::new(rule))
    }

    fn table(&self) -> RuleTable {
        let mut rules: Vec<Arc<CompiledRule>> =
            (0..RULES.len()).filter_map(|rule| self.compiled(rule)).collect();
        rules.sort_by(|a, b| a.key().cmp(b.key()));
        RuleTable {
            rules: rules.into(),
            ..table(self.backends)
        }
    }

    fn catalog(&self, replica: usize) -> Catalog {
        let table = Arc::new(self.table());
        let entries = table.rules.iter().map(|rule| {
            let (present, listing) = self.replicas[replica].listing(&table, rule, self.build);
            Entry {
                metrics: Arc::new(derive(rule, &selected(rule, present), &table.resources)),
                listing,
            }
        });
        let entries: Vec<Entry> = entries.collect();
        if self.build == Build::LocalOnly {
            return Catalog::build(table.clone(), entries);
        }
        let mut record = self.record.clone();
        if self.build == Build::ForgetsRefused {
            let refused = table.rules.iter().filter(|rule| rule.refusal().is_some());
            for rule in refused {
                Arc::make_mut(&mut record).rules.remove(rule.object.uid.as_str());
            }
        }
        let source = if self.build == Build::BelievesItself {
            RecordSource::Own
        } else {
            RecordSource::Cluster
        };
        Catalog::build_recorded(table.clone(), entries, &Recorded { record, source })
    }

    /// By rule: the former spec that goes on answering on a replica.
    fn former(&self, replica: usize) -> [Option<Spec>; 3] {
        let table = self.table();
        [0, 1, 2].map(|rule| {
            match self.replicas[replica]
                .listing(&table, &*self.compiled(rule)?, self.build)
                .1
            {
                Listing::Edited { former } => {
                    let object = &former.rule.object;
                    self.specs.get(&(object.uid.clone(), object.generation)).copied()
                }
                _ => None,
            }
        })
    }

    /// By rule: the series of a replica's last good listing.
    fn seen(&self, replica: usize) -> [Listed; 3] {
        self.listings(replica).map(|listing| listing?.0)
    }

    fn listings(&self, replica: usize) -> [Option<(Listed, bool)>; 3] {
        let table = self.table();
        [0, 1, 2].map(|rule| {
            let listed = listed(&table, &*self.compiled(rule)?)?;
            self.replicas[replica].listed.get(&listed).copied()
        })
    }

    fn facts(&self, replica: usize) -> Facts<'_> {
        let listed = self
            .listings(replica)
            .map(|listing| listing.and_then(|(present, fails)| present.filter(|_| !fails)));
        Facts {
            rules: &self.rules,
            backends: self.backends,
            listed,
        }
    }
}

/// Who has the metric, and whether it answers.
fn answer(catalog: &Catalog, namespace: &str, metric: &str) -> Option<Answer> {
    let served = catalog.custom(&GroupResource::pods(), metric, Some(namespace))?;
    let key = served.rule.key();
    let at = match &key.namespace {
        Some(namespace) => format!("{namespace}/{}", key.name),
        None => key.name.clone(),
    };
    let rule = RULES.iter().position(|known| *known == at)?;
    let answers = served.rule.refusal().is_none()
        && catalog.table.check_backend(&served.rule, Some(namespace)).is_ok()
        && served.standing == Standing::Answers;
    Some(Answer {
        rule,
        answers,
        generation: served.rule.object.generation,
    })
}
