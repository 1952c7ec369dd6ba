//! Refusals: what KEDA or the API server would refuse, and names that already exist.

use super::*;

#[test]
fn an_hpa_that_would_be_refused_was_printed() {
    for (spec, place) in [
        ("minReplicaCount: 5\n  maxReplicaCount: 3", "f:6:20: error"),
        ("maxReplicaCount: 0", "f:5:20: error"),
        (
            "advanced: {horizontalPodAutoscalerConfig: {name: Bad_Name}}",
            "f:5:52: error",
        ),
        (
            "advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleUp: {selectPolicy: max}}}}",
            "f:5:81: error",
        ),
    ] {
        let import = import(&format!(
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: worker, namespace: shop}}\nspec:\n  {spec}\n  \
             scaleTargetRef: {{name: worker}}\n  triggers:\n  - {{type: prometheus, metadata: {{serverAddress: 'http://p', \
             query: 'vector(1)', threshold: '1'}}}}\n"
        ));
        assert_note(&import, place, "such an HPA would not be valid");
        assert_eq!(of_kind(&import, "HorizontalPodAutoscaler").len(), 0, "{spec}");
    }
    for value in ["'0'", "'-5'"] {
        let import = trigger(&format!(
            "{{type: cpu, metricType: Utilization, metadata: {{value: {value}}}}}"
        ));
        assert_eq!(import.objects.len(), 0, "{value}");
        assert_note(&import, "f:8:60: error", "is not a valid value of a cpu trigger");
    }
    let negative = trigger("{type: memory, metricType: AverageValue, metadata: {value: '-5Mi'}}");
    assert_eq!(negative.objects.len(), 0);
}

#[test]
fn one_rule_overwrote_another_of_the_same_name() {
    let of = |name: &str, trigger: &str, query: &str| {
        format!(
            "---\napiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
             scaleTargetRef: {{name: a}}\n  triggers:\n  - {{type: prometheus, name: {trigger}, metadata: {{serverAddress: \
             'http://p', query: '{query}', threshold: '1'}}}}\n"
        )
    };
    let import = import(&format!(
        "{}{}",
        of("a", "b-c", "vector(1)"),
        of("a-b", "c", "vector(2)")
    ));
    let rules = of_kind(&import, "MetricRule");
    let hpas = of_kind(&import, "HorizontalPodAutoscaler");
    assert_eq!(rules[0]["metadata"]["name"], "a-b-c");
    let other = rules[1]["metadata"]["name"].as_str().unwrap();
    assert!(other.starts_with("a-b-c-") && other.len() == 12, "{other}");
    assert_eq!(rules[1]["spec"]["name"]["as"], other);
    assert_eq!(hpas[1]["spec"]["metrics"][0]["external"]["metric"]["name"], other);
    assert_note(&import, "f:16:78: warning", "is now");
}

#[test]
fn keda_takes_no_two_triggers_of_one_name() {
    let one = "{type: prometheus, name: x, metadata: {serverAddress: 'http://p', query: 'vector(1)', threshold: '1'}}";
    let import = trigger(&format!("{one}\n  - {}", one.replace("vector(1)", "vector(2)")));
    assert_note(
        &import,
        "f:9:30: error",
        "another trigger already has the name \"x\"",
    );
    assert_eq!(of_kind(&import, "MetricRule").len(), 1);
}

#[test]
fn a_truth_is_written_as_go_reads_it() {
    let import = trigger(
        "{type: prometheus, metadata: {serverAddress: 'https://p', query: 'vector(1)', threshold: '1', unsafeSsl: 'True', \
         activationThreshold: '0.0'}}",
    );
    let backend = &of_kind(&import, "MetricBackend")[0];
    assert_eq!(backend["spec"]["prometheus"]["tls"]["insecureSkipVerify"], true);
    assert!(
        !notes(&import)
            .iter()
            .any(|note| note.contains("activationThreshold"))
    );
}
