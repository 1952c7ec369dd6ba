//! Load on a group of pods: a total rate, shared evenly by the pods that run, so that scaling out lowers each one's share as in
//! life. Pure: pods and moments come in as values.

use std::collections::BTreeMap;
use std::time::Duration;

use super::series::{Kind, Line, Page};

/// What the exporter knows of a pod that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A counter on every running pod of a namespace that carries a label.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// The counter's name, e.g. `http_requests_total`.
    pub metric: String,
    /// The pods' namespace.
    pub namespace: String,
    /// The label that selects the pods, and its value.
    pub selector: (String, String),
    /// Labels that every series gets beside `namespace` and `pod`; one of those names here replaces it.
    pub labels: BTreeMap<String, String>,
    /// Per second, over all the pods.
    pub rate: f64,
}

/// Everything of a [`Load`] but its rate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LoadId {
    metric: String,
    namespace: String,
    selector: (String, String),
    labels: BTreeMap<String, String>,
}

/// All loads with the counters that they drive.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    pods: Vec<Pod>,
    loads: BTreeMap<LoadId, Driven>,
}

#[derive(Debug, Default)]
struct Driven {
    rate: f64,
    counters: BTreeMap<String, Line>,
}

// === impl Load ===

impl Load {
    /// `http_requests_total` on the pods labelled `app=<app>`.
    pub fn requests(namespace: &str, app: &str, rate: f64) -> Self {
        Self {
            metric: "http_requests_total".to_owned(),
            namespace: namespace.to_owned(),
            selector: ("app".to_owned(), app.to_owned()),
            labels: BTreeMap::new(),
            rate,
        }
    }
}

// === impl LoadId ===

impl LoadId {
    pub(crate) fn of(load: &Load) -> Self {
        Self {
            metric: load.metric.clone(),
            namespace: load.namespace.clone(),
            selector: load.selector.clone(),
            labels: load.labels.clone(),
        }
    }

    fn selects(&self, pod: &Pod) -> bool {
        pod.namespace == self.namespace && pod.labels.get(&self.selector.0) == Some(&self.selector.1)
    }
}

// === impl Loads ===

impl Loads {
    pub(crate) fn set(&mut self, now: Duration, load: &Load) {
        let id = LoadId::of(load);
        let driven = self.loads.entry(id.clone()).or_default();
        driven.rate = load.rate;
        driven.share(now, &id, &self.pods);
    }

    pub(crate) fn remove(&mut self, id: &LoadId) {
        self.loads.remove(id);
    }

    pub(crate) fn remove_namespace(&mut self, namespace: &str) {
        self.loads.retain(|id, _| id.namespace != namespace);
    }

    /// The pods that run now, all of them.
    pub(crate) fn set_pods(&mut self, now: Duration, pods: Vec<Pod>) {
        self.pods = pods;
        for (id, driven) in &mut self.loads {
            driven.share(now, id, &self.pods);
        }
    }

    pub(crate) fn write(&self, now: Duration, page: &mut Page) {
        for (id, driven) in &self.loads {
            for (pod, line) in &driven.counters {
                let mut labels = BTreeMap::from([("namespace", id.namespace.as_str()), ("pod", pod)]);
                labels.extend(id.labels.iter().map(|(name, value)| (&**name, &**value)));
                let labels: Vec<(&str, &str)> = labels.into_iter().collect();
                page.sample(Kind::Counter, &id.metric, &labels, line.at(now));
            }
        }
    }
}

// === impl Driven ===

impl Driven {
    /// Divides the rate anew. A new pod's counter starts at 0; one that is gone takes its series along.
    fn share(&mut self, now: Duration, id: &LoadId, pods: &[Pod]) {
        let names: Vec<&str> = pods
            .iter()
            .filter(|pod| id.selects(pod))
            .map(|pod| &*pod.name)
            .collect();
        self.counters.retain(|name, _| names.contains(&name.as_str()));
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        for name in names {
            let line = self
                .counters
                .entry(name.to_owned())
                .or_insert_with(|| Line::starting(now));
            line.set_rate(now, self.rate / f64::from(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Pod {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        Pod {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            labels,
        }
    }

    fn text(loads: &Loads, at: u64) -> String {
        let mut page = Page::default();
        loads.write(Duration::from_secs(at), &mut page);
        page.into_text()
            .lines()
            .skip(1)
            .map(|line| line.replace("http_requests_total", "") + "\n")
            .collect()
    }

    #[test]
    fn the_rate_is_shared_evenly_and_counters_survive_scaling() {
        let mut loads = Loads::default();
        loads.set_pods(Duration::ZERO, vec![pod("a"), pod("b")]);
        loads.set(Duration::ZERO, &Load::requests("shop", "web", 100.0));
        assert_eq!(
            text(&loads, 10),
            "{namespace=\"shop\",pod=\"a\"} 500\n{namespace=\"shop\",pod=\"b\"} 500\n"
        );
        loads.set_pods(
            Duration::from_secs(10),
            vec![pod("a"), pod("b"), pod("c"), pod("d")],
        );
        assert_eq!(
            text(&loads, 20),
            "{namespace=\"shop\",pod=\"a\"} 750\n{namespace=\"shop\",pod=\"b\"} 750\n\
             {namespace=\"shop\",pod=\"c\"} 250\n{namespace=\"shop\",pod=\"d\"} 250\n"
        );
        loads.set(Duration::from_secs(20), &Load::requests("shop", "web", 10.0));
        loads.set_pods(Duration::from_secs(20), vec![pod("b")]);
        assert_eq!(text(&loads, 21), "{namespace=\"shop\",pod=\"b\"} 760\n");
    }

    #[test]
    fn only_selected_pods_count_and_a_load_may_lie_about_its_labels() {
        let mut loads = Loads::default();
        let mut other = pod("x");
        "billing".clone_into(&mut other.namespace);
        loads.set_pods(Duration::ZERO, vec![pod("a"), other]);
        let mut load = Load::requests("shop", "web", 1.0);
        load.labels.insert("namespace".to_owned(), "victim".to_owned());
        loads.set(Duration::ZERO, &load);
        assert_eq!(text(&loads, 3), "{namespace=\"victim\",pod=\"a\"} 3\n");
    }
}
