//! Telemetry: the log.

use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    fmt::{self, MakeWriter, SubscriberBuilder, format},
};

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error.
///
/// # Errors
///
/// `level` is no level and no list of directives.
pub fn init(level: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(level)?;
    // A second call, as tests make it, changes nothing: the first one's subscriber stays.
    let _ = match format {
        LogFormat::Text => fmt::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .try_init(),
        LogFormat::Json => json(filter, std::io::stderr).try_init(),
    };
    Ok(())
}

/// One JSON object a line, the fields of an event beside its `timestamp`, `level`, `message` and `target`: no event may have
/// a field of such a name, for many log stores refuse a line with the same key twice.
pub(crate) fn json<W>(
    filter: EnvFilter,
    writer: W,
) -> SubscriberBuilder<format::JsonFields, format::Format<format::Json>, EnvFilter, W>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    fmt::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .json()
        .flatten_event(true)
}
