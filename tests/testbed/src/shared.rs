//! One testbed for all tests of a binary.
//!
//! It is started by the first test that asks and never dropped: a test binary has no exit hook. When the process ends the
//! kernel kills the testbed's processes (their parent-death signal), and its temporary folder goes as [`crate::folder`] says.

use std::ops::Deref;
use std::thread::panicking;

use anyhow::{Result, anyhow};
use tokio::sync::OnceCell;

use crate::testbed::{Builder, Testbed};

/// A testbed that several tests share, each in a namespace of its own:
///
/// ```no_run
/// use testbed::{Shared, Testbed};
///
/// static TESTBED: Shared = Shared::new(|| Testbed::builder().replicas(1));
///
/// #[tokio::test]
/// async fn a_test() -> anyhow::Result<()> {
///     let testbed = TESTBED.get().await?;
///     testbed.with_namespace("a-test", async |namespace| testbed.apply(&namespace, "…").await).await?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Shared {
    builder: fn() -> Builder,
    // a start that failed is not tried again by every other test
    cell: OnceCell<Result<Testbed, String>>,
}

/// A test's hold on a shared testbed. When the test panics, the logs are kept.
#[derive(Debug)]
pub struct Hold(&'static Testbed);

// === impl Shared ===

impl Shared {
    /// Not started yet.
    pub const fn new(builder: fn() -> Builder) -> Self {
        Self {
            builder,
            cell: OnceCell::const_new(),
        }
    }

    /// The testbed, started if this is the first call.
    ///
    /// # Errors
    /// It did not start; the same for every call.
    pub async fn get(&'static self) -> Result<Hold> {
        let start = || async {
            (self.builder)()
                .start()
                .await
                .map_err(|error| format!("{error:#}"))
        };
        match self.cell.get_or_init(start).await {
            Ok(testbed) => Ok(Hold(testbed)),
            Err(error) => Err(anyhow!("the shared testbed did not start: {error}")),
        }
    }
}

// === impl Hold ===

impl Deref for Hold {
    type Target = Testbed;

    fn deref(&self) -> &Testbed {
        self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if panicking() {
            self.0.keep_logs("a test panicked");
        }
    }
}
