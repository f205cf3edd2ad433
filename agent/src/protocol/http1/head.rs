//! Heads of HTTP/1 messages: what is kept of the header lines, and which framing they ask for.
//!
//! In: header lines, one at a time, so that a head that the kernel cut is still worth what was
//! seen of it. Out: the few fields that matter, bounded. Not here: attributes (`operation`).

use super::body::{Body, Framing};
use super::line::{Header, RequestLine, content, header};
use super::switch::Switch;
use crate::protocol::text::{LONGEST, text};
use std::borrow::Cow;

/// Methods that the semantic conventions know: RFC 9110 and 5789. Others are `_OTHER`.
const KNOWN: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// Longest host name, forwarded address and the like, bytes.
const LONGEST_NAME: usize = 256;
/// Longest `traceparent` and `tracestate`, bytes: the least that W3C asks to propagate.
const LONGEST_CONTEXT: usize = 512;

/// What is kept of a request's head.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestHead {
    /// Borrowed if it is a known one.
    pub(super) method: Cow<'static, str>,
    pub(super) path: Option<String>,
    pub(super) query: Option<String>,
    /// Scheme of an absolute-form target.
    pub(super) scheme: Option<&'static str>,
    /// Authority of an absolute-form or authority-form target.
    pub(super) authority: Option<String>,
    pub(super) minor: u8,
    pub(super) fields: RequestFields,
    framed: Framed,
    last: Name,
}

/// Header fields of a request that matter beyond framing.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestFields {
    pub(super) host: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) forwarded: Option<String>,
    pub(super) forwarded_for: Option<String>,
    pub(super) forwarded_host: Option<String>,
    pub(super) forwarded_proto: Option<String>,
    pub(super) traceparent: Option<String>,
    /// Lines of `traceparent`: more than one make all of them worthless.
    pub(super) traceparents: u32,
    pub(super) tracestate: Option<String>,
    /// `Expect: 100-continue`.
    pub(super) expects: bool,
}

/// What the header lines say about framing.
#[derive(Clone, Debug, Default)]
struct Framed {
    length: Length,
    coding: Coding,
}

/// `Content-Length`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    None,
    Of(u64),
    /// Several that differ, or no number.
    Invalid,
}

/// Last coding of `Transfer-Encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    None,
    Chunked,
    Other,
}

/// Header names that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Name {
    #[default]
    Other,
    ContentLength,
    TransferEncoding,
    Host,
    UserAgent,
    Expect,
    Forwarded,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
    Traceparent,
    Tracestate,
}

impl Name {
    /// Can a line that begins so have one of these names, or go on with the line before? Most
    /// lines need not be read further.
    const fn may_begin(first: u8) -> bool {
        matches!(
            first.to_ascii_lowercase(),
            b'c' | b'e' | b'f' | b'h' | b't' | b'u' | b'x' | b' ' | b'\t'
        )
    }

    fn of(name: &[u8]) -> Self {
        // Most names are told apart by their length alone.
        let (candidate, known): (&[u8], Self) = match name.len() {
            4 => (b"host", Self::Host),
            6 => (b"expect", Self::Expect),
            9 => (b"forwarded", Self::Forwarded),
            10 if matches!(name.first(), Some(b'u' | b'U')) => (b"user-agent", Self::UserAgent),
            10 => (b"tracestate", Self::Tracestate),
            11 => (b"traceparent", Self::Traceparent),
            14 => (b"content-length", Self::ContentLength),
            15 => (b"x-forwarded-for", Self::ForwardedFor),
            16 => (b"x-forwarded-host", Self::ForwardedHost),
            17 if matches!(name.first(), Some(b'x' | b'X')) => {
                (b"x-forwarded-proto", Self::ForwardedProto)
            }
            17 => (b"transfer-encoding", Self::TransferEncoding),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(candidate) {
            known
        } else {
            Self::Other
        }
    }
}

impl RequestHead {
    pub(super) fn new(line: RequestLine<'_>) -> Self {
        let mut head = Self {
            method: method(line.method),
            minor: line.minor,
            ..Self::default()
        };
        let rest = head.split_authority(line);
        if !rest.is_empty() {
            let rest = rest.split(|&byte| byte == b'#').next().unwrap_or(rest);
            let mut parts = rest.splitn(2, |&byte| byte == b'?');
            head.path = parts.next().map(|path| match path {
                [] => "/".to_owned(),
                path => text(path, LONGEST),
            });
            head.query = parts.next().map(|query| text(query, LONGEST));
        }
        head
    }

    /// Takes scheme and authority; the rest is path and query.
    fn split_authority<'a>(&mut self, line: RequestLine<'a>) -> &'a [u8] {
        if line.method == b"CONNECT" {
            self.authority = Some(text(line.target, LONGEST_NAME));
            return b"";
        }
        if line.target.first() == Some(&b'/') {
            return line.target;
        }
        let Some(at) = memchr::memmem::find(line.target, b"://") else {
            return line.target;
        };
        let (scheme, rest) = line.target.split_at(at);
        let rest = rest.get(3..).unwrap_or(b"");
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
            .unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        // User and password never leave this line.
        let host = authority.rsplit(|&byte| byte == b'@').next();
        self.authority = host.map(|host| text(host, LONGEST_NAME));
        let secure = scheme
            .last()
            .is_some_and(|byte| byte.eq_ignore_ascii_case(&b's'));
        self.scheme = Some(if secure { "https" } else { "http" });
        if rest.is_empty() { b"/" } else { rest }
    }

    /// Takes one header line; false if it is the empty line that ends the head.
    pub(super) fn line(&mut self, line: &[u8]) -> bool {
        let line = content(line);
        let Some(first) = line.first() else {
            return false;
        };
        if !Name::may_begin(*first) {
            self.last = Name::Other;
            return true;
        }
        match header(line) {
            Header::Field(name, value) => {
                self.last = Name::of(name);
                self.field(value, false);
            }
            Header::Folded(value) => self.field(value, true),
            Header::Junk => self.last = Name::Other,
        }
        true
    }

    fn field(&mut self, value: &[u8], folded: bool) {
        let fields = &mut self.fields;
        match self.last {
            Name::Other => {}
            Name::ContentLength => self.framed.length(value),
            Name::TransferEncoding => self.framed.coding(value),
            Name::Host => keep_first(&mut fields.host, value, LONGEST_NAME),
            Name::UserAgent => keep_first(&mut fields.user_agent, value, LONGEST),
            Name::Expect => fields.expects |= value.eq_ignore_ascii_case(b"100-continue"),
            Name::Forwarded => keep_first(&mut fields.forwarded, value, LONGEST_NAME),
            Name::ForwardedFor => keep_first(&mut fields.forwarded_for, value, LONGEST_NAME),
            Name::ForwardedHost => keep_first(&mut fields.forwarded_host, value, LONGEST_NAME),
            Name::ForwardedProto => keep_first(&mut fields.forwarded_proto, value, LONGEST_NAME),
            Name::Traceparent => {
                fields.traceparents = fields.traceparents.saturating_add(u32::from(!folded));
                keep_first(&mut fields.traceparent, value, LONGEST_CONTEXT + 1);
            }
            Name::Tracestate => join(&mut fields.tracestate, value),
        }
    }

    /// How the body comes, if there is one.
    pub(super) fn framing(&self) -> Option<Framing> {
        match (self.framed.coding, self.framed.length) {
            (Coding::Chunked, _) => Some(Body::chunked()),
            (Coding::Other, _) | (Coding::None, Length::Invalid) => {
                Some(Framing::Unknown { chunked: false })
            }
            (Coding::None, Length::Of(0) | Length::None) => None,
            (Coding::None, Length::Of(length)) => Some(Framing::Length(length)),
        }
    }

    /// How the body goes on when the end of the head was not seen.
    pub(super) fn cut_framing(&self) -> Framing {
        self.framed.cut()
    }

    /// Size of the body as announced.
    pub(super) fn announced(&self) -> Option<u64> {
        self.framed.announced()
    }
}

/// What is kept of an answer's head.
#[derive(Clone, Debug, Default)]
pub(super) struct AnswerHead {
    pub(super) status: u16,
    framed: Framed,
    last: Name,
    /// What a 101 says of the protocol behind it.
    pub(super) switch: Option<Box<Switch>>,
}

impl AnswerHead {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            switch: (status == 101).then(Box::default),
            ..Self::default()
        }
    }

    /// Is a final answer still to come? 101 is final: the protocol changes behind it.
    pub(super) const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// Takes one header line; false if it is the empty line that ends the head.
    pub(super) fn line(&mut self, line: &[u8]) -> bool {
        let line = content(line);
        let Some(first) = line.first() else {
            return false;
        };
        if !Name::may_begin(*first) && self.switch.is_none() {
            self.last = Name::Other;
            return true;
        }
        let value = match header(line) {
            Header::Field(name, value) => {
                if let Some(switch) = &mut self.switch {
                    switch.field(name, value);
                }
                self.last = Name::of(name);
                value
            }
            Header::Folded(value) => value,
            Header::Junk => {
                self.last = Name::Other;
                return true;
            }
        };
        match self.last {
            Name::ContentLength => self.framed.length(value),
            Name::TransferEncoding => self.framed.coding(value),
            _ => {}
        }
        true
    }

    /// How the body comes, if there is one; `bodiless` when the request was HEAD.
    pub(super) fn framing(&self, bodiless: bool) -> Option<Framing> {
        if bodiless || self.status < 200 || matches!(self.status, 204 | 304) {
            return None;
        }
        match (self.framed.coding, self.framed.length) {
            (Coding::Chunked, _) => Some(Body::chunked()),
            (Coding::None, Length::Of(0)) => None,
            (Coding::None, Length::Of(length)) => Some(Framing::Length(length)),
            (Coding::None, Length::Invalid) => Some(Framing::Unknown { chunked: false }),
            (Coding::Other, _) | (Coding::None, Length::None) => Some(Framing::UntilClose),
        }
    }

    /// How the body goes on when the end of the head was not seen.
    pub(super) fn cut_framing(&self) -> Framing {
        self.framed.cut()
    }

    /// Size of the body as announced.
    pub(super) fn announced(&self) -> Option<u64> {
        self.framed.announced()
    }
}

impl Framed {
    fn length(&mut self, value: &[u8]) {
        if self.length == Length::None
            && let Some(length) = number(value)
        {
            self.length = Length::Of(length);
            return;
        }
        for part in value.split(|&byte| byte == b',') {
            let part = part.trim_ascii();
            // An empty value is what stands before a folded line.
            let length = match number(part) {
                Some(length) => Length::Of(length),
                None if part.is_empty() => continue,
                None => Length::Invalid,
            };
            self.length = if self.length == Length::None || self.length == length {
                length
            } else {
                Length::Invalid
            };
        }
    }

    fn coding(&mut self, value: &[u8]) {
        for part in value.split(|&byte| byte == b',') {
            match part.trim_ascii() {
                [] => {}
                coding if coding.eq_ignore_ascii_case(b"chunked") => self.coding = Coding::Chunked,
                // Means "as it is"; some servers still say so.
                coding if coding.eq_ignore_ascii_case(b"identity") => {}
                _ => self.coding = Coding::Other,
            }
        }
    }

    fn cut(&self) -> Framing {
        // Whether it was chunked is not known either, unless something else was said.
        let chunked = self.coding == Coding::Chunked
            || (self.coding == Coding::None && self.length == Length::None);
        Framing::Unknown { chunked }
    }

    fn announced(&self) -> Option<u64> {
        match (self.coding, self.length) {
            (Coding::None, Length::Of(length)) => Some(length),
            _ => None,
        }
    }
}

fn method(bytes: &[u8]) -> Cow<'static, str> {
    let known = KNOWN.iter().find(|known| known.as_bytes() == bytes);
    known.map_or_else(
        || Cow::Owned(text(bytes, LONGEST_NAME)),
        |known| Cow::Borrowed(*known),
    )
}

/// Decimal digits only, and not too many.
fn number(digits: &[u8]) -> Option<u64> {
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

impl RequestFields {
    /// The only `traceparent`, if there is exactly one of sane length.
    pub(super) fn take_traceparent(&mut self) -> Option<String> {
        self.traceparent
            .take()
            .filter(|text| self.traceparents == 1 && text.len() <= LONGEST_CONTEXT)
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
