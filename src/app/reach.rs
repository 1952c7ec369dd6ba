//! First contact with the API server: whether it can be reached at all.

use std::{convert::Infallible, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use kube::Client;
use tokio::time::{Instant, sleep, timeout};

/// How long a start waits for it. An address that is wrong is told as the end of the process, which a person sees; an API server
/// that restarts is back before.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// Of one try.
const TRY: Duration = Duration::from_secs(10);
/// Between two tries, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Ends with what is wrong if the API server at `server` was not reached in time, and never otherwise: once it was, whatever
/// talks to it has its own way to wait.
pub(super) async fn first_contact(
    client: Client,
    server: String,
    patience: Duration,
) -> Result<Infallible, String> {
    let until = Instant::now() + patience;
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(PAUSES.0)
        .with_max_delay(PAUSES.1)
        .with_jitter()
        .without_max_times()
        .build();
    loop {
        let problem = match timeout(TRY, client.apiserver_version()).await {
            // A refusal is an answer, too.
            Ok(Ok(_) | Err(kube::Error::Api(_) | kube::Error::SerdeError(_))) => {
                return std::future::pending().await;
            }
            // Its sources repeat each other; the last one is the plainest.
            Ok(Err(error)) => anyhow::Error::from(error).root_cause().to_string(),
            Err(_) => format!("no answer within {TRY:?}"),
        };
        if Instant::now() >= until {
            return Err(format!(
                "the API server {server} could not be reached within {patience:?}: {problem}"
            ));
        }
        tracing::warn!(server, problem, "the API server cannot be reached; trying again");
        sleep(pauses.next().unwrap_or(PAUSES.1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(server: &str) -> Client {
        crate::backend::install_crypto();
        let mut config = kube::Config::new(server.parse().unwrap());
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }

    #[tokio::test]
    async fn says_where_and_why() {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}/", gone.local_addr().unwrap());
        drop(gone);
        let Err(sentence) = first_contact(client(&server), server.clone(), Duration::ZERO).await;
        assert!(
            sentence.contains(&server) && sentence.contains("refused"),
            "{sentence}"
        );
    }

    #[tokio::test]
    async fn a_refusal_is_a_contact() {
        use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(403))
            .mount(&server)
            .await;
        let contact = first_contact(client(&server.uri()), server.uri(), Duration::ZERO);
        assert!(
            timeout(Duration::from_secs(2), contact).await.is_err(),
            "it ended"
        );
    }
}
