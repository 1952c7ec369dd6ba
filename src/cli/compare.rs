//! `metricrule compare`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use reqwest::Url;

use super::{
    FAILED, USAGE,
    cluster::{ClusterArgs, Output, connect, object, progress, tell},
    fail,
};
use crate::{
    api::duration::parse_duration,
    app,
    compare::{self, Credential, Options, Place, difference::Tolerance, report::Verdict},
    kubernetes::port_forward::ServicePort,
    metrics_api::MetricsApi,
};

/// The most rounds, and the longest time between two of them.
const MAX_SAMPLES: u32 = 1000;
const MAX_INTERVAL: Duration = Duration::from_hours(1);

/// Compare this adapter's answers with another's for every HPA in the cluster.
///
/// Run it before a take-over, while both adapters run and the APIServices still point to the other one. For every metric of type
/// Pods, Object and External of every HPA, the command sends the path that the HPA controller requests to both servers at the same
/// time. It reaches them directly, through port-forwards to the ready pods of each Service (at most four). It uses a token of the HPA
/// controller's ServiceAccount, which lives for ten minutes and goes only over verified TLS. If values differ, it requests them once
/// more before they count. Every round counts, even one without an answer. HPAs that KEDA created are left out. The command changes
/// nothing in the cluster.
///
/// Permissions: list horizontalpodautoscalers; get */scale of what they scale; get apiservices; get services, list endpointslices and
/// create pods/portforward in both namespaces; create serviceaccounts/token for the ServiceAccount. Missing permissions are listed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  metricrule compare
  metricrule compare --peer-service monitoring/prometheus-adapter --samples 20 --interval 15s
  metricrule compare --url https://localhost:6443 --peer-url https://localhost:6444 \\
    --token-file token --insecure-skip-tls-verify

Exit codes:
  0   the answers are the same, and there were values
  1   an HPA could scale differently (DIFFERENT, or alike but coarse), something could not be
      compared (INCOMPLETE), nothing was compared (NOTHING COMPARED), or the command could not start
  64  wrong arguments

docs/previewing.md explains the output.")]
pub(super) struct CompareArgs {
    #[command(flatten)]
    cluster: ClusterArgs,

    /// Compare only the HPAs of this namespace. Default: all namespaces.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,

    /// Compare only the metrics of this API. Default: both APIs.
    #[arg(long, value_name = "API", value_enum)]
    api: Option<ApiArg>,

    /// metricrule's Service. Default: the one with the label app.kubernetes.io/name=metricrule.
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", value_parser = ServicePort::parse)]
    service: Option<ServicePort>,

    /// metricrule's address, instead of a port-forward.
    #[arg(long, value_name = "URL", value_parser = address, conflicts_with = "service")]
    url: Option<Url>,

    /// The CA certificates of metricrule's server (PEM). Default: those of the APIService that points to it, or of the Secret of its
    /// own CA; with --url those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// The other adapter's Service. Default: the one that the APIServices of the metrics APIs point to.
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", value_parser = ServicePort::parse)]
    peer_service: Option<ServicePort>,

    /// The other adapter's address, instead of a port-forward.
    #[arg(long, value_name = "URL", value_parser = address, conflicts_with = "peer_service")]
    peer_url: Option<Url>,

    /// The CA certificates of the other adapter's server (PEM). Default: those of the APIService that points to it, or of the system.
    #[arg(long, value_name = "FILE")]
    peer_ca: Option<PathBuf>,

    /// Do not verify the certificates of either server. The token then goes to whoever answers.
    #[arg(long)]
    insecure_skip_tls_verify: bool,

    /// Also send the token over plain http to other machines. Anyone on the network path can read it.
    #[arg(long)]
    insecure_plain_http: bool,

    /// The ServiceAccount whose token to request and use.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        default_value = "kube-system/horizontal-pod-autoscaler",
        value_parser = object
    )]
    as_service_account: (String, String),

    /// A file with a token to use instead.
    #[arg(long, value_name = "FILE", conflicts_with = "as_service_account")]
    token_file: Option<PathBuf>,

    /// The version of custom.metrics.k8s.io to request. Default: the version that the API server prefers, which HPAs use.
    #[arg(long, value_name = "VERSION", value_parser = versions())]
    custom_metrics_version: Option<String>,

    /// The allowed difference of two values, as a part of the larger one: 1% or 0.01. A thousandth, which is rounding, is always
    /// allowed if it is at most a tenth of the HPA's target, because an HPA ignores that; otherwise the values are alike, but coarse.
    #[arg(long, value_name = "PART", default_value = "1%", value_parser = part)]
    tolerance: f64,

    /// How often to repeat all requests, at most 1000.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SAMPLES)))]
    samples: u32,

    /// The time between two rounds, at most 1h.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    interval: Duration,

    /// How to print the result.
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// One of the two APIs.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ApiArg {
    /// custom.metrics.k8s.io
    Custom,
    /// external.metrics.k8s.io
    External,
}

// === impl CompareArgs ===

impl CompareArgs {
    pub(super) fn run(self) -> ExitCode {
        let output = self.output;
        let cluster = self.cluster.options();
        let options = match self.into_options() {
            Ok(options) => options,
            Err(message) => return fail(USAGE, &message),
        };
        let compared = app::once(async {
            let connection = connect(cluster).await?;
            anyhow::Ok(compare::compare(&connection, &options, &progress).await?)
        });
        match compared {
            Ok(report) => tell(&report, output, report.verdict == Verdict::Same),
            Err(error) => fail(FAILED, &format!("{error:#}")),
        }
    }

    fn into_options(self) -> Result<Options, String> {
        if self.interval > MAX_INTERVAL {
            return Err(format!("--interval: it must be {MAX_INTERVAL:?} or less"));
        }
        for (flag, url) in [("--url", &self.url), ("--peer-url", &self.peer_url)] {
            url.as_ref().map_or(Ok(()), |url| bare(flag, url))?;
        }
        let (namespace, name) = self.as_service_account;
        let credential = match self.token_file {
            Some(path) => Credential::TokenFile(path),
            None => Credential::ServiceAccount { namespace, name },
        };
        Ok(Options {
            namespace: self.namespace,
            api: self.api.map(|api| match api {
                ApiArg::Custom => MetricsApi::Custom,
                ApiArg::External => MetricsApi::External,
            }),
            credential,
            ours: Place {
                url: self.url,
                service: self.service,
                authorities: read("--ca", self.ca.as_deref())?,
            },
            peer: Place {
                url: self.peer_url,
                service: self.peer_service,
                authorities: read("--peer-ca", self.peer_ca.as_deref())?,
            },
            insecure: self.insecure_skip_tls_verify,
            insecure_plain_http: self.insecure_plain_http,
            version: self.custom_metrics_version,
            tolerance: Tolerance {
                relative: self.tolerance,
            },
            samples: self.samples,
            interval: self.interval,
        })
    }
}

/// Those that we answer as well.
fn versions() -> PossibleValuesParser {
    PossibleValuesParser::new(
        MetricsApi::Custom
            .versions()
            .iter()
            .map(|version| version.version()),
    )
}

fn read(flag: &str, path: Option<&Path>) -> Result<Option<Vec<u8>>, String> {
    let Some(path) = path else { return Ok(None) };
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => Err(format!("{flag} {}: {error}", path.display())),
    }
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("it must be an https:// (or http://) address with a host".to_owned());
    }
    Ok(url)
}

/// Refuses an address with a user or password: it would go into the report, and requests use a token anyway.
fn bare(flag: &str, url: &Url) -> Result<(), String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    Err(format!(
        "{flag}: remove the user and the password from the address; requests use a token (--token-file, --as-service-account)"
    ))
}

fn part(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let part = number.trim().parse::<f64>().map_err(|error| error.to_string())? / unit;
    if (0.0..=1.0).contains(&part) {
        Ok(part)
    } else {
        Err("it must be between 0 and 1, or 0% and 100%".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_is_a_part_or_a_percentage() {
        assert_eq!(part("1%"), Ok(0.01));
        assert_eq!(part("0.25"), Ok(0.25));
        assert_eq!(part("0"), Ok(0.0));
        for text in ["", "%", "2", "-1%", "101%", "NaN", "a"] {
            assert!(part(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        assert_eq!(bare("--url", &address("https://host:6443/").unwrap()), Ok(()));
        for text in [
            "https://user:secret@host/",
            "https://user@host/",
            "https://:secret@host/",
        ] {
            let said = bare("--url", &address(text).unwrap()).unwrap_err();
            assert!(!said.contains("secret") && !said.contains("user@"), "{said}");
        }
    }

    #[test]
    fn an_account_has_a_namespace() {
        assert_eq!(object("a/b"), Ok(("a".to_owned(), "b".to_owned())));
        for text in ["a", "/b", "a/", "a/b/c"] {
            assert!(object(text).is_err(), "{text}");
        }
    }
}
