//! The command line, as a user meets it: the binary itself is started.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

use crate::repository;

/// Runs `metricrule` with nothing of our own in its environment.
fn metricrule(arguments: &[&str]) -> Result<Output> {
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
        ["serve", "crds"]
            .iter()
            .all(|command| text.contains(&format!("\n  {command} "))),
        "{text}"
    );
    ensure!(help(&["--version"])?.trim() == concat!("metricrule ", env!("CARGO_PKG_VERSION")));
    Ok(())
}

#[test]
fn wrong_arguments_are_a_usage_error() -> Result<()> {
    let wrong: [&[&str]; 8] = [
        &[],
        &["serve", "--nonsense"],
        &["serve", "--secure-port", "70000"],
        &["serve", "--shutdown-delay", "10"],
        &["serve", "--register", "sometimes"],
        &["serve", "--tls-cert-file", "tls.crt"],
        &["serve", "--object-resources", "secrets"],
        &["serve", "--log-level", "=="],
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
