use proptest::prelude::*;

use super::*;

fn read(template: &str, label: &str) -> Vec<(Option<String>, String)> {
    let template = ResourceTemplate::parse(template).unwrap_or_else(|error| panic!("{template}: {error}"));
    template
        .readings(label)
        .into_iter()
        .map(|found| (found.group, found.resource))
        .collect()
}

fn reading(group: Option<&str>, resource: &str) -> (Option<String>, String) {
    (group.map(str::to_owned), resource.to_owned())
}

#[test]
fn labels_are_read_back() {
    type Readings<'a> = &'a [(Option<&'a str>, &'a str)];
    let cases: &[(&str, &str, Readings<'_>)] = &[
        ("<<.Resource>>", "pod", &[(None, "pod")]),
        ("<<.Resource>>", "pod_name", &[(None, "pod_name")]),
        ("kube_<<.Resource>>", "kube_pod", &[(None, "pod")]),
        ("kube_<<.Resource>>", "pod", &[]),
        ("kube_<<.Resource>>", "kube_", &[]),
        ("<<.Resource>>_name", "pod_name", &[(None, "pod")]),
        ("<<.Resource>>_name", "a_name_name", &[(None, "a_name")]),
        (
            "kube_<<.Group>>_<<.Resource>>",
            "kube_apps_deployment",
            &[(Some("apps"), "deployment")],
        ),
        ("kube_<<.Group>>_<<.Resource>>", "kube__pod", &[(Some(""), "pod")]),
        (
            "kube_<<.Group>>_<<.Resource>>",
            "kube_k8s_io_ingress",
            &[(Some("k8s"), "io_ingress"), (Some("k8s_io"), "ingress")],
        ),
        (
            "<<if .Group>><<.Group>>_<<end>><<.Resource>>",
            "pod",
            &[(Some(""), "pod")],
        ),
        (
            "<<if .Group>><<.Group>>_<<end>><<.Resource>>",
            "apps_deployment",
            &[(Some("apps"), "deployment"), (Some(""), "apps_deployment")],
        ),
        ("<<.Resource>>_<<.Resource>>", "pod_pod", &[(None, "pod")]),
        ("<<.Resource>>_<<.Resource>>", "pod_job", &[]),
        // Only what the template itself would give.
        (r#"<<if eq .Resource "pod">>p_<<end>><<.Resource>>"#, "pod", &[]),
        (
            r#"<<if eq .Resource "pod">>p_<<end>><<.Resource>>"#,
            "job",
            &[(None, "job")],
        ),
        ("<<printf \"k_%s\" .Resource>>", "k_pod", &[(None, "pod")]),
    ];
    for (template, label, expected) in cases {
        let expected: Vec<_> = expected
            .iter()
            .map(|(group, resource)| reading(*group, resource))
            .collect();
        assert_eq!(read(template, label), expected, "{template} {label}");
    }
}

#[test]
fn labels_are_written() {
    let label = |template: &str, group: &str, resource: &str| {
        ResourceTemplate::parse(template)
            .unwrap()
            .label_for(group, resource)
            .map_err(|error| error.to_string())
    };
    let template = "kube_<<.Group>>_<<.Resource>>";
    assert_eq!(
        label(template, "networking_k8s_io", "ingress"),
        Ok("kube_networking_k8s_io_ingress".to_owned())
    );
    assert_eq!(label(template, "", "pod"), Ok("kube__pod".to_owned()));
    assert_eq!(
        label("<<if .Group>><<.Group>>_<<end>><<.Resource>>", "", "pod"),
        Ok("pod".to_owned())
    );
    assert!(
        label("<<.Resource>>", "", "my-thing")
            .unwrap_err()
            .contains("\"my-thing\"")
    );
    assert!(label("<<.Resource>>", "", "2fa").is_err());
}

#[test]
fn what_cannot_name_a_resource_is_refused() {
    let cases = [
        ("", "1:1", "must print .Resource"),
        ("kube", "1:1", "must print .Resource"),
        ("<<.Group>>", "1:1", "must print .Resource"),
        (
            "<<if .Group>><<.Resource>><<end>>",
            "1:1",
            "with and without a group",
        ),
        ("kube-<<.Resource>>", "1:1", "valid in a label name"),
        ("<<.Resource>>\n", "1:1", "valid in a label name"),
        ("<<printf \"%q\" .Resource>>", "1:1", "unchanged"),
        ("x<<.Nope>>", "1:4", "the fields are .Group, .Resource"),
        ("<<.Series>>", "1:3", "the fields are .Group, .Resource"),
        ("<<index .Resource 9>>", "1:3", "index out of range"),
        ("<<.Resource", "1:1", "unclosed action"),
    ];
    for (template, position, message) in cases {
        let error = ResourceTemplate::parse(template).expect_err(template);
        assert_eq!(error.position.to_string(), position, "{template}: {error}");
        assert!(error.message.contains(message), "{template}: {error}");
    }
    assert!(ResourceTemplate::parse(&format!("<<.Resource>>{}", "x".repeat(600))).is_err());
}

#[test]
fn reading_is_bounded() {
    let fields = "<<.Group>><<.Resource>>".repeat(20);
    let template = ResourceTemplate::parse(&fields).unwrap();
    assert_eq!(template.readings(&"a".repeat(500)).len(), 25);
    assert_eq!(template.readings(&"a".repeat(513)), []);
}

proptest! {
    /// What is written is among what is read, and whatever is read is written the same.
    #[test]
    fn writing_and_reading_agree(
        template in prop::sample::select(vec![
            "<<.Resource>>", "kube_<<.Group>>_<<.Resource>>", "<<.Group>><<.Resource>>", "<<.Resource>>_of_<<.Group>>",
            "<<if .Group>><<.Group>>_<<end>><<.Resource>>", "<<with .Group>>g_<<.>>_<<end>><<.Resource>>_<<.Resource>>",
        ]),
        group in "([a-z][a-z0-9]{0,5}(_[a-z0-9]{1,5}){0,3})?",
        resource in "[a-z][a-z0-9]{0,9}",
    ) {
        let template = ResourceTemplate::parse(template).unwrap();
        let label = template.label_for(&group, &resource).unwrap();
        let readings = template.readings(&label);
        let same_group = |found: &LabelMatch| found.group.as_deref().is_none_or(|found| found == group);
        let written = readings.iter().any(|found| found.resource == resource && same_group(found));
        prop_assert!(written);
        prop_assert_eq!(template.match_label(&label), readings.first().cloned());
        for LabelMatch { group, resource } in readings {
            prop_assert_eq!(template.label_for(group.as_deref().unwrap_or_default(), &resource), Ok(label.clone()));
        }
    }

    #[test]
    fn any_label_can_be_tried(label in "[a-z_]{0,40}|.{0,20}") {
        let template = ResourceTemplate::parse("<<.Group>>_<<.Resource>>").unwrap();
        for LabelMatch { group, resource } in template.readings(&label) {
            prop_assert_eq!(format!("{}_{resource}", group.unwrap_or_default()), label.clone());
        }
    }
}
