//! The command line, as a user meets it: the binary itself is started.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

use crate::repository;

/// Runs `metricrule` with nothing of our own in its environment.
pub(crate) fn metricrule(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metricrule"));
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("METRICRULE_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("metricrule")
}

fn help(arguments: &[&str]) -> Result<String> {
    let output = metricrule(arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {}", output.status);
    ensure!(output.stderr.is_empty(), "help goes to standard output");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn every_flag_has_its_variable_and_its_default() -> Result<()> {
    let text = help(&["serve", "--help"])?;
    let mut flags = 0;
    for block in text.split("\n      --").skip(1) {
        let (flag, _) = block.split_once([' ', '\n']).context("a flag")?;
        let variable = format!("[env: METRICRULE_{}=]", flag.to_uppercase().replace('-', "_"));
        ensure!(block.contains(&variable), "--{flag} has no {variable}: {block}");
        let default = block.contains("[default:")
            || block.contains("Default: ")
            || block.contains("The private key of");
        let optional = block.contains("instead of");
        ensure!(
            default || optional,
            "--{flag} does not say what holds without it: {block}"
        );
        flags += 1;
    }
    ensure!(flags >= 18, "only {flags} flags found: {text}");
    ensure!(
        text.contains("10s, 1m30s or 500ms"),
        "the unit of durations is not said: {text}"
    );
    Ok(())
}

#[test]
fn help_names_every_command() -> Result<()> {
    let text = help(&["--help"])?;
    ensure!(
        ["serve", "check", "import", "export", "preview", "compare", "crds"]
            .iter()
            .all(|command| text.contains(&format!("\n  {command} "))),
        "{text}"
    );
    ensure!(help(&["--version"])?.trim() == concat!("metricrule ", env!("CARGO_PKG_VERSION")));
    Ok(())
}

#[test]
fn help_is_for_people_and_its_examples_can_be_copied() -> Result<()> {
    for command in ["serve", "check", "import", "export", "preview", "compare", "crds"] {
        let text = help(&[command, "--help"])?;
        ensure!(!text.contains('`'), "{command}: a raw backtick: {text}");
        ensure!(
            !text.contains("--version"),
            "{command}: -V is the program's own: {text}"
        );
        let Some((_, below)) = text.split_once("\nExamples:\n") else {
            continue;
        };
        ensure!(below.contains("\nExit codes:\n  0   "), "{command}: {below}");
        // A line that was wrapped goes on at the margin.
        let wrapped: Vec<_> = below
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("  ") && !line.ends_with([':', '.']))
            .collect();
        ensure!(wrapped.is_empty(), "{command}: {wrapped:#?}");
    }
    Ok(())
}

#[test]
fn check_ends_by_what_it_finds() -> Result<()> {
    let broken = |name: &str| {
        format!(
            "{}/tests/fixtures/broken/{name}.yaml",
            repository::root().display()
        )
    };
    let (error, warning) = (broken("InvalidTemplate-1"), broken("ShortRange-1"));
    let examples = repository::root().join("examples").display().to_string();
    let cases: [(&[&str], i32, &str); 10] = [
        (&[&examples], 0, "0 errors, 0 warnings in 5 rules"),
        (&[&error], 1, "1 error, 0 warnings in 1 rule"),
        (&[&warning], 0, "0 errors, 1 warning in 1 rule"),
        (&[&warning, "--strict"], 1, "1 warning"),
        (
            &[&warning, "--strict", "--scrape-interval", "15s"],
            0,
            "0 warnings",
        ),
        (
            &[&warning, &error, "--output", "sarif"],
            1,
            "1 error, 1 warning in 2 rules",
        ),
        (&["/nowhere/rule.yaml"], 1, "/nowhere/rule.yaml"),
        (&[], 64, "FILE"),
        (&[&error, "--output", "xml"], 64, "sarif"),
        (&[&error, "--scrape-interval", "soon"], 64, "soon"),
    ];
    for (arguments, code, said) in cases {
        let output = metricrule(&[&["check"], arguments].concat())?;
        // A file that cannot be read is a finding like any other; wrong flags are not.
        let printed =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let text = printed.concat();
        ensure!(
            output.status.code() == Some(code),
            "{arguments:?}: {}: {text}",
            output.status
        );
        ensure!(text.contains(said), "{arguments:?}: {text}");
    }
    let found = metricrule(&["check", &error])?;
    let text = String::from_utf8(found.stdout)?;
    ensure!(
        text.contains("InvalidTemplate-1.yaml:9:47: error[InvalidTemplate]: "),
        "{text}"
    );
    ensure!(text.contains(&format!("| {}^^^^^^^\n", " ".repeat(46))), "{text}");
    Ok(())
}

#[test]
fn an_export_of_no_rule_was_an_empty_configuration() -> Result<()> {
    let folder = Folder::new("empty-export")?;
    let rule = "{apiVersion: metricrule.dev/v1alpha1, kind: ClusterMetricRule, metadata: {name: a}, spec: {seriesQuery: a, resources: \
                {template: <<.Resource>>}, metricsQuery: a}}\n";
    let good = folder.write("good.yaml", rule)?;
    for (text, said) in [
        (
            "{kind: List, apiVersion: v1, items: []}\n",
            "the input contains no ClusterMetricRule",
        ),
        ("foo: bar\n", "the input contains no ClusterMetricRule"),
        ("a: [\n", "not YAML"),
    ] {
        let file = folder.write("none.yaml", text)?;
        let output = metricrule(&["export", &file])?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(1) && output.stdout.is_empty() && stderr.contains(said),
            "{text}: {}: {stderr}",
            output.status
        );
    }
    // A part of the rules is not printed, either.
    let output = metricrule(&["export", &good, "/nowhere/rule.yaml"])?;
    ensure!(output.status.code() == Some(1) && output.stdout.is_empty());
    let output = metricrule(&["export", &good])?;
    ensure!(output.status.success() && output.stdout.starts_with(b"rules:\n"));
    Ok(())
}

#[test]
fn an_import_without_a_reader_of_its_findings_printed_nothing() -> Result<()> {
    let folder = Folder::new("closed")?;
    let file = folder.write(
        "config.yaml",
        "rules:\n- seriesQuery: 'a{b=\"c\"}'\n  resources: {template: <<.Resource>>}\n  metricsQuery: a\n",
    )?;
    for (command, expected) in [
        ("import", "kind: ClusterMetricRule"),
        ("export", "seriesQuery: a"),
    ] {
        let argument = if command == "import" {
            file.clone()
        } else {
            folder.write(
                "rule.yaml",
                "{apiVersion: metricrule.dev/v1alpha1, kind: ClusterMetricRule, metadata: {name: a}, spec: {seriesQuery: a, resources: \
                 {template: <<.Resource>>}, metricsQuery: a, window: 1m}}\n",
            )?
        };
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_metricrule"))
            .args([command, &argument])
            .stdin(Stdio::null())
            .stderr(writer)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{command}: {}", output.status);
        ensure!(text.contains(expected), "{command}: {text}");
    }
    Ok(())
}

#[test]
fn wrong_arguments_are_a_usage_error() -> Result<()> {
    let wrong: [&[&str]; 19] = [
        &[],
        &["import"],
        &["import", "a.yaml", "--semantics", "Other"],
        &["import", "a.yaml", "--refresh", "10"],
        &["import", "a.yaml", "--refresh", "2m"],
        &["import", "a.yaml", "--split", "team"],
        &["import", "--from-configmap", "no-namespace"],
        &["export"],
        &["serve", "--nonsense"],
        &["serve", "--secure-port", "70000"],
        &["serve", "--shutdown-delay", "10"],
        &["serve", "--register", "sometimes"],
        &["serve", "--tls-cert-file", "tls.crt"],
        &["serve", "--object-resources", "secrets"],
        &["serve", "--log-level", "=="],
        &["preview"],
        &["compare", "--tolerance", "2"],
        &["compare", "--samples", "0"],
        &["compare", "--ca", "/nowhere/ca.crt"],
    ];
    for arguments in wrong {
        let output = metricrule(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(64),
            "{arguments:?}: {}: {said}",
            output.status
        );
        ensure!(
            !said.is_empty() && output.stdout.is_empty(),
            "{arguments:?} says why on standard error"
        );
    }
    Ok(())
}

#[test]
fn what_cannot_be_started_is_a_failure() -> Result<()> {
    let output = metricrule(&[
        "serve",
        "--kubeconfig",
        "/nowhere/kubeconfig",
        "--secure-port=0",
        "--http-port=0",
    ])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(said.contains("/nowhere/kubeconfig"), "{said}");
    Ok(())
}

/// Files of a test; they go with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("metricrule-cli-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.0.join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn pair() -> Result<(String, String)> {
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(["metricrule.monitoring.svc".to_owned()])?;
    Ok((certificate.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Exit code 1, and one sentence that says what is wrong with what.
fn fails(arguments: &[String], words: &[&str]) -> Result<()> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let output = metricrule(&arguments)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1),
        "{arguments:?}: {}: {said}",
        output.status
    );
    let sentences: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("metricrule: "))
        .collect();
    ensure!(sentences.len() == 1, "{arguments:?}: {said}");
    for word in words {
        ensure!(
            sentences[0].contains(word),
            "{arguments:?} has no {word:?}: {said}"
        );
    }
    ensure!(!said.contains("panicked"), "{said}");
    Ok(())
}

#[test]
fn a_start_names_the_file_that_it_cannot_use() -> Result<()> {
    let folder = Folder::new("files")?;
    let kubeconfig = folder.write(
        "kubeconfig",
        "{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: k, cluster: {server: 'http://127.0.0.1:9'}}], \
         contexts: [{name: c, context: {cluster: k, user: u}}], users: [{name: u, user: {}}]}\n",
    )?;
    let (certificate, key) = pair()?;
    let (other, _) = pair()?;
    let certificate_file = folder.write("tls.crt", &certificate)?;
    let key_file = folder.write("tls.key", &key)?;
    let other_file = folder.write("other.crt", &other)?;
    let half_file = folder.write("half.crt", &certificate[..certificate.len() / 2])?;
    let missing = folder.0.join("missing").display().to_string();
    let serve = |flags: &[(&str, &str)]| -> Vec<String> {
        let mut arguments = [
            "serve",
            "--secure-port=0",
            "--http-port=0",
            "--bind-address=127.0.0.1",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--kubeconfig={kubeconfig}"));
        arguments.extend(flags.iter().map(|(flag, value)| format!("--{flag}={value}")));
        arguments
    };
    let with = |certificate: &str, key: &str, words: &[&str]| {
        let flags = [("tls-cert-file", certificate), ("tls-private-key-file", key)];
        fails(&serve(&flags), words)
    };
    with(&missing, &key_file, &[&missing, "cannot be read", "No such file"])?;
    with(&certificate_file, &missing, &[&missing, "cannot be read"])?;
    with(
        &other_file,
        &key_file,
        &[&other_file, &key_file, "cannot be used for serving"],
    )?;
    with(&half_file, &key_file, &[&half_file, "cannot be used for serving"])?;
    with(&key_file, &key_file, &[&key_file, "no certificate"])?;

    for (bundle, word) in [
        (&missing, "cannot be read"),
        (&key_file, "no certificate"),
        (&half_file, "PEM"),
    ] {
        let flags = [
            ("tls-cert-file", certificate_file.as_str()),
            ("tls-private-key-file", key_file.as_str()),
            ("ca-bundle-file", bundle.as_str()),
        ];
        fails(&serve(&flags), &["the CA bundle", bundle, word])?;
    }
    Ok(())
}

#[test]
fn a_port_in_use_is_named() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    for flag in ["--secure-port", "--http-port"] {
        let arguments = ["serve", "--bind-address=127.0.0.1"].map(str::to_owned);
        let mut arguments = arguments.to_vec();
        arguments.push(format!("{flag}={port}"));
        let other = if flag == "--http-port" {
            "--secure-port=0"
        } else {
            "--http-port=0"
        };
        arguments.push(other.to_owned());
        fails(&arguments, &["cannot listen on 127.0.0.1", &port, "in use"])?;
    }
    Ok(())
}

#[test]
fn the_definitions_are_those_of_the_repository() -> Result<()> {
    let mut committed: Vec<String> = Vec::new();
    for kind in ["metricrules", "clustermetricrules", "metricbackends"] {
        let text = repository::read(format!("crds/{kind}.yaml"))?;
        committed.extend(
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .map(str::to_owned),
        );
    }
    let printed = help(&["crds"])?;
    let printed: Vec<_> = printed.lines().filter(|line| *line != "---").collect();
    ensure!(committed == printed, "`metricrule crds` differs from crds/");
    Ok(())
}
