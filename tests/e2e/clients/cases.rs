//! The calls, and what a client has to make of their answers.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testbed::control_plane::NODE;

use super::program::Item;

/// One call and what is wanted of it.
pub(super) struct Case {
    pub(super) call: Value,
    pub(super) want: Want,
    /// The selector that comes back with each value.
    echo: Option<&'static str>,
}

pub(super) enum Want {
    /// Each `name=value`, in this order; an external value's labels stand for the name.
    Values(Vec<String>),
    /// An error: the predicates that hold, the code, what the message contains.
    Refused {
        is: Vec<&'static str>,
        code: u16,
        says: Vec<String>,
    },
}

const WINDOW: i64 = 10;

/// Every kind of answer and of refusal, for a client that may do everything.
pub(super) fn all(namespace: &str) -> Vec<Case> {
    let mut cases = custom(namespace);
    cases.extend(object_selectors(namespace));
    cases.extend(series_selectors(namespace));
    cases.extend(external(namespace));
    cases.extend(refusals(namespace));
    cases
}

/// What somebody sees who may read `clients_load` of pods and `clients_queue`, in one namespace.
pub(super) fn of_reader(namespace: &str) -> Vec<Case> {
    let forbidden = |asked: Asked, resource: &str, verb: &str, place: &str| {
        let who = format!("{resource} is forbidden: User \"{namespace}-reader\" cannot {verb} resource ");
        asked.refused(&["Forbidden"], 403, &[&who, place])
    };
    let here = format!("in the namespace \"{namespace}\"");
    vec![
        objects(namespace, "Pod", "clients_load").values(&["back=2M", "front=1500m", "store=-250m"]),
        object(namespace, "Pod", "front", "clients_load").values(&["front=1500m"]),
        queue(namespace, "clients_queue", "queue=orders").values(&["queue:orders=80"]),
        forbidden(
            object(namespace, "Deployment.apps", "web", "clients_backlog"),
            "deployments.apps.custom.metrics.k8s.io \"web\"",
            "get",
            &here,
        ),
        forbidden(
            object("", "Namespace", namespace, "clients_budget"),
            "metrics.custom.metrics.k8s.io \"clients_budget\"",
            "get",
            &here,
        ),
        forbidden(
            object("", "Node", NODE, "clients_power"),
            &format!("nodes.custom.metrics.k8s.io \"{NODE}\""),
            "get",
            "at the cluster scope",
        ),
        forbidden(
            objects("default", "Pod", "clients_load"),
            "pods.custom.metrics.k8s.io \"*\"",
            "get",
            "in the namespace \"default\"",
        ),
        forbidden(
            queue("default", "clients_queue", ""),
            "clients_queue.external.metrics.k8s.io",
            "list",
            "in the namespace \"default\"",
        ),
        // whether it exists is not for everybody
        forbidden(
            objects(namespace, "Pod", "nobody_makes_this"),
            "pods.custom.metrics.k8s.io \"*\"",
            "get",
            &here,
        ),
    ]
}

fn custom(namespace: &str) -> Vec<Case> {
    vec![
        object(namespace, "Pod", "front", "clients_load").values(&["front=1500m"]),
        object(namespace, "Pod", "store", "clients_load").values(&["store=-250m"]),
        objects(namespace, "Pod", "clients_load").values(&["back=2M", "front=1500m", "store=-250m"]),
        object(namespace, "Deployment.apps", "web", "clients_backlog").values(&["web=7"]),
        objects(namespace, "Deployment.apps", "clients_backlog").values(&["web=7"]),
        // an HPA asks for a Namespace without a namespace
        object("", "Namespace", namespace, "clients_budget").values(&[&format!("{namespace}=1234500m")]),
        object("", "Node", NODE, "clients_power").values(&[&format!("{NODE}=230500m")]),
        objects("", "Node", "clients_power").values(&[&format!("{NODE}=230500m")]),
        // and for everything else in its own, also for what lives in none
        object(namespace, "Node", NODE, "clients_power").values(&[&format!("{NODE}=230500m")]),
        objects(namespace, "Node", "clients_power").values(&[&format!("{NODE}=230500m")]),
    ]
}

fn object_selectors(namespace: &str) -> Vec<Case> {
    let table: [(&str, &[&str]); 14] = [
        ("app=web", &["back", "front"]),
        ("app==web", &["back", "front"]),
        ("app!=web", &["store"]),
        ("app in (web)", &["back", "front"]),
        ("app in (db,web)", &["back", "front", "store"]),
        ("app notin (web)", &["store"]),
        ("tier", &["back", "front"]),
        ("!tier", &["store"]),
        ("weight>10", &["back"]),
        ("weight<20", &["front"]),
        ("app=web,tier in (front,side),weight<11", &["front"]),
        ("tier notin (front)", &["back", "store"]),
        ("app=nobody", &[]),
        ("app=web,app=db", &[]),
    ];
    let value = |pod: &&str| match *pod {
        "back" => "back=2M",
        "front" => "front=1500m",
        _ => "store=-250m",
    };
    table
        .into_iter()
        .map(|(selector, pods)| {
            let values: Vec<&str> = pods.iter().map(value).collect();
            objects(namespace, "Pod", "clients_load")
                .with("selector", selector)
                .values(&values)
        })
        .collect()
}

/// Of a custom metric's series; the label `verb` is GET on `front`, POST on `back`, absent on `store`.
fn series_selectors(namespace: &str) -> Vec<Case> {
    let table: [(&str, &[&str], &'static str); 9] = [
        ("verb=GET", &["front=1500m"], "verb=GET"),
        ("verb==GET", &["front=1500m"], "verb=GET"),
        ("verb!=GET", &["back=2M", "store=-250m"], "verb notin (GET)"),
        (
            "verb in (GET,POST)",
            &["back=2M", "front=1500m"],
            "verb in (GET,POST)",
        ),
        ("verb notin (GET,POST)", &["store=-250m"], "verb notin (GET,POST)"),
        ("verb", &["back=2M", "front=1500m"], "verb"),
        ("!verb", &["store=-250m"], "!verb"),
        ("verb=PUT", &[], "verb=PUT"),
        (
            "verb=GET,verb!=POST",
            &["front=1500m"],
            "verb=GET,verb notin (POST)",
        ),
    ];
    let mut cases: Vec<Case> = table
        .into_iter()
        .map(|(selector, values, echo)| {
            let mut case = objects(namespace, "Pod", "clients_load")
                .with("metricSelector", selector)
                .values(values);
            case.echo = Some(echo);
            case
        })
        .collect();
    let mut one = object(namespace, "Pod", "front", "clients_load")
        .with("metricSelector", "verb in (GET)")
        .values(&["front=1500m"]);
    one.echo = Some("verb in (GET)");
    let mut both = objects(namespace, "Pod", "clients_load")
        .with("selector", "app=web")
        .with("metricSelector", "verb=POST")
        .values(&["back=2M"]);
    both.echo = Some("verb=POST");
    cases.extend([one, both]);
    for selector in ["verb>1", "verb<1"] {
        cases.push(
            objects(namespace, "Pod", "clients_load")
                .with("metricSelector", selector)
                .refused(&["BadRequest"], 400, &["InvalidSelector"]),
        );
    }
    cases
}

fn external(namespace: &str) -> Vec<Case> {
    let table: [(&str, &[&str]); 11] = [
        ("", &["queue:jobs=12345m", "queue:mails=0", "queue:orders=80"]),
        ("queue=orders", &["queue:orders=80"]),
        ("queue==mails", &["queue:mails=0"]),
        ("queue!=orders", &["queue:jobs=12345m", "queue:mails=0"]),
        ("queue in (mails,orders)", &["queue:mails=0", "queue:orders=80"]),
        ("queue notin (mails,orders)", &["queue:jobs=12345m"]),
        ("priority", &["queue:mails=0", "queue:orders=80"]),
        ("!priority", &["queue:jobs=12345m"]),
        ("queue=orders,priority=high", &["queue:orders=80"]),
        ("priority!=high", &["queue:jobs=12345m", "queue:mails=0"]),
        ("queue=nobody", &[]),
    ];
    let mut cases: Vec<Case> = table
        .into_iter()
        .map(|(selector, values)| queue(namespace, "clients_queue", selector).values(values))
        .collect();
    for selector in ["priority>1", "priority<1"] {
        cases.push(queue(namespace, "clients_queue", selector).refused(
            &["BadRequest"],
            400,
            &["InvalidSelector"],
        ));
    }
    cases
}

fn refusals(namespace: &str) -> Vec<Case> {
    let unknown = "the server could not find the metric nobody_makes_this for";
    vec![
        object(namespace, "Pod", "front", "nobody_makes_this").refused(
            &["NotFound"],
            404,
            &[&format!("{unknown} pods: "), "UnknownMetric: "],
        ),
        objects(namespace, "Pod", "nobody_makes_this").refused(
            &["NotFound"],
            404,
            &[&format!("{unknown} pods: "), "UnknownMetric: "],
        ),
        object(namespace, "Pod", "nobody", "clients_load").refused(
            &["NotFound"],
            404,
            &[
                "the server could not find the metric clients_load for pods nobody",
                "NoData: ",
            ],
        ),
        object("", "Namespace", namespace, "nobody_makes_this").refused(
            &["NotFound"],
            404,
            &[&format!("{unknown} namespaces: "), "UnknownMetric: "],
        ),
        object("", "Node", "nobody", "clients_power").refused(&["NotFound"], 404, &["NoData: "]),
        queue(namespace, "nobody_makes_this", "").refused(&["NotFound"], 404, &[unknown, "UnknownMetric: "]),
        // a rule serves its own namespace alone
        objects("default", "Pod", "clients_load").refused(&["NotFound"], 404, &["UnknownMetric: "]),
        objects(namespace, "Pod", "clients_down").refused(&["ServiceUnavailable"], 503, &["BackendDown: "]),
        object(namespace, "Pod", "front", "clients_down").refused(
            &["ServiceUnavailable"],
            503,
            &["BackendDown: "],
        ),
    ]
}

// === the calls ===

struct Asked(Value);

fn object(namespace: &str, kind: &str, name: &str, metric: &str) -> Asked {
    let call =
        json!({"call": "object", "namespace": namespace, "kind": kind, "object": name, "metric": metric});
    Asked(call)
}

fn objects(namespace: &str, kind: &str, metric: &str) -> Asked {
    Asked(json!({"call": "objects", "namespace": namespace, "kind": kind, "metric": metric}))
}

fn queue(namespace: &str, metric: &str, selector: &str) -> Asked {
    Asked(json!({"call": "external", "namespace": namespace, "metric": metric, "selector": selector}))
}

// === impl Asked ===

impl Asked {
    fn with(mut self, field: &str, value: &str) -> Self {
        self.0[field] = json!(value);
        self
    }

    fn values(self, values: &[&str]) -> Case {
        self.case(Want::Values(values.iter().map(ToString::to_string).collect()))
    }

    fn refused(self, is: &[&'static str], code: u16, says: &[&str]) -> Case {
        self.case(Want::Refused {
            is: is.to_vec(),
            code,
            says: says.iter().map(ToString::to_string).collect(),
        })
    }

    /// A case is named by what it asks.
    fn case(mut self, want: Want) -> Case {
        let fields = self.0.as_object().into_iter().flatten();
        let words: Vec<String> = fields
            .filter(|(_, value)| *value != "")
            .map(|(field, value)| format!("{field} {}", value.as_str().unwrap_or_default()))
            .collect();
        self.0["name"] = json!(words.join(", "));
        Case {
            call: self.0,
            want,
            echo: None,
        }
    }
}

// === impl Case ===

impl Case {
    pub(super) fn metric(&self) -> &str {
        self.call["metric"].as_str().unwrap_or_default()
    }

    /// What a value says besides its name and number.
    pub(super) fn check(&self, item: &Item) -> Result<()> {
        let kind = self.call["kind"].as_str().unwrap_or_default();
        if kind.is_empty() {
            ensure!(item.window.is_none(), "the query has no range: {item:?}");
            return Ok(());
        }
        ensure!(
            item.kind == kind.split('.').next().unwrap_or_default(),
            "{item:?}"
        );
        let (namespace, api_version) = match kind {
            "Pod" => (&self.call["namespace"], "/v1"),
            "Deployment.apps" => (&self.call["namespace"], "apps/v1"),
            _ => (&Value::Null, "/v1"),
        };
        ensure!(
            item.namespace == namespace.as_str().unwrap_or_default(),
            "{item:?}"
        );
        ensure!(item.api_version == api_version, "{item:?}");
        let window = (item.metric == "clients_load").then_some(WINDOW);
        ensure!(item.window == window, "the window is not {window:?}: {item:?}");
        ensure!(
            item.selector.as_deref() == self.echo,
            "the selector is not {:?}: {item:?}",
            self.echo
        );
        Ok(())
    }
}
