//! `[http]`: what of HTTP becomes part of a span.

use super::section::section;
use serde::{Deserialize, Serialize};

section! {
    /// What of HTTP becomes part of a span.
    pub struct Http in "http" {
        /// The query of a URL: "redact" keeps the keys and hides the values, "keep", or "drop".
        pub query: Query = Query::Redact;
        /// Most span names per service; beyond, the path is left out of the name.
        pub max_span_names: usize = 100;
    }
}

/// What becomes of the query of a URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Query {
    /// Keys are kept, values hidden.
    #[default]
    Redact,
    /// Kept.
    Keep,
    /// Left out.
    Drop,
}
