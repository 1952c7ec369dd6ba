//! What must hold for any input: one function over bytes for each thing that reads what others wrote.
//!
//! A target asserts more than that nothing panics: what is printed reads back as the same, what a request is authorized as is
//! what it is answered as, a value stays one literal, a position of an error lies inside of the text. `tests/properties.rs` runs
//! every target on its seeds and on made-up input; `make fuzz` looks for input that reaches new code.
//!
//! Where a target takes several texts, a line of two dashes stands between them.

#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "what does not hold ends the run, with the input that shows it"
)]

#[cfg(feature = "operator")]
mod config_map;
#[cfg(feature = "operator")]
mod document;
mod input;
#[cfg(feature = "operator")]
mod pem;
mod promql;
mod quantity;
mod re2;
#[cfg(feature = "operator")]
mod reviews;
#[cfg(feature = "operator")]
mod route;
mod selector;
mod template;

#[cfg(feature = "operator")]
pub use self::{config_map::config_map, document::document, pem::pem, reviews::reviews, route::route};
pub use self::{promql::promql, quantity::quantity, re2::re2, selector::selector, template::template};

/// Something that reads what others wrote.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its seeds, its dictionary and its program in `fuzz/`.
    pub name: &'static str,
    /// Runs it; panics where something does not hold.
    pub run: fn(&[u8]),
}

/// All of them; without the feature `operator` those of the languages.
pub const TARGETS: &[Target] = &[
    #[cfg(feature = "operator")]
    Target {
        name: "config_map",
        run: config_map,
    },
    #[cfg(feature = "operator")]
    Target {
        name: "document",
        run: document,
    },
    #[cfg(feature = "operator")]
    Target {
        name: "pem",
        run: pem,
    },
    Target {
        name: "promql",
        run: promql,
    },
    Target {
        name: "quantity",
        run: quantity,
    },
    Target {
        name: "re2",
        run: re2,
    },
    #[cfg(feature = "operator")]
    Target {
        name: "reviews",
        run: reviews,
    },
    #[cfg(feature = "operator")]
    Target {
        name: "route",
        run: route,
    },
    Target {
        name: "selector",
        run: selector,
    },
    Target {
        name: "template",
        run: template,
    },
];
