//! An exchange: one request and its answer, whatever the protocol.
//!
//! A protocol file fills it; span, trace, sampling and export never learn which protocol it was.

pub use crate::stream::Moment;
use std::borrow::Cow;

/// How this process takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It answers.
    Server,
    /// It asks.
    Client,
}

/// The head of a request: known before its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Number within the connection, counting from 0: requests and answers meet by it.
    pub number: u64,
    /// Server or client.
    pub role: Role,
    /// Its stream, where the connection is shared by several at once (HTTP/2).
    pub stream: Option<u32>,
    /// First byte of the request.
    pub start: Moment,
    /// What is asked for.
    pub operation: Operation,
    /// Trace headers as they were sent, untrusted.
    pub carried: Carried,
}

/// What a request asks for, in words for the span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operation {
    /// Low-cardinality verb, the first word of the span's name: `GET`, `SELECT`.
    pub verb: Cow<'static, str>,
    /// What it acts on, before any route is guessed: a URL path, a table, a topic.
    pub target: Option<Target>,
    /// Attributes known from the request, keys from [`crate::semconv`], each once.
    pub attributes: Vec<Attribute>,
}

impl Eq for Operation {}

/// What a request acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The URL path in the attribute `url.path`, of unbounded cardinality: the span stage
    /// guesses a route.
    Path,
    /// The method of a call, the whole name of its span; a server that does not know it shows
    /// that any client may name any.
    Method(String),
    /// A name that is of low cardinality by itself.
    Name(String),
}

/// One attribute of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Key, one of [`crate::semconv`].
    pub key: &'static str,
    /// Value.
    pub value: Value,
}

impl Attribute {
    /// Key and value.
    pub fn new(key: &'static str, value: impl Into<Value>) -> Self {
        Self {
            key,
            value: value.into(),
        }
    }

    /// Key and a text of this program's own, which is not copied.
    #[must_use]
    pub const fn fixed(key: &'static str, text: &'static str) -> Self {
        Self {
            key,
            value: Value::fixed(text),
        }
    }
}

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text. Half of a span's texts are words of the conventions, and those are not copied.
    Text(Cow<'static, str>),
    /// Whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// List of texts; boxed, so that all values take three words.
    List(Box<[String]>),
}

// A span holds a dozen, and many spans may wait.
const _: () = assert!(size_of::<Value>() == 3 * size_of::<usize>());

impl Value {
    /// A text of this program's own, which is not copied.
    #[must_use]
    pub const fn fixed(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Cow::Owned(text.to_owned()))
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

/// Trace context headers as raw text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// W3C `traceparent`.
    pub traceparent: Option<String>,
    /// W3C `tracestate`, several lines joined by a comma.
    pub tracestate: Option<String>,
}

/// The answer to a request, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Number of the request it belongs to.
    pub number: u64,
    /// First byte of the final answer.
    pub first: Option<Moment>,
    /// Last byte of the answer, known from framing; or when the exchange was given up.
    pub end: Moment,
    /// How it went.
    pub outcome: Outcome,
    /// Attributes known from the answer.
    pub attributes: Vec<Attribute>,
    /// Bytes were missing inside this exchange (not merely skipped body bytes).
    pub cut: bool,
}

/// How an exchange went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As the protocol's success.
    Ok,
    /// The caller made a mistake: an error for the client's span, not for the server's.
    ClientError {
        /// `error.type`.
        kind: String,
    },
    /// The answering side failed: an error for both.
    ServerError {
        /// `error.type`.
        kind: String,
    },
    /// The connection ended before the answer did, an error for both.
    Aborted,
    /// The agent lost sight of it; counted, never shown as an error.
    Unknown,
}

/// What a conversation reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A request's head is known.
    Asked(Box<Request>),
    /// The answer to the request of this number lasts as long as the connection: which of its
    /// bytes led to what a thread does cannot be told from there on.
    Switched(u64),
    /// An answer is complete, or was given up.
    Answered(Box<Answer>),
    /// More is known of the connection's TLS handshake.
    Secured(Box<super::tls::Handshake>),
    /// A request or answer that could not be understood or paired; counted by its cause.
    Dropped(&'static str),
}
