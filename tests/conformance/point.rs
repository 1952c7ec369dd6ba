//! A conformance point: what it says, how it is shown, and how it turned out.

use std::sync::Arc;

use anyhow::Result;
use futures::future::BoxFuture;

use crate::target::Target;

/// One row of the table.
pub(crate) struct Point {
    /// Its number, 1 to 110.
    pub(crate) number: u8,
    /// What a server has to do.
    pub(crate) says: &'static str,
    /// How that is shown.
    pub(crate) test: Test,
    /// What of it requests alone cannot show; asked only where the server is the lab's.
    pub(crate) also: Also,
    /// What a passed test means for the point.
    pub(crate) outcome: Outcome,
    /// Where Go's server (k8s.io/apiserver, custom-metrics-apiserver) does something else, and why we do not.
    pub(crate) beyond: Option<&'static str>,
}

/// How a point is shown.
#[derive(Clone, Copy)]
pub(crate) enum Test {
    /// By requests to any metrics API server.
    Url(fn(Arc<Target>) -> BoxFuture<'static, Result<()>>),
    /// In the testbed, where things can be rotated, counted and stopped.
    Lab(Own),
    /// On a part of the server.
    Unit(Own),
}

/// A test that knows its server.
pub(crate) type Own = fn() -> BoxFuture<'static, Result<()>>;

/// Further tests of a point.
#[derive(Clone, Copy, Default)]
pub(crate) struct Also {
    /// On a part of the server.
    pub(crate) unit: Option<Own>,
    /// In the testbed.
    pub(crate) lab: Option<Own>,
}

/// What it means that a point's test passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server does what the point says.
    Conforms,
    /// It does what the point says but for a part that comes later; what that part is.
    ConformsInPart(&'static str),
    /// It does something else on purpose, which the test shows; why.
    Differs(&'static str),
    /// It does not do it yet, which the test shows; what it does instead.
    Later(&'static str),
}

// === impl Point ===

impl Point {
    /// This point, where Go's server does something else.
    pub(crate) const fn beyond(mut self, why: &'static str) -> Self {
        self.beyond = Some(why);
        self
    }

    /// This point, of which a part comes later.
    pub(crate) const fn in_part(mut self, missing: &'static str) -> Self {
        self.outcome = Outcome::ConformsInPart(missing);
        self
    }

    /// This point, on which we differ on purpose.
    pub(crate) const fn differs(mut self, why: &'static str) -> Self {
        self.outcome = Outcome::Differs(why);
        self
    }

    /// This point, which comes later.
    pub(crate) const fn later(mut self, instead: &'static str) -> Self {
        self.outcome = Outcome::Later(instead);
        self
    }

    /// This point, whose test goes on in the testbed.
    pub(crate) const fn and_lab(mut self, test: Own) -> Self {
        self.also.lab = Some(test);
        self
    }

    /// This point, whose test goes on with a part of the server.
    pub(crate) const fn and_unit(mut self, test: Own) -> Self {
        self.also.unit = Some(test);
        self
    }

    /// How it is shown, as it stands in the table.
    pub(crate) fn kinds(&self) -> String {
        let also = [self.also.unit.map(|_| "unit"), self.also.lab.map(|_| "lab")];
        let kinds = std::iter::once(self.test.kind()).chain(also.into_iter().flatten());
        kinds.collect::<Vec<_>>().join(", ")
    }

    /// The name of its test.
    pub(crate) fn name(&self) -> String {
        format!("point_{:03}", self.number)
    }
}

/// A point that any metrics API server can be asked about.
pub(crate) const fn url(
    number: u8,
    says: &'static str,
    test: fn(Arc<Target>) -> BoxFuture<'static, Result<()>>,
) -> Point {
    point(number, says, Test::Url(test))
}

/// A point that needs the testbed.
pub(crate) const fn lab(number: u8, says: &'static str, test: Own) -> Point {
    point(number, says, Test::Lab(test))
}

/// A point about a part of the server.
pub(crate) const fn unit(number: u8, says: &'static str, test: Own) -> Point {
    point(number, says, Test::Unit(test))
}

const fn point(number: u8, says: &'static str, test: Test) -> Point {
    Point {
        number,
        says,
        test,
        also: Also {
            unit: None,
            lab: None,
        },
        outcome: Outcome::Conforms,
        beyond: None,
    }
}

// === impl Test ===

impl Test {
    /// As it stands in the table.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Lab(_) => "lab",
            Self::Unit(_) => "unit",
        }
    }
}
