//! Parameters of a request (CGI's meta-variables) and header lines of an answer.
//!
//! In: the bytes of the parameters' stream. Out: what is asked for. What is malformed ends the
//! list; what came before it counts.

use crate::protocol::exchange::{Attribute, Carried, Operation, Role, Target};
use crate::protocol::text::{LONGEST, text};
use crate::semconv;
use std::borrow::Cow;

/// Methods of RFC 9110 and 5789.
const METHODS: &[&str] = &[
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// What a request with these `parameters` asks for, and its trace headers.
pub(super) fn read(parameters: &[u8], role: Role) -> (Operation, Carried) {
    let value = |name: &str| {
        let mut all = Pairs(parameters).filter(|(found, _)| *found == name.as_bytes());
        let (_, value) = all.next()?;
        (!value.is_empty()).then(|| text(value, LONGEST))
    };
    let mut attributes = Vec::new();
    let verb = method(value("REQUEST_METHOD"), &mut attributes);
    let uri = value("REQUEST_URI").or_else(|| value("SCRIPT_NAME"));
    let uri = uri.unwrap_or_default();
    let (path, query) = match uri.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (uri, value("QUERY_STRING")),
    };
    let secure = value("HTTPS").is_some_and(|on| !on.eq_ignore_ascii_case("off"));
    let scheme = if secure { "https" } else { "http" };
    attributes.push(Attribute::fixed(semconv::URL_SCHEME, scheme));
    let routed = !path.is_empty();
    let host = value("HTTP_HOST").or_else(|| value("SERVER_NAME"));
    let named = host.is_some();
    let mut put = |key, value: Option<String>| {
        attributes.extend(value.map(|value| Attribute::new(key, value)));
    };
    put(semconv::URL_PATH, routed.then_some(path));
    put(semconv::URL_QUERY, query.filter(|query| !query.is_empty()));
    put(semconv::SERVER_ADDRESS, host.map(without_port));
    let port = value("SERVER_PORT").and_then(|port| port.parse::<u16>().ok());
    if let Some(port) = port.filter(|_| named) {
        let port = Attribute::new(semconv::SERVER_PORT, i64::from(port));
        attributes.push(port);
    }
    let mut put = |key, value: Option<String>| {
        attributes.extend(value.map(|value| Attribute::new(key, value)));
    };
    if role == Role::Server {
        put(semconv::USER_AGENT_ORIGINAL, value("HTTP_USER_AGENT"));
    }
    attributes.push(Attribute::fixed(semconv::NETWORK_PROTOCOL_NAME, "fastcgi"));
    let operation = Operation {
        verb: Cow::Borrowed(verb),
        target: routed.then_some(Target::Path),
        attributes,
    };
    let carried = Carried {
        traceparent: value("HTTP_TRACEPARENT"),
        tracestate: value("HTTP_TRACESTATE"),
    };
    (operation, carried)
}

fn method(found: Option<String>, attributes: &mut Vec<Attribute>) -> &'static str {
    let found = found.unwrap_or_default();
    match METHODS.iter().find(|known| **known == found) {
        Some(known) => {
            attributes.push(Attribute::fixed(semconv::HTTP_REQUEST_METHOD, known));
            known
        }
        None => {
            attributes.push(Attribute::fixed(semconv::HTTP_REQUEST_METHOD, "_OTHER"));
            if !found.is_empty() {
                attributes.push(Attribute::new(semconv::HTTP_REQUEST_METHOD_ORIGINAL, found));
            }
            "HTTP"
        }
    }
}

fn without_port(host: String) -> String {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name.to_owned(),
        _ => host,
    }
}

/// The status that an answer's header `lines` tell.
pub(super) fn status(lines: &[u8]) -> Option<i64> {
    let mut lines = lines.split(|byte| *byte == b'\n');
    lines.find_map(|line| {
        let (name, value) = line.split_at_checked(7)?;
        if !name.eq_ignore_ascii_case(b"status:") {
            return None;
        }
        let digits = str::from_utf8(value).ok()?.trim().get(..3)?;
        digits
            .parse()
            .ok()
            .filter(|status| (100..1000).contains(status))
    })
}

/// Names and values: each with its length before it, in one byte or four.
struct Pairs<'a>(&'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = length(self.0)?;
        let (value, rest) = length(rest)?;
        let (name, rest) = rest.split_at_checked(name)?;
        let (value, rest) = rest.split_at_checked(value)?;
        self.0 = rest;
        Some((name, value))
    }
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes {
        [short @ 0..128, ref rest @ ..] => Some((usize::from(short), rest)),
        [a, b, c, d, ref rest @ ..] => {
            let long = u32::from_be_bytes([a & 0x7f, b, c, d]);
            Some((usize::try_from(long).ok()?, rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_with_short_and_long_values() {
        let long = [b'x'; 300];
        let mut bytes = vec![1, 2, b'a', b'b', b'c', 1, 0x80, 0, 1, 44, b'd'];
        bytes.extend(long);
        let found: Vec<_> = Pairs(&bytes).collect();
        assert_eq!(found, [(&b"a"[..], &b"bc"[..]), (b"d", &long)]);
        // Cut anywhere, what is whole is there.
        for end in 0..bytes.len() {
            let found = Pairs(&bytes[..end]).count();
            assert_eq!(found, usize::from(end >= 5), "{end}");
        }
    }

    #[test]
    fn status_of_an_answer() {
        for (lines, expected) in [
            (&b"Status: 404 Not Found\r\nX: y\r\n\r\n"[..], Some(404)),
            (b"X: y\nstatus:503\n\n", Some(503)),
            (b"Content-type: text/html\r\n\r\n", None),
            (b"Status: no\r\n\r\n", None),
            (b"Status: \xff\xff\xff\r\n\r\n", None),
            (b"", None),
        ] {
            assert_eq!(status(lines), expected, "{}", lines.escape_ascii());
        }
    }
}
