//! Query templates that try to see another namespace's series, and what must become of each.
//!
//! `OWN` and `OTHER` stand for the two namespaces, `NOW` for the time in seconds. The series `tenancy_queue` exists in both, for
//! pods of the same names: 1, 2, 3 and 4 in the own one, a thousand times as much in the other, and 5000 for a fifth pod there.

use Asked::{External, Namespace, Pod};
use Want::{Confined, Fails, Harmless, NoData, Refused};

/// What a rule of the own namespace tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Escape {
    /// In a few words; no two are the same.
    pub(super) what: &'static str,
    pub(super) asked: Asked,
    pub(super) template: &'static str,
    pub(super) want: Want,
}

/// How the rule's metric is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Of the pod `p-0`.
    Pod,
    /// Of the namespace itself.
    Namespace,
    /// An external metric, with this selector.
    External(&'static str),
}

/// What must become of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Want {
    /// It is answered with this number, made of the own namespace's series alone. Sent as written it would give another one.
    Confined(f64),
    /// As [`Confined`](Self::Confined), where the query as written gives the same number or none: nothing to gain, but it is
    /// to work.
    Harmless(f64),
    /// It is answered as if the other namespace had no series. Sent as written it would give a number.
    NoData,
    /// The rule is not Accepted, for this reason.
    Refused(&'static str),
    /// The rule is Accepted, and the request fails with this status and reason (or sentence of Kubernetes).
    Fails(u16, &'static str),
}

const fn case(what: &'static str, asked: Asked, template: &'static str, want: Want) -> Escape {
    Escape {
        what,
        asked,
        template,
        want,
    }
}

/// All of them, one a line.
#[rustfmt::skip]
pub(super) const ESCAPES: &[Escape] = &[
    // ── the matchers are left out ────────────────────────────────────────────────────────────────────
    case("no matchers", Pod, "sum by (<<.GroupBy>>) (<<.Series>>)", Confined(1.0)),
    case("no matchers, the name written out", Pod, "sum by (pod) (tenancy_queue)", Confined(1.0)),
    case("a quoted name", Pod, r#"sum by (pod) ({"tenancy_queue"})"#, Confined(1.0)),
    case("the name as a matcher", Pod, r#"sum by (pod) ({__name__="tenancy_queue"})"#, Confined(1.0)),
    case("the name as a pattern", Pod, r#"sum by (pod) ({__name__=~"tenancy_qu.*"})"#, Confined(1.0)),
    case("every name", Pod, r#"sum by (pod) ({__name__!="", pod="p-0"})"#, Confined(1.0)),
    case("no name at all", Pod, r#"sum by (pod) ({pod="p-0"})"#, Confined(1.0)),
    case("a raw string", Pod, "sum by (pod) (tenancy_queue{pod=~`p-.*`})", Confined(1.0)),
    case("the other's series by name", Pod, "sum by (pod) (tenancy_only_other)", NoData),
    case("sum without", Pod, "sum without (namespace, instance, job) (tenancy_queue)", Confined(1.0)),
    case("sorted", Pod, "sort_desc(sum by (pod) (tenancy_queue))", Confined(1.0)),
    case("negated", Pod, "-sum by (pod) (tenancy_queue)", Confined(-1.0)),
    // ── matchers on the namespace ────────────────────────────────────────────────────────────────────
    case("the other namespace", Pod, r#"sum by (pod) (tenancy_queue{namespace="OTHER"})"#, NoData),
    case("any but the own namespace", Pod, r#"sum by (pod) (tenancy_queue{namespace!="OWN"})"#, NoData),
    case("any but the own, as a pattern", Pod, r#"sum by (pod) (tenancy_queue{namespace!~"OWN"})"#, NoData),
    case("any namespace", Pod, r#"sum by (pod) (tenancy_queue{namespace=~".*"})"#, Confined(1.0)),
    case("both namespaces", Pod, r#"sum by (pod) (tenancy_queue{namespace=~"OWN|OTHER"})"#, Confined(1.0)),
    case("no namespace that there is", Pod, r#"sum by (pod) (tenancy_queue{namespace!~"nobody"})"#, Confined(1.0)),
    case("the other first, then any", Pod, r#"sum by (pod) (tenancy_queue{namespace="OTHER",namespace=~".+"})"#, NoData),
    case("no namespace label", Pod, r#"sum by (pod) (tenancy_queue{namespace=""})"#, NoData),
    case("the matchers and the other namespace", Pod, r#"sum by (pod) (tenancy_queue{<<.LabelMatchers>>} or tenancy_queue{namespace="OTHER"})"#, Confined(1.0)),
    // ── subqueries, offsets, moments ─────────────────────────────────────────────────────────────────
    case("a range", Pod, "sum by (pod) (max_over_time(tenancy_queue[10s]))", Confined(1.0)),
    case("a subquery", Pod, "sum by (pod) (max_over_time(tenancy_queue[10s:1s]))", Confined(1.0)),
    case("a subquery of a sum", Pod, "max_over_time(sum by (pod) (tenancy_queue)[5s:1s])", Confined(1.0)),
    case("subqueries, nested", Pod, "max_over_time(max_over_time(sum by (pod) (tenancy_queue)[5s:1s])[4s:2s] offset 1s)", Confined(1.0)),
    case("an offset", Pod, "sum by (pod) (tenancy_queue offset 1s)", Confined(1.0)),
    case("a negative offset", Pod, "sum by (pod) (tenancy_queue offset -1s)", Confined(1.0)),
    case("a moment", Pod, "sum by (pod) (tenancy_queue @ NOW)", Confined(1.0)),
    case("the end", Pod, "sum by (pod) (tenancy_queue @ end())", Confined(1.0)),
    case("a range at a moment, with an offset", Pod, "sum by (pod) (last_over_time(tenancy_queue[1m] @ NOW offset 1s))", Confined(1.0)),
    // ── operators between vectors ────────────────────────────────────────────────────────────────────
    case("or", Pod, "sum by (pod) (<<.Series>>{<<.LabelMatchers>>} or tenancy_queue)", Confined(1.0)),
    case("unless", Pod, r#"sum by (pod) (tenancy_queue unless tenancy_queue{namespace="OWN"})"#, NoData),
    case("and", Pod, r#"sum by (pod) (tenancy_queue{namespace!="OWN"} and on (pod) tenancy_queue{namespace="OWN"})"#, NoData),
    case("group_left", Pod, r#"tenancy_queue{namespace="OWN"} + on (pod) group_left () sum by (pod) (tenancy_queue)"#, Confined(2.0)),
    case("group_left with the other's label", Pod, r#"label_replace(tenancy_queue{namespace="OWN"} * on (pod) group_left (secret) tenancy_secret{namespace="OTHER"}, "pod", "p-0", "", "")"#, NoData),
    case("group_right", Pod, r#"sum by (pod) (sum by (pod) (tenancy_queue{namespace="OWN"}) + on (pod) group_right () tenancy_queue)"#, Confined(2.0)),
    case("ignoring", Pod, "sum by (pod) (tenancy_queue{<<.LabelMatchers>>}) + ignoring (pod) group_left () sum(tenancy_queue)", Confined(11.0)),
    case("a comparison", Pod, r#"sum by (pod) (tenancy_queue{namespace="OWN"}) < bool on (pod) sum by (pod) (tenancy_queue)"#, Confined(0.0)),
    case("a share", Namespace, r#"label_replace(sum(tenancy_queue{namespace="OWN"}) / sum(tenancy_queue), "namespace", "OWN", "", "")"#, Confined(1.0)),
    // ── aggregates whose number changes, under a name of the own ─────────────────────────────────────
    case("a sum under the own namespace", Namespace, r#"label_replace(sum(tenancy_queue), "namespace", "OWN", "", "")"#, Confined(10.0)),
    case("a sum under the own pod", Pod, r#"label_replace(sum(tenancy_queue), "pod", "p-0", "", "")"#, Confined(10.0)),
    case("a maximum", Pod, r#"label_replace(max(tenancy_queue), "pod", "p-0", "", "")"#, Confined(4.0)),
    case("a mean", Pod, r#"label_replace(avg(tenancy_queue), "pod", "p-0", "", "")"#, Confined(2.5)),
    case("a deviation", Pod, r#"label_replace(stdvar(tenancy_queue), "pod", "p-0", "", "")"#, Confined(1.25)),
    case("a count", Pod, r#"label_replace(count(tenancy_queue), "pod", "p-0", "", "")"#, Confined(4.0)),
    case("a count of values", Pod, r#"label_replace(count(count_values("v", tenancy_queue)), "pod", "p-0", "", "")"#, Confined(4.0)),
    case("a quantile", Pod, r#"label_replace(quantile(0.5, tenancy_queue), "pod", "p-0", "", "")"#, Confined(2.5)),
    case("the parameter of an aggregation", Pod, r#"label_replace(quantile(scalar(count(tenancy_queue)) / 4, tenancy_queue{namespace="OWN"}), "pod", "p-0", "", "")"#, Confined(4.0)),
    case("the highest", Pod, r#"label_replace(topk(1, tenancy_queue), "pod", "p-0", "", "")"#, Confined(4.0)),
    case("a scalar", Pod, "sum by (pod) (tenancy_queue{<<.LabelMatchers>>}) + scalar(sum(tenancy_queue))", Confined(11.0)),
    case("a vector of a scalar", Pod, r#"label_replace(vector(scalar(sum(tenancy_queue))), "pod", "p-0", "", "")"#, Confined(10.0)),
    case("whether the other has series", Pod, r#"label_replace(vector(1) unless on () absent(tenancy_queue{namespace="OTHER"}), "pod", "p-0", "", "")"#, NoData),
    case("absent", Pod, r#"label_replace(absent(tenancy_only_other), "pod", "p-0", "", "")"#, Confined(1.0)),
    case("absent over time", Pod, r#"label_replace(absent_over_time(tenancy_only_other[1m]), "pod", "p-0", "", "")"#, Confined(1.0)),
    case("a timestamp", Pod, r#"label_replace(count(timestamp(tenancy_queue)), "pod", "p-0", "", "")"#, Confined(4.0)),
    // ── labels that the query makes ──────────────────────────────────────────────────────────────────
    case("label_replace onto the namespace", Pod, r#"label_replace(tenancy_queue{namespace="OTHER", pod="p-0"}, "namespace", "OWN", "", "")"#, NoData),
    case("label_replace onto namespace and pod", Pod, r#"label_replace(label_replace(sum(tenancy_queue), "pod", "p-0", "", ""), "namespace", "OWN", "", "")"#, Confined(10.0)),
    case("label_join", Pod, r#"sum by (pod) (label_join(sum by (pod, namespace) (tenancy_queue), "place", "/", "namespace"))"#, Confined(1.0)),
    case("count_values onto the namespace", Pod, r#"sum by (pod) (count_values by (pod) ("namespace", tenancy_queue))"#, Confined(1.0)),
    case("count_values into the pod's name", Pod, r#"label_replace(count_values("v", tenancy_queue) and on (v) label_replace(vector(1), "v", "1000", "", ""), "pod", "p-0", "", "")"#, NoData),
    case("a row under the other's name", Pod, r#"label_replace(sum by (pod) (tenancy_queue{<<.LabelMatchers>>}), "namespace", "OTHER", "", "")"#, Fails(404, "NoData")),
    case("a row under a number as namespace", Pod, r#"count_values by (pod) ("namespace", tenancy_queue{<<.LabelMatchers>>})"#, Fails(404, "NoData")),
    // ── text that reads two ways ─────────────────────────────────────────────────────────────────────
    case("a comment behind the name", Pod, "sum by (pod) (tenancy_queue # {namespace=\"OWN\"}\n)", Confined(1.0)),
    case("a comment over the brace", Pod, "sum by (pod) (tenancy_queue{ # }\npod=\"p-0\"})", Confined(1.0)),
    case("the matchers in a comment", Pod, "sum by (pod) (tenancy_queue # <<.LabelMatchers>>\n)", Refused("InvalidTemplate")),
    case("the brace is closed", Pod, "sum by (pod) (<<.Series>>{<<.LabelMatchers>>}) + on (pod) sum by (pod) (tenancy_queue{})", Confined(2.0)),
    case("a brace too many", Pod, "sum by (pod) (<<.Series>>{<<.LabelMatchers>>}} or {tenancy_queue)", Refused("InvalidQuery")),
    case("two expressions", Pod, "sum by (pod) (tenancy_queue); sum(tenancy_queue)", Refused("InvalidQuery")),
    case("a string that looks like an end", Pod, r#"sum by (pod) (tenancy_queue{pod!="\"} or tenancy_queue{pod=\""})"#, Confined(1.0)),
    case("an escaped namespace", Pod, r#"sum by (pod) (tenancy_queue{namespace!="\x6eobody"})"#, Confined(1.0)),
    case("a quoted label", Pod, r#"sum by (pod) (tenancy_queue{"namespace"!="nobody"})"#, Confined(1.0)),
    // ── what other servers would read ────────────────────────────────────────────────────────────────
    case("alternatives in braces", Pod, r#"sum by (pod) (tenancy_queue{namespace="OWN" or namespace="OTHER"})"#, Refused("NotConfinable")),
    case("alternatives of names", Pod, r#"sum by (pod) ({__name__="tenancy_queue" or __name__="tenancy_only_other"})"#, Refused("NotConfinable")),
    case("a label named or", Pod, r#"sum by (pod) (tenancy_queue{or="x"})"#, Refused("NotConfinable")),
    case("info", Pod, "sum by (pod) (info(tenancy_queue))", Refused("NotConfinable")),
    case("info, narrowed", Pod, r#"sum by (pod) (info(tenancy_queue, {namespace="OTHER"}))"#, Refused("NotConfinable")),
    case("label_set of MetricsQL", Pod, r#"label_set(sum(tenancy_queue), "pod", "p-0")"#, Refused("InvalidQuery")),
    case("WITH of MetricsQL", Pod, "WITH (q = tenancy_queue) sum(q) by (pod)", Refused("InvalidQuery")),
    case("union of MetricsQL", Pod, "union(tenancy_queue, tenancy_only_other)", Refused("InvalidQuery")),
    // ── templates that show their query only when asked ──────────────────────────────────────────────
    case("a query for this series alone", Pod, r#"sum by (pod) (<<if eq .Series "tenancy_queue">>tenancy_queue<<else>>up<<end>>)"#, Confined(1.0)),
    case("info for this series alone", Pod, r#"sum by (pod) (<<if eq .Series "tenancy_queue">>info(tenancy_queue)<<else>>up<<end>>)"#, Fails(500, "NotConfinable")),
    case("alternatives for this series alone", Pod, r#"sum by (pod) (tenancy_queue{pod!=""<<if eq .Series "tenancy_queue">> or namespace="OTHER"<<end>>})"#, Fails(500, "NotConfinable")),
    // ── External metrics ─────────────────────────────────────────────────────────────────────────────
    case("External: no matchers", External(""), "sum(tenancy_queue)", Confined(10.0)),
    case("External: or", External(""), "sum(<<.Series>>{<<.LabelMatchers>>} or tenancy_queue)", Confined(10.0)),
    case("External: the rows", External(""), "tenancy_queue", Confined(10.0)),
    case("External: a maximum", External(""), "max(tenancy_queue)", Confined(4.0)),
    case("External: the other namespace", External(""), r#"sum(tenancy_queue{namespace="OTHER"})"#, NoData),
    case("External: under the other's name", External(""), r#"label_replace(sum(tenancy_queue{<<.LabelMatchers>>}), "namespace", "OTHER", "", "")"#, NoData),
    case("External: alternatives", External(""), r#"sum(tenancy_queue{namespace="OWN" or namespace="OTHER"})"#, Refused("NotConfinable")),
    case("External: the selector names the other", External("namespace%3DOTHER"), "sum(<<.Series>>{<<.LabelMatchers>>})", Harmless(0.0)),
    case("External: the selector names both", External("namespace+in+(OWN,OTHER)"), "sum(<<.Series>>{<<.LabelMatchers>>})", Harmless(10.0)),
    case("External: the selector leaves the own out", External("namespace!%3DOWN"), "sum(<<.Series>>{<<.LabelMatchers>>})", Harmless(0.0)),
    case("External: the selector as the namespace", External("target%3DOTHER"), r#"sum(tenancy_queue{namespace="<<index .LabelValuesByName "target">>"})"#, NoData),
    case("External: the selector as a pattern", External("target%3Dp.0"), r#"sum(tenancy_queue{pod=~"<<index .LabelValuesByName "target">>"})"#, Harmless(0.0)),
    case("External: a value that closes the brace", External("pod%3D%22%7D+or+tenancy_queue%7Bpod%21%3D%22"), "sum(<<.Series>>{<<.LabelMatchers>>})", Fails(400, "unable to parse requirement")),
    case("External: a value that closes the string", External("target%3Dx%22%2Cnamespace%3D~%22.%2A"), r#"sum(tenancy_queue{pod="<<index .LabelValuesByName "target">>"})"#, Fails(400, "unable to parse requirement")),
    case("External: a key that is no label", External("x%2Fy%3Dz"), "sum(<<.Series>>{<<.LabelMatchers>>})", Fails(400, "InvalidSelector")),
];
