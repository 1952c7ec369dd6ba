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

/// The most rounds, and the longest time between two.
const MAX_SAMPLES: u32 = 1000;
const MAX_INTERVAL: Duration = Duration::from_hours(1);

/// Ask another server of the metrics APIs and this one for what every HPA uses, and print what they differ in.
///
/// Before a take-over: both run, the APIServices still lead to the other one. Every metric of type Pods, Object and External
/// of every HPA is asked of both, with the path that the HPA's controller sends, at the same time and directly: through
/// port-forwards to the ready pods of each Service (at most four), with a token of the ServiceAccount that HPAs are served for, which
/// lives for ten minutes and is sent over verified TLS alone. Values that differ are asked for once more before
/// they count; every round counts, also one without an answer. HPAs that KEDA made are left out. Nothing in the cluster is changed.
///
/// Rights: list horizontalpodautoscalers, get */scale of what they scale, get apiservices, get services and list endpointslices
/// and create pods/portforward in both namespaces, create serviceaccounts/token for the ServiceAccount. What is lacking is named.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  metricrule compare
  metricrule compare --peer-service monitoring/prometheus-adapter --samples 20 --interval 15s
  metricrule compare --url https://localhost:6443 --peer-url https://localhost:6444 --token-file token --insecure-skip-tls-verify

Exit codes: 0 the same, and there were values; 1 an HPA could scale otherwise (DIFFERENT, or alike but coarse), not everything
could be compared (INCOMPLETE), there was nothing to compare (NOTHING COMPARED), or it could not be tried (a sentence on standard
error); 64 wrong arguments.")]
pub(super) struct CompareArgs {
    #[command(flatten)]
    cluster: ClusterArgs,

    /// The HPAs of this namespace. Default: of all namespaces.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,

    /// Only the metrics of this API. Default: of both.
    #[arg(long, value_name = "API", value_enum)]
    api: Option<ApiArg>,

    /// Our Service. Default: the one with the label app.kubernetes.io/name=metricrule.
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", value_parser = ServicePort::parse)]
    service: Option<ServicePort>,

    /// Our address, instead of a port-forward.
    #[arg(long, value_name = "URL", value_parser = address, conflicts_with = "service")]
    url: Option<Url>,

    /// The CA certificates of our server (PEM). Default: those of the APIService that leads to it, else of the Secret of its own
    /// CA; with --url those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// The other Service. Default: the one that the metrics APIs are registered for.
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", value_parser = ServicePort::parse)]
    peer_service: Option<ServicePort>,

    /// The other address, instead of a port-forward.
    #[arg(long, value_name = "URL", value_parser = address, conflicts_with = "peer_service")]
    peer_url: Option<Url>,

    /// The CA certificates of the other server (PEM). Default: those of the APIService that leads to it, else of the system.
    #[arg(long, value_name = "FILE")]
    peer_ca: Option<PathBuf>,

    /// Do not check the certificates of either server. The token is then sent to whoever answers.
    #[arg(long)]
    insecure_skip_tls_verify: bool,

    /// Send the token over plain http to other machines, too, where everybody on the way can read it.
    #[arg(long)]
    insecure_plain_http: bool,

    /// The ServiceAccount to ask as, for which a token is requested.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        default_value = "kube-system/horizontal-pod-autoscaler",
        value_parser = object
    )]
    as_service_account: (String, String),

    /// A file with the token to ask with, instead.
    #[arg(long, value_name = "FILE", conflicts_with = "as_service_account")]
    token_file: Option<PathBuf>,

    /// The version of custom.metrics.k8s.io to ask. Default: the one that the API server prefers, which HPAs ask.
    #[arg(long, value_name = "VERSION", value_parser = versions())]
    custom_metrics_version: Option<String>,

    /// What two values may differ by, as a part of the larger one: 1% or 0.01. A thousandth, which is rounding, always may where it
    /// is at most a tenth of the HPA's target, which an HPA passes over; else the values are alike, but coarse.
    #[arg(long, value_name = "PART", default_value = "1%", value_parser = part)]
    tolerance: f64,

    /// How often to ask everything, at most 1000.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SAMPLES)))]
    samples: u32,

    /// The time between two rounds, at most 1h.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    interval: Duration,

    /// How to print the outcome.
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
            return Err(format!("--interval: at most {MAX_INTERVAL:?}"));
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
        return Err("it must begin with https:// (or http://) and a host".to_owned());
    }
    Ok(url)
}

/// An address goes into the report. Its user and password would too, and nobody is sent them: a token is what is asked with.
fn bare(flag: &str, url: &Url) -> Result<(), String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    Err(format!(
        "{flag}: take the user and the password out of the address; a server is asked with a token (--token-file, --as-service-account)"
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
