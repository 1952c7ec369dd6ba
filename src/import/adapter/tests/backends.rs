//! Flags, and the backend that says the same.

use serde_json::{Value as Json, json};

use super::*;

fn deployment(arguments: &[&str]) -> String {
    let pod = json!({
        "containers": [
            {"name": "other", "image": "busybox", "args": ["--prometheus"]},
            {
                "name": "adapter",
                "image": "registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0",
                "args": arguments,
                "volumeMounts": [{"name": "ca", "mountPath": "/ca"}, {"name": "token", "mountPath": "/run/token/"}],
            },
        ],
        "volumes": [{"name": "ca", "configMap": {"name": "service-ca"}}, {"name": "token", "secret": {"secretName": "reader"}}],
    });
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": pod}}}).to_string()
}

fn backend(arguments: &[&str]) -> (Json, Vec<String>) {
    let import = imported(&deployment(arguments));
    let spec = import
        .objects
        .first()
        .map(|object| object.json()["spec"].clone())
        .unwrap_or_default();
    let said = import.notes.iter().filter(|note| note.severity != Severity::Info);
    (
        spec,
        said.map(|note| format!("{} {}", note.severity, note.reason))
            .collect(),
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn flags_become_a_backend() {
    let http = "--prometheus-url=http://prometheus.svc:9090";
    let https = "--prometheus-url=https://prometheus.svc/base/";
    let minute = "--metrics-relist-interval=1m";
    let discovery = json!({"lookback": "1m"});
    let cases: Vec<(Vec<&str>, Json, Vec<&str>)> = vec![
        (
            vec![http, minute],
            json!({"prometheus": {"url": "http://prometheus.svc:9090", "method": "GET"}, "discovery": discovery}),
            vec![],
        ),
        (
            vec!["--prometheus-url", "http://p", minute],
            json!({"prometheus": {"url": "http://p", "method": "GET"}, "discovery": discovery}),
            vec![],
        ),
        (
            vec![http],
            json!({"prometheus": {"url": "http://prometheus.svc:9090", "method": "GET"}, "discovery": {"interval": "10m", "lookback": "10m"}}),
            vec![],
        ),
        (
            vec![
                http,
                "--prometheus-verb=POST",
                "--metrics-relist-interval=90s",
                "--metrics-max-age=1h30m",
            ],
            json!({"prometheus": {"url": "http://prometheus.svc:9090"}, "discovery": {"interval": "1m30s", "lookback": "1h30m"}}),
            vec![],
        ),
        (
            vec![http, minute, "--metrics-max-age=30s"],
            json!({"prometheus": {"url": "http://prometheus.svc:9090", "method": "GET"}, "discovery": {"lookback": "30s"}}),
            vec!["warning InvalidSpec"],
        ),
        (
            vec![
                https,
                minute,
                "--prometheus-ca-file=/ca/ca.pem",
                "--prometheus-token-file=/run/token/jwt",
                "--prometheus-auth-incluster",
            ],
            json!({
                "prometheus": {
                    "url": "https://prometheus.svc/base", "method": "GET",
                    "tls": {"caRef": {"kind": "ConfigMap", "name": "service-ca", "key": "ca.pem"}, "insecureSkipVerify": false},
                    "auth": {"type": "Bearer", "bearer": {"secretRef": {"name": "reader", "key": "jwt"}}},
                },
                "discovery": discovery,
            }),
            vec![
                "warning CredentialsNotFound",
                "warning Ineffective",
                "warning CredentialsNotFound",
            ],
        ),
        (
            vec![http, minute, "--prometheus-token-file=/run/token/jwt"],
            json!({
                "prometheus": {
                    "url": "http://prometheus.svc:9090", "method": "GET", "allowPlaintextCredentials": true,
                    "auth": {"type": "Bearer", "bearer": {"secretRef": {"name": "reader", "key": "jwt"}}},
                },
                "discovery": discovery,
            }),
            vec!["warning CredentialsNotFound", "warning PlaintextCredentials"],
        ),
        (
            vec![
                http,
                minute,
                "--prometheus-header=X-Scope-OrgID=a=b",
                "--prometheus-header=Authorization=Basic x",
            ],
            json!({"prometheus": {"url": "http://prometheus.svc:9090", "method": "GET", "headers": {"X-Scope-OrgID": "a=b"}}, "discovery": discovery}),
            vec!["unsupported Unsupported"],
        ),
        (
            vec![https, minute, "--prometheus-auth-incluster=true"],
            json!({"prometheus": {"url": "https://prometheus.svc/base", "method": "GET"}, "discovery": discovery}),
            vec!["unsupported Unsupported"],
        ),
        (
            vec!["--prometheus-url=https://me:secret@p.svc/a?b=c", minute],
            json!({"prometheus": {"url": "https://p.svc/a", "method": "GET"}, "discovery": discovery}),
            vec!["warning Ineffective", "unsupported Unsupported"],
        ),
        (
            vec!["--prometheus-url=$(URL)"],
            Json::Null,
            vec!["unsupported Unsupported"],
        ),
    ];
    for (arguments, mut want, notes) in cases {
        if let Some(fields) = want.as_object_mut() {
            fields.insert("type".to_owned(), "Prometheus".into());
        }
        let (spec, said) = backend(&arguments);
        assert_eq!(spec, want, "{arguments:?}");
        let mut said = said;
        said.sort();
        let mut notes: Vec<_> = notes.into_iter().map(str::to_owned).collect();
        notes.sort();
        assert_eq!(said, notes, "{arguments:?}");
    }
}

#[test]
fn a_password_is_never_repeated() {
    for url in [
        "https://me:secret@p.svc",
        "https://me:secret@p.svc/?a",
        "ftp://me:secret@p.svc",
        "https://me:secret@$(HOST)",
    ] {
        let import = imported(&deployment(&[&format!("--prometheus-url={url}")]));
        assert!(!format!("{import:?}").contains("secret"), "{url}: {import:?}");
    }
}

#[test]
fn a_backend_that_would_be_refused_was_printed() {
    let unsupported = vec!["unsupported Unsupported".to_owned()];
    for url in ["http:///x", "http://a b", "http://${HOST}:9090"] {
        let (spec, said) = backend(&[&format!("--prometheus-url={url}")]);
        assert_eq!((spec, said), (Json::Null, unsupported.clone()), "{url}");
    }
    let (spec, said) = backend(&[
        "--prometheus-url=HTTP://h",
        "--prometheus-header=bad name=x",
        "--prometheus-header=A=b=c",
    ]);
    assert_eq!(spec["prometheus"]["url"], "http://h");
    assert_eq!(spec["prometheus"]["headers"], json!({"A": "b=c"}));
    assert_eq!(said, unsupported);
}

#[test]
fn an_address_was_made_up_without_a_word() {
    let (spec, said) = backend(&["--secure-port=6443"]);
    assert_eq!(spec["prometheus"]["url"], "https://localhost");
    assert_eq!(said, ["warning BackendNotFound"]);
}

#[test]
fn flags_of_a_shells_command_line() {
    let line = "exec /adapter \\\n  --prometheus-url=\"http://h:9090\" \\\n  --metrics-relist-interval 30s";
    let (spec, said) = backend(&["-c", line]);
    assert_eq!(spec["prometheus"]["url"], "http://h:9090");
    assert_eq!(spec["discovery"]["interval"], "30s");
    assert_eq!(spec["discovery"]["lookback"], "30s");
    assert!(said.is_empty(), "{said:?}");
}
