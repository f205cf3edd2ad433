//! Names of header fields that matter, and the values that are kept of a request's.
//!
//! In: names and values, each once. Out: bounded texts. Everything else of a head is forgotten
//! at once: cookies and credentials are never kept.

use super::rpc;
use crate::protocol::text::{LONGEST, text};
use crate::record::Nanos;

/// Longest host name, forwarded address and the like, bytes.
pub(in crate::protocol) const LONGEST_NAME: usize = 256;
/// Longest `traceparent` and `tracestate`, bytes: the least that W3C asks to propagate.
const LONGEST_CONTEXT: usize = 512;

/// Longest of [`Name`], bytes.
const LONGEST_KNOWN: usize = 24;

/// Names that matter; those of HTTP/2's pseudo-header fields last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::protocol) enum Name {
    #[default]
    Other,
    ContentLength,
    ContentType,
    TransferEncoding,
    Host,
    UserAgent,
    Expect,
    Upgrade,
    Forwarded,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
    Traceparent,
    Tracestate,
    GrpcTimeout,
    GrpcStatus,
    ConnectVersion,
    ConnectTimeout,
    Method,
    Path,
    Authority,
    Scheme,
    Status,
}

impl Name {
    /// Can a line that begins so have one of these names, or go on with the line before? Most
    /// lines need not be read further.
    pub(in crate::protocol) const fn may_begin(first: u8) -> bool {
        matches!(
            first.to_ascii_lowercase(),
            b'c' | b'e' | b'f' | b'g' | b'h' | b't' | b'u' | b'x' | b' ' | b'\t'
        )
    }

    /// The name of a field; in HTTP/1 its case is no matter.
    pub(in crate::protocol) fn of(name: &[u8]) -> Self {
        // Most names are told apart by their length alone.
        let (candidate, known): (&[u8], Self) = match (name.len(), name.first()) {
            (4, _) => (b"host", Self::Host),
            (6, _) => (b"expect", Self::Expect),
            (7, _) => (b"upgrade", Self::Upgrade),
            (9, _) => (b"forwarded", Self::Forwarded),
            (10, Some(b'u' | b'U')) => (b"user-agent", Self::UserAgent),
            (10, _) => (b"tracestate", Self::Tracestate),
            (11, Some(b'g' | b'G')) => (b"grpc-status", Self::GrpcStatus),
            (11, _) => (b"traceparent", Self::Traceparent),
            (12, Some(b'c' | b'C')) => (b"content-type", Self::ContentType),
            (12, _) => (b"grpc-timeout", Self::GrpcTimeout),
            (14, _) => (b"content-length", Self::ContentLength),
            (15, _) => (b"x-forwarded-for", Self::ForwardedFor),
            (16, _) => (b"x-forwarded-host", Self::ForwardedHost),
            (17, Some(b'x' | b'X')) => (b"x-forwarded-proto", Self::ForwardedProto),
            (17, _) => (b"transfer-encoding", Self::TransferEncoding),
            (18, _) => (b"connect-timeout-ms", Self::ConnectTimeout),
            (24, _) => (b"connect-protocol-version", Self::ConnectVersion),
            _ => return Self::Other,
        };
        // All of a fixed size at once: byte by byte it takes twice as long.
        let mut lower = [0; LONGEST_KNOWN];
        if let Some(place) = lower.get_mut(..name.len()) {
            place.copy_from_slice(name);
        }
        lower.make_ascii_lowercase();
        if lower.starts_with(candidate) {
            known
        } else {
            Self::Other
        }
    }
}

/// What a body is, where that makes a request a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Media {
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    Web,
    /// gRPC-Web in base64.
    WebText,
    /// Connect's streams.
    Connect,
    /// Anything else.
    Other,
}

impl Media {
    /// From `content-type`.
    pub(in crate::protocol) fn of(value: &[u8]) -> Self {
        // What stands behind: the messages' own encoding, parameters.
        let is = |name: &[u8]| {
            let same = value.get(..name.len());
            let ends = value
                .get(name.len())
                .is_none_or(|byte| b"+; \t".contains(byte));
            ends && same.is_some_and(|same| same.eq_ignore_ascii_case(name))
        };
        if is(b"application/grpc") {
            Self::Grpc
        } else if is(b"application/grpc-web") {
            Self::Web
        } else if is(b"application/grpc-web-text") {
            Self::WebText
        } else if is(b"application/connect") {
            Self::Connect
        } else {
            Self::Other
        }
    }
}

/// Header fields of a request that matter beyond framing.
#[derive(Clone, Debug, Default)]
pub(in crate::protocol) struct Fields {
    pub(in crate::protocol) host: Option<String>,
    pub(in crate::protocol) user_agent: Option<String>,
    pub(in crate::protocol) forwarded: Option<String>,
    pub(in crate::protocol) forwarded_for: Option<String>,
    pub(in crate::protocol) forwarded_host: Option<String>,
    pub(in crate::protocol) forwarded_proto: Option<String>,
    pub(in crate::protocol) traceparent: Option<String>,
    /// Lines of `traceparent`: more than one make all of them worthless.
    traceparents: u32,
    pub(in crate::protocol) tracestate: Option<String>,
    /// `Expect: 100-continue`.
    pub(in crate::protocol) expects: bool,
    /// `Content-Type`.
    pub(in crate::protocol) media: Option<Media>,
    /// How long the client of a call waits, ns.
    pub(in crate::protocol) timeout: Option<Nanos>,
    /// `Connect-Protocol-Version: 1`.
    pub(in crate::protocol) connects: bool,
}

impl Fields {
    /// Keeps a value, if it matters. `folded` when it goes on with the line before.
    pub(in crate::protocol) fn keep(&mut self, name: Name, value: &[u8], folded: bool) {
        match name {
            Name::Host => keep_first(&mut self.host, value, LONGEST_NAME),
            Name::UserAgent => keep_first(&mut self.user_agent, value, LONGEST),
            Name::Expect => self.expects |= value.eq_ignore_ascii_case(b"100-continue"),
            Name::Forwarded => keep_first(&mut self.forwarded, value, LONGEST_NAME),
            Name::ForwardedFor => keep_first(&mut self.forwarded_for, value, LONGEST_NAME),
            Name::ForwardedHost => keep_first(&mut self.forwarded_host, value, LONGEST_NAME),
            Name::ForwardedProto => keep_first(&mut self.forwarded_proto, value, LONGEST_NAME),
            Name::Traceparent => {
                self.traceparents = self.traceparents.saturating_add(u32::from(!folded));
                keep_first(&mut self.traceparent, value, LONGEST_CONTEXT + 1);
            }
            Name::Tracestate => join(&mut self.tracestate, value),
            Name::ContentType => {
                self.media.get_or_insert_with(|| Media::of(value));
            }
            Name::GrpcTimeout => self.timeout = rpc::timeout(value),
            Name::ConnectTimeout => {
                let timeout = number(value).filter(|_| value.len() <= 10);
                self.timeout = timeout.map(|ms| ms.saturating_mul(1_000_000));
            }
            Name::ConnectVersion => self.connects = value == b"1",
            _ => {}
        }
    }

    /// The only `traceparent`, if there is exactly one of sane length.
    pub(in crate::protocol) fn take_traceparent(&mut self) -> Option<String> {
        self.traceparent
            .take()
            .filter(|text| self.traceparents == 1 && text.len() <= LONGEST_CONTEXT)
    }

    /// `tracestate`, unless it is empty.
    pub(in crate::protocol) fn take_tracestate(&mut self) -> Option<String> {
        self.tracestate.take().filter(|list| !list.is_empty())
    }
}

/// Decimal digits only, and not too many.
pub(in crate::protocol) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The first value counts; an empty one may stand before a folded line.
fn keep_first(field: &mut Option<String>, value: &[u8], most: usize) {
    if field.as_ref().is_none_or(String::is_empty) {
        *field = Some(text(value, most));
    }
}

/// Appends to a list, dropping the members that no longer fit.
fn join(field: &mut Option<String>, value: &[u8]) {
    let list = field.get_or_insert_default();
    for member in value.split(|&byte| byte == b',') {
        let member = text(member.trim_ascii(), LONGEST_CONTEXT + 1);
        let comma = usize::from(!list.is_empty());
        if member.is_empty() || list.len() + comma + member.len() > LONGEST_CONTEXT {
            continue;
        }
        if comma == 1 {
            list.push(',');
        }
        list.push_str(&member);
    }
}
