//! `[export.*]`: where spans go.

use super::section::section;
use super::units::{Period, Size};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// All exporters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Export {
    /// The queue before each exporter.
    pub queue: Queue,
    /// OTLP.
    pub otlp: Otlp,
    /// The terminal.
    pub terminal: Terminal,
    /// A file.
    pub file: File,
}

section! {
    /// The queue before each exporter. When it is full, the newest spans are dropped and counted:
    /// a slow or dead backend never holds up capture.
    pub struct Queue in "export.queue" {
        /// Most spans kept for one exporter, those under way included.
        pub spans: usize = 16_384;
        /// Most memory kept for one exporter, estimated.
        pub bytes: Size = Size(32 << 20);
        /// Spans that are worth an export at once; also the most in one request.
        pub batch: usize = 512;
        /// Longest time that a span waits for others.
        pub interval: Period = Period(Duration::from_secs(1));
        /// How long a failing export is tried again before its spans are dropped.
        pub retry: Period = Period(Duration::from_secs(60));
    }
}

section! {
    /// OTLP to any backend. The standard variables OTEL_EXPORTER_OTLP_* set the same keys.
    pub struct Otlp in "export.otlp" {
        /// Off keeps OTLP silent although an endpoint is set (OTEL_TRACES_EXPORTER=none).
        pub enabled: bool = true;
        /// Where to. http:// or https://; over HTTP, /v1/traces and /v1/metrics are added to its
        /// path. Nothing is sent while there is neither this nor traces_endpoint.
        pub endpoint: Option<String> = None, like "\"http://localhost:4317\"";
        /// Where spans go instead, used as it stands.
        pub traces_endpoint: Option<String> = None, like "\"http://localhost:4318/v1/traces\"";
        /// Where the agent's own metrics go instead, used as it stands.
        pub metrics_endpoint: Option<String> = None, like "\"http://localhost:4318/v1/metrics\"";
        /// "grpc", "http/protobuf", or "auto": grpc on port 4317, http/protobuf on all others.
        pub protocol: Protocol = Protocol::Auto;
        /// Sent with every request, such as an API key.
        pub headers: BTreeMap<String, String> = BTreeMap::new(), like "{ \"x-api-key\" = \"…\" }";
        /// "gzip" or "none".
        pub compression: Compression = Compression::None;
        /// Longest time that one request may take.
        pub timeout: Period = Period(Duration::from_secs(10));
        /// For gRPC endpoints without a scheme: true is http://, false is https://.
        pub insecure: bool = false;
        /// PEM file of the authorities that are trusted, instead of those of the host.
        pub certificate: Option<PathBuf> = None, like "\"/etc/weft/ca.pem\"";
        /// PEM file of the certificate that weft shows, with client_key.
        pub client_certificate: Option<PathBuf> = None, like "\"/etc/weft/client.pem\"";
        /// PEM file of that certificate's private key.
        pub client_key: Option<PathBuf> = None, like "\"/etc/weft/client.key\"";
        /// Send the agent's own metrics too, weft.*, every loss among them.
        pub metrics: bool = true;
        /// How often they are sent.
        pub metrics_interval: Period = Period(Duration::from_secs(10));
    }
}

section! {
    /// Traces as trees on standard output.
    pub struct Terminal in "export.terminal" {
        /// "on", "off", or "auto": on when standard output is a terminal or no other exporter is
        /// on.
        pub enabled: Switch = Switch::Auto;
        /// "always", "never", or "auto": when standard output is a terminal and NO_COLOR is unset.
        pub color: Color = Color::Auto;
    }
}

section! {
    /// OTLP JSON, one request per line.
    pub struct File in "export.file" {
        /// Path of the file, "-" for standard output.
        pub path: Option<PathBuf> = None, like "\"/var/log/weft/traces.jsonl\"";
        /// Size at which the file is moved to PATH.1, replacing what was there, and begun anew.
        pub max_bytes: Size = Size(100_000_000);
    }
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// By the endpoint's port.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// gRPC.
    #[serde(rename = "grpc")]
    Grpc,
    /// Protobuf over HTTP/1.1.
    #[serde(rename = "http/protobuf")]
    Http,
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not.
    #[default]
    None,
    /// gzip.
    Gzip,
}

/// On, off, or as the rest of the settings suggests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// As the rest suggests.
    #[default]
    Auto,
    /// On.
    On,
    /// Off.
    Off,
}

/// When to write colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// On terminals.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
