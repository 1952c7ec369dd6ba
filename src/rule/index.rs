//! Index of everything that the watches have seen, compiled once.
//!
//! Synchronous and owned by one task: `apply`, `delete` and `reset` take what a watch says, [`Index::table`] gives the
//! whole. It knows no client, no clock and no channel, so that every race of a watch is a plain test.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Association, BackendObject, BackendRecord, CompiledRule, Namespaces, Problem, RuleObject, RuleTable,
    backend::{self, Backends},
    budget::Budget,
    compile,
    naming::Literal,
};
use crate::{
    api::{
        invariant::Violation,
        metric_rule::RuleKey,
        rule_spec::{ResourceMapping, RuleSpec},
    },
    reason::Reason,
    resource::Resources,
};

/// The rules, backends, namespaces and kinds now known.
#[derive(Debug, Default)]
pub struct Index {
    rules: BTreeMap<RuleKey, Arc<CompiledRule>>,
    budget: Budget,
    /// The rules that there is no room for: neither their spec nor what is made of it is kept.
    beyond: BTreeSet<RuleKey>,
    /// The rules that there is room for again, to be read anew.
    wanted: BTreeSet<RuleKey>,
    backends: Arc<Backends>,
    namespaces: Arc<Namespaces>,
    resources: Arc<Resources>,
    listed: Listed,
}

/// Which watches have listed once.
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each watch, and they change one at a time"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Listed {
    rules: bool,
    cluster_rules: bool,
    backends: bool,
    namespaces: bool,
}

/// Which kind of rule a reset is about; each kind has a watch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleScope {
    /// `MetricRule`.
    Namespaced,
    /// `ClusterMetricRule`.
    Cluster,
}

/// The most that is kept of the decoder's words on a rule that there is no room for, in characters.
const MAX_MESSAGE: usize = 256;
/// The most that is kept of such a rule's overrides, in bytes: enough for what people write.
const MAX_KINDS: usize = 1024;
/// What an override takes besides its texts.
const OVERRIDE: usize = 96;

// === impl Index ===

impl Index {
    /// A rule was added or changed. Says whether the table differs now: a write of the status alone does not count.
    pub fn apply_rule(&mut self, object: RuleObject) -> bool {
        if let Some(known) = self.rules.get(&object.key)
            && is_same(&known.object, &object)
            && !self.wanted.contains(&object.key)
        {
            return false;
        }
        self.wanted.remove(&object.key);
        self.beyond.remove(&object.key);
        let rule = self.compile(object);
        self.budget.set(rule.key(), rule.object.created, rule.weight());
        self.rules.insert(rule.key().clone(), Arc::new(rule));
        self.keep_budget();
        true
    }

    /// A rule is gone. Keyed by name, so that it is honoured for an object that no longer decodes.
    pub fn delete_rule(&mut self, key: &RuleKey) -> bool {
        self.forget(key);
        let changed = self.rules.remove(key).is_some();
        self.keep_budget();
        changed
    }

    /// Whether there is room again for rules whose specs were not kept: they are to be listed anew.
    pub fn wants_rules(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// A watch listed all rules of its kind, each of which was applied: those that are missing are gone.
    pub fn end_listing(&mut self, scope: RuleScope, listed: &BTreeSet<RuleKey>) {
        self.listed(scope);
        let gone: Vec<RuleKey> = self
            .rules
            .keys()
            .filter(|key| scope.holds(key) && !listed.contains(*key))
            .cloned()
            .collect();
        for key in &gone {
            self.forget(key);
            self.rules.remove(key);
        }
        // A rule that is wanted and was applied is there; one that was not is gone.
        self.wanted.retain(|key| !scope.holds(key));
        self.keep_budget();
    }

    /// A watch listed all rules of its kind: those that are missing are gone.
    pub fn reset_rules(&mut self, scope: RuleScope, objects: Vec<RuleObject>) -> bool {
        let listed: BTreeSet<RuleKey> = objects.iter().map(|object| object.key.clone()).collect();
        let before = self.rules.len();
        let mut changed = false;
        for object in objects {
            changed |= self.apply_rule(object);
        }
        self.end_listing(scope, &listed);
        changed || self.rules.len() != before
    }

    /// A backend was added or changed.
    pub fn apply_backend(&mut self, object: BackendObject) -> bool {
        let changed = self.insert_backend(object);
        if changed {
            self.rebind();
        }
        changed
    }

    /// A backend is gone.
    pub fn delete_backend(&mut self, name: &str) -> bool {
        let changed = Arc::make_mut(&mut self.backends).remove(name).is_some();
        if changed {
            self.rebind();
        }
        changed
    }

    /// The watch listed all backends.
    pub fn reset_backends(&mut self, objects: Vec<BackendObject>) -> bool {
        self.listed.backends = true;
        let listed: BTreeSet<&str> = objects.iter().map(|object| object.name.as_str()).collect();
        let before = self.backends.len();
        Arc::make_mut(&mut self.backends).retain(|name, _| listed.contains(name.as_ref()));
        let mut changed = self.backends.len() != before;
        for object in objects {
            changed |= self.insert_backend(object);
        }
        if changed {
            self.rebind();
        }
        changed
    }

    /// A namespace was added or changed.
    pub fn apply_namespace(&mut self, name: &str, labels: BTreeMap<String, String>) -> bool {
        self.namespaces.labels(name) != Some(&labels)
            && Arc::make_mut(&mut self.namespaces).insert(name, labels)
    }

    /// A namespace is gone.
    pub fn delete_namespace(&mut self, name: &str) -> bool {
        self.namespaces.labels(name).is_some() && Arc::make_mut(&mut self.namespaces).remove(name)
    }

    /// The watch listed all namespaces.
    pub fn reset_namespaces(&mut self, namespaces: Namespaces) -> bool {
        self.listed.namespaces = true;
        let changed = *self.namespaces != namespaces;
        if changed {
            self.namespaces = Arc::new(namespaces);
        }
        changed
    }

    /// The cluster's kinds were read again.
    pub fn set_resources(&mut self, resources: Arc<Resources>) -> bool {
        if *self.resources == *resources {
            return false;
        }
        let before = std::mem::replace(&mut self.resources, resources);
        self.remap(&before);
        true
    }

    /// The whole, as it is now.
    pub fn table(&self) -> RuleTable {
        let Listed {
            rules,
            cluster_rules,
            backends,
            namespaces,
        } = self.listed;
        RuleTable {
            synced: rules && cluster_rules && backends && namespaces && !self.resources.is_empty(),
            rules: self.rules.values().cloned().collect(),
            backends: self.backends.clone(),
            namespaces: self.namespaces.clone(),
            resources: self.resources.clone(),
        }
    }

    const fn listed(&mut self, scope: RuleScope) {
        match scope {
            RuleScope::Namespaced => self.listed.rules = true,
            RuleScope::Cluster => self.listed.cluster_rules = true,
        }
    }

    fn forget(&mut self, key: &RuleKey) {
        self.budget.remove(key);
        self.beyond.remove(key);
        self.wanted.remove(key);
    }

    /// Refuses the rules that there is no room for, and asks for those that there is room for again.
    fn keep_budget(&mut self) {
        let beyond = self.budget.beyond();
        if beyond == self.beyond {
            return;
        }
        let before = std::mem::replace(&mut self.beyond, beyond);
        self.wanted.extend(before.difference(&self.beyond).cloned());
        let refused: Vec<RuleObject> = self
            .beyond
            .difference(&before)
            .filter_map(|key| self.rules.get(key))
            .map(|rule| lean(&rule.object, rule.literal.is_some()))
            .collect();
        for object in &refused {
            self.wanted.remove(&object.key);
        }
        self.compile_again(refused);
    }

    /// Why a rule that there is no room for is not accepted.
    fn no_room(&self) -> Problem {
        let share = self.budget.share() >> 20;
        let message = format!(
            "the rules of the namespace take more than its {share} MiB of memory, and this rule is one of the \
             youngest: use fewer rules, simpler patterns or shorter queries"
        );
        Problem::new(Reason::QuotaExceeded, "spec", message)
    }

    fn compile(&self, object: RuleObject) -> CompiledRule {
        let backend = self.backend_of(&object);
        // What is left of its spec until it is read anew is no rule.
        if self.beyond.contains(&object.key) || self.wanted.contains(&object.key) {
            let read = self.rules.get(&object.key);
            let read = read
                .filter(|read| read.object.uid == object.uid && read.object.generation == object.generation);
            let literal = read.and_then(|read| read.literal.as_ref()).map(Literal::lean);
            return CompiledRule {
                literal,
                ..CompiledRule::refused(object, backend, self.no_room())
            };
        }
        compile(object, backend, &self.resources)
    }

    fn backend_of(&self, object: &RuleObject) -> Result<Arc<BackendRecord>, Problem> {
        let named = object
            .spec
            .as_ref()
            .ok()
            .and_then(|spec: &Arc<RuleSpec>| spec.backend_ref.as_ref());
        backend::resolve(&self.backends, named.map(|named| named.name.as_str()))
    }

    fn insert_backend(&mut self, object: BackendObject) -> bool {
        let BackendObject {
            name,
            uid,
            generation,
            is_default,
            spec,
            violations,
        } = object;
        let record = spec
            .map_err(|message| Problem::new(Reason::Undecodable, "", message))
            .and_then(|spec| match violations.into_iter().next() {
                Some(Violation { path, message }) => Err(Problem::new(Reason::InvalidSpec, path, message)),
                None => Ok(spec),
            })
            .and_then(|spec| BackendRecord::new(&name, uid, generation, is_default, spec).map(Arc::new));
        if self.backends.get(name.as_str()) == Some(&record) {
            return false;
        }
        Arc::make_mut(&mut self.backends).insert(name.into(), record);
        true
    }

    /// Compiles the rules again whose backend is no longer the one that they were compiled for. The others wait for
    /// nobody's backend: an edit that comes with it is served as soon as any other.
    fn rebind(&mut self) {
        let rebound = self
            .rules
            .values()
            .filter(|rule| rule.backend != self.backend_of(&rule.object));
        self.compile_again(rebound.map(|rule| rule.object.clone()).collect());
        self.keep_budget();
    }

    /// Compiles the rules again whose labels name other kinds now, or name kinds again that were gone: a template is read
    /// when it is used, so a kind that comes or goes concerns only the rules that list it.
    fn remap(&mut self, before: &Resources) {
        let remapped = self.rules.values().filter(|rule| self.is_remapped(rule, before));
        self.compile_again(remapped.map(|rule| rule.object.clone()).collect());
        self.keep_budget();
    }

    fn is_remapped(&self, rule: &CompiledRule, before: &Resources) -> bool {
        let Ok(spec) = &rule.object.spec else { return false };
        let map = |resources: &Resources| {
            let mapping =
                Association::compile(spec.resources.as_ref(), spec.effective_semantics(), resources);
            mapping.map(|mapping| {
                let namespaces = mapping.namespace_label(resources);
                (mapping, namespaces)
            })
        };
        match (map(before), map(&self.resources)) {
            (Ok((old, old_label)), Ok((new, new_label))) => !old.resolves_as(&new) || old_label != new_label,
            (Err(old), Err(new)) => old != new,
            _ => true,
        }
    }

    fn compile_again(&mut self, objects: Vec<RuleObject>) {
        for object in objects {
            let rule = self.compile(object);
            // What is left of a rule without room weighs nothing; the rule weighs what it did.
            if !self.beyond.contains(rule.key()) && !self.wanted.contains(rule.key()) {
                self.budget.set(rule.key(), rule.object.created, rule.weight());
            }
            self.rules.insert(rule.key().clone(), Arc::new(rule));
        }
    }
}

// === impl RuleScope ===

impl RuleScope {
    fn holds(self, key: &RuleKey) -> bool {
        key.namespace.is_some() == (self == Self::Namespaced)
    }
}

/// What is kept of a rule that there is no room for: who it is, what it would have been, and, where its spec names a metric, for
/// which kinds.
fn lean(object: &RuleObject, is_literal: bool) -> RuleObject {
    let lean = |spec: &RuleSpec| RuleSpec {
        api: spec.api,
        backend_ref: spec.backend_ref.clone(),
        priority: spec.priority,
        semantics: spec.semantics,
        resources: spec.resources.as_ref().filter(|_| is_literal).map(kinds),
        ..RuleSpec::default()
    };
    RuleObject {
        spec: object
            .spec
            .as_ref()
            .map(|spec| Arc::new(lean(spec)))
            .map_err(|message| message.chars().take(MAX_MESSAGE).collect()),
        violations: Vec::new(),
        ..object.clone()
    }
}

/// The first overrides of `mapping`, as far as there is room for them.
fn kinds(mapping: &ResourceMapping) -> ResourceMapping {
    let mut left = MAX_KINDS;
    let overrides = mapping.overrides.iter().take_while(|(label, kind)| {
        let group = kind.group.as_ref().map_or(0, String::len);
        let takes = OVERRIDE + label.len() + kind.resource.len() + group;
        let fits = takes <= left;
        left = left.saturating_sub(takes);
        fits
    });
    ResourceMapping {
        overrides: overrides
            .map(|(label, kind)| (label.clone(), kind.clone()))
            .collect(),
        ..ResourceMapping::default()
    }
}

/// An object that does not decode has no generation to trust, so its message is compared.
fn is_same(known: &RuleObject, seen: &RuleObject) -> bool {
    let same_spec = match (&known.spec, &seen.spec) {
        (Ok(_), Ok(_)) => true,
        (Err(known), Err(seen)) => known == seen,
        _ => false,
    };
    same_spec && known.uid == seen.uid && known.generation == seen.generation
}
