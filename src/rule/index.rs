//! Everything that the watches have seen, compiled once.
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
    compile,
};
use crate::{
    api::{invariant::Violation, metric_rule::RuleKey, rule_spec::RuleSpec},
    reason::Reason,
    resource::Resources,
};

/// The rules, backends, namespaces and kinds now known.
#[derive(Debug, Default)]
pub struct Index {
    rules: BTreeMap<RuleKey, Arc<CompiledRule>>,
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

// === impl Index ===

impl Index {
    /// A rule was added or changed. Says whether the table differs now: a write of the status alone does not count.
    pub fn apply_rule(&mut self, object: RuleObject) -> bool {
        if let Some(known) = self.rules.get(&object.key)
            && is_same(&known.object, &object)
        {
            return false;
        }
        let rule = self.compile(object);
        self.rules.insert(rule.key().clone(), Arc::new(rule));
        true
    }

    /// A rule is gone. Keyed by name, so that it is honoured for an object that no longer decodes.
    pub fn delete_rule(&mut self, key: &RuleKey) -> bool {
        self.rules.remove(key).is_some()
    }

    /// A watch listed all rules of its kind: those that are missing are gone.
    pub fn reset_rules(&mut self, scope: RuleScope, objects: Vec<RuleObject>) -> bool {
        match scope {
            RuleScope::Namespaced => self.listed.rules = true,
            RuleScope::Cluster => self.listed.cluster_rules = true,
        }
        let listed: BTreeSet<RuleKey> = objects.iter().map(|object| object.key.clone()).collect();
        let before = self.rules.len();
        self.rules
            .retain(|key, _| !scope.holds(key) || listed.contains(key));
        let mut changed = self.rules.len() != before;
        for object in objects {
            changed |= self.apply_rule(object);
        }
        changed
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

    fn compile(&self, object: RuleObject) -> CompiledRule {
        let backend = self.backend_of(&object);
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
    }

    /// Compiles the rules again whose labels name other kinds now, or name kinds again that were gone: a template is read
    /// when it is used, so a kind that comes or goes concerns only the rules that list it.
    fn remap(&mut self, before: &Resources) {
        let remapped = self.rules.values().filter(|rule| self.is_remapped(rule, before));
        self.compile_again(remapped.map(|rule| rule.object.clone()).collect());
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

/// An object that does not decode has no generation to trust, so its message is compared.
fn is_same(known: &RuleObject, seen: &RuleObject) -> bool {
    let same_spec = match (&known.spec, &seen.spec) {
        (Ok(_), Ok(_)) => true,
        (Err(known), Err(seen)) => known == seen,
        _ => false,
    };
    same_spec && known.uid == seen.uid && known.generation == seen.generation
}
