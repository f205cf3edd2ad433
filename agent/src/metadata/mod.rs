//! Metadata: which service a process is, in which container, on which host.
//!
//! In: processes, `/proc`. Out: [`Service`]. Not here: protocols, spans, and any question to the
//! network: all that is said of a process, its container and its host is read from files.

pub mod attributes;
pub mod container;
pub mod host;
pub mod name;
pub mod service;

/// The runtime of a process, as far as it changes what weft does or says.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// Node.js.
    Node,
    /// CPython.
    Python,
    /// A JVM.
    Java,
    /// Go.
    Go,
    /// Ruby.
    Ruby,
    /// PHP.
    Php,
    /// .NET.
    Dotnet,
    /// Rust.
    Rust,
    /// Anything else compiled.
    Native,
}

/// One service instance: what becomes an OTLP Resource. One process, or a group of processes
/// with one identity.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// Process in the root pid namespace.
    pub tgid: u32,
    /// Its runtime.
    pub runtime: Runtime,
    /// All resource attributes, `service.name` included, sorted by key.
    pub resource: Vec<(String, ResourceValue)>,
}

/// Value of a resource attribute.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum ResourceValue {
    /// Whole number.
    Int(i64),
    /// Text.
    Text(String),
}
