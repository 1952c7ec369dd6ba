//! Source of values: the port between the server and the way to the backends.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::{
    answer::Placed,
    catalog::Catalog,
    query::{Answer, CustomItem, ExternalItem, Failure, request},
};

/// Gives values for routes. A call that is dropped must let go of what it asked.
pub trait Answers: Send + Sync {
    /// The catalog in force.
    fn catalog(&self) -> Arc<Catalog>;

    /// The values of a metric of objects; their place in memory is given back with them.
    fn custom<'a>(
        &'a self,
        route: &'a request::Custom,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Placed<Answer<CustomItem>>, Failure>>;

    /// The values of an external metric.
    fn external<'a>(
        &'a self,
        route: &'a request::External,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Placed<Answer<ExternalItem>>, Failure>>;
}

impl Answers for crate::answer::Answerer {
    fn catalog(&self) -> Arc<Catalog> {
        self.catalog()
    }

    fn custom<'a>(
        &'a self,
        route: &'a request::Custom,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Placed<Answer<CustomItem>>, Failure>> {
        Box::pin(self.custom(route, deadline))
    }

    fn external<'a>(
        &'a self,
        route: &'a request::External,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Placed<Answer<ExternalItem>>, Failure>> {
        Box::pin(self.external(route, deadline))
    }
}
