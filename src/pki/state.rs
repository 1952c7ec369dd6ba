//! State of the CA: the content of its Secret.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CaCertificate, CaPair, PkiError, SKEW, later};

/// The key of the bundle in the Secret. It is the name that cert-manager's cainjector and others look for.
pub const BUNDLE_KEY: &str = "ca.crt";

const CURRENT_CERTIFICATE: &str = "current.crt";
const CURRENT_KEY: &str = "current.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const ROTATION: &str = "rotation.json";
const FORMAT: u32 = 1;

/// The CA: what is trusted, what issues, what will issue.
///
/// The `data` of the Secret, all of it text:
///
/// | key | value |
/// |---|---|
/// | `ca.crt` | the bundle: every CA certificate that clients should trust, the current one first |
/// | `current.crt`, `current.key` | the CA that issues, and its key (PKCS #8) |
/// | `next.crt`, `next.key` | the CA that will issue; only while a rotation is under way |
/// | `rotation.json` | `{"format": 1, "currentSince": …, "nextPublishedAt": …, "revoking": …}`, times in RFC 3339 |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaState {
    pub(super) current: CaPair,
    pub(super) current_since: Timestamp,
    pub(super) next: Option<Next>,
    /// Former CAs, whose leaves may still be in use.
    pub(super) former: Vec<CaCertificate>,
    /// The former CAs leave as soon as no leaf of theirs is served any more, instead of when the last has run out.
    pub(super) revoking: bool,
}

/// What a client has to trust, and for how long that is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchors {
    /// The CA that issues, in PEM.
    pub current: String,
    /// The CA that will issue, in PEM, if there is one.
    pub next: Option<String>,
    /// When the next one issues at the latest, whoever trusts it: shortly before the current one ends.
    pub next_issues_at: Timestamp,
}

/// The CA that will issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) pair: CaPair,
    pub(super) published_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rotation {
    format: u32,
    current_since: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_published_at: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    revoking: bool,
}

// === impl CaState ===

impl CaState {
    /// Every key that [`Self::encode`] may write.
    pub const KEYS: [&str; 6] = [
        BUNDLE_KEY,
        CURRENT_CERTIFICATE,
        CURRENT_KEY,
        NEXT_CERTIFICATE,
        NEXT_KEY,
        ROTATION,
    ];

    /// A first CA.
    pub fn new(now: Timestamp) -> Result<Self, PkiError> {
        Ok(Self {
            current: CaPair::generate(now)?,
            current_since: now,
            next: None,
            former: Vec::new(),
            revoking: false,
        })
    }

    /// The CA that issues.
    pub fn current(&self) -> &CaPair {
        &self.current
    }

    /// Whether a next CA waits for its promotion, or a former one for its early end.
    pub fn is_rotating(&self) -> bool {
        self.next.is_some() || self.revoking
    }

    /// Whether a next CA waits for its promotion.
    pub fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// What of the bundle has to be trusted now, and next.
    pub fn anchors(&self) -> Anchors {
        Anchors {
            current: self.current.certificate().pem().to_owned(),
            next: self
                .next
                .as_ref()
                .map(|next| next.pair.certificate().pem().to_owned()),
            next_issues_at: self.forced_at(),
        }
    }

    /// When a next CA issues even where some `APIService` does not carry it: as late as can be, for whoever trusts the current
    /// one alone is lost from then on. [`SKEW`] is for clients whose clock is ahead.
    pub(super) fn forced_at(&self) -> Timestamp {
        later(self.current.certificate().not_after(), -SKEW)
    }

    /// Every certificate that clients should trust: the current one, the next one, the former ones.
    pub fn bundle(&self) -> impl Iterator<Item = &CaCertificate> {
        std::iter::once(self.current.certificate())
            .chain(self.next.iter().map(|next| next.pair.certificate()))
            .chain(&self.former)
    }

    /// The bundle in PEM, as a `caBundle` takes it (before base64).
    pub fn bundle_pem(&self) -> String {
        self.bundle().map(CaCertificate::pem).collect()
    }

    /// Writes the `data` of the Secret.
    pub fn encode(&self) -> BTreeMap<String, Vec<u8>> {
        let rotation = Rotation {
            format: FORMAT,
            current_since: self.current_since.to_string(),
            next_published_at: self.next.as_ref().map(|next| next.published_at.to_string()),
            revoking: self.revoking,
        };
        // A struct of numbers and strings; there is nothing in it that could fail.
        let rotation = serde_json::to_vec(&rotation).unwrap_or_default();
        let mut data = BTreeMap::from([
            (BUNDLE_KEY.to_owned(), self.bundle_pem().into_bytes()),
            (
                CURRENT_CERTIFICATE.to_owned(),
                self.current.certificate().pem().into(),
            ),
            (CURRENT_KEY.to_owned(), self.current.key_pem().into_bytes()),
            (ROTATION.to_owned(), rotation),
        ]);
        if let Some(next) = &self.next {
            data.insert(NEXT_CERTIFICATE.to_owned(), next.pair.certificate().pem().into());
            data.insert(NEXT_KEY.to_owned(), next.pair.key_pem().into_bytes());
        }
        data
    }

    /// Reads the `data` of the Secret. Keys that are not ours are passed over.
    pub fn decode(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, PkiError> {
        let rotation: Rotation =
            serde_json::from_slice(value(data, ROTATION)?).map_err(|error| PkiError::Garbled {
                key: ROTATION,
                // Not serde's words: they quote what is there, and a key may stand in the wrong place.
                problem: format!(
                    "is not valid JSON of this kind (line {}, column {})",
                    error.line(),
                    error.column()
                ),
            })?;
        if rotation.format != FORMAT {
            return Err(PkiError::Format(rotation.format));
        }
        let current = pair(data, CURRENT_CERTIFICATE, CURRENT_KEY)?;
        let next = match rotation.next_published_at {
            Some(published_at) => Some(Next {
                pair: pair(data, NEXT_CERTIFICATE, NEXT_KEY)?,
                published_at: time(&published_at)?,
            }),
            None => None,
        };
        let bundle =
            CaCertificate::parse_all(value(data, BUNDLE_KEY)?).map_err(|problem| PkiError::Garbled {
                key: BUNDLE_KEY,
                problem,
            })?;
        let mut former = bundle;
        for pair in std::iter::once(&current).chain(next.iter().map(|next| &next.pair)) {
            let before = former.len();
            former.retain(|certificate| certificate != pair.certificate());
            if former.len() == before {
                return Err(PkiError::Garbled {
                    key: BUNDLE_KEY,
                    problem: "lacks a CA whose key is in the Secret".to_owned(),
                });
            }
        }
        Ok(Self {
            current,
            current_since: time(&rotation.current_since)?,
            next,
            former,
            revoking: rotation.revoking,
        })
    }
}

fn value<'a>(data: &'a BTreeMap<String, Vec<u8>>, key: &'static str) -> Result<&'a [u8], PkiError> {
    data.get(key).map(Vec::as_slice).ok_or(PkiError::Missing(key))
}

fn pair(
    data: &BTreeMap<String, Vec<u8>>,
    certificate_key: &'static str,
    key_key: &'static str,
) -> Result<CaPair, PkiError> {
    CaPair::parse(value(data, certificate_key)?, value(data, key_key)?).map_err(|problem| match problem {
        Ok(problem) => PkiError::Garbled {
            key: certificate_key,
            problem,
        },
        Err(problem) => PkiError::Garbled {
            key: key_key,
            problem,
        },
    })
}

fn time(text: &str) -> Result<Timestamp, PkiError> {
    text.parse().map_err(|_| PkiError::Garbled {
        key: ROTATION,
        problem: "contains a time that is not valid RFC 3339".to_owned(),
    })
}
