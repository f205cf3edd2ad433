//! What an HTTP/1 request asks for, in attributes.
//!
//! In: the head of a request. Out: [`Operation`] and [`Carried`]. Query and path are as sent:
//! `span::redact` removes what may be secret, for every protocol alike.

use super::head::{RequestFields, RequestHead};
use crate::protocol::exchange::{Attribute, Carried, Operation, Role, Target};
use crate::semconv;
use std::net::IpAddr;

/// Methods that the semantic conventions know: RFC 9110 and 5789. Others are `_OTHER`.
const KNOWN: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// The operation that `head` asks for.
pub(super) fn operation(head: &RequestHead, role: Role) -> Operation {
    let known = KNOWN.contains(&head.method.as_str());
    let mut attributes = Vec::with_capacity(12);
    let mut put = |key, value: Option<String>| {
        if let Some(value) = value {
            attributes.push(Attribute::new(key, value));
        }
    };
    let method = if known {
        head.method.as_str()
    } else {
        "_OTHER"
    };
    put(semconv::HTTP_REQUEST_METHOD, Some(method.to_owned()));
    put(
        semconv::HTTP_REQUEST_METHOD_ORIGINAL,
        (!known).then(|| head.method.clone()),
    );
    let fields = &head.fields;
    let forwarded = Forwarded::of(fields, role);
    let scheme = forwarded.scheme.or(head.scheme).unwrap_or("http");
    if head.path.is_some() {
        put(semconv::URL_SCHEME, Some(scheme.to_owned()));
    }
    put(semconv::URL_PATH, head.path.clone());
    put(semconv::URL_QUERY, head.query.clone());
    let authority = forwarded
        .host
        .as_deref()
        .or(head.authority.as_deref())
        .or(fields.host.as_deref());
    let (host, port) = authority.map_or((None, None), split_port);
    // A port without its host says nothing: both must come from one place.
    let port = port.filter(|_| host.is_some());
    put(semconv::SERVER_ADDRESS, host.map(str::to_owned));
    if role == Role::Server {
        put(semconv::USER_AGENT_ORIGINAL, fields.user_agent.clone());
        put(semconv::CLIENT_ADDRESS, forwarded.client);
    }
    put(
        semconv::NETWORK_PROTOCOL_VERSION,
        Some(format!("1.{}", head.minor)),
    );
    if let Some(port) = port {
        attributes.push(Attribute::new(semconv::SERVER_PORT, i64::from(port)));
    }
    if let Some(size) = head.announced().and_then(|size| i64::try_from(size).ok()) {
        attributes.push(Attribute::new(semconv::HTTP_REQUEST_BODY_SIZE, size));
    }
    Operation {
        verb: if known {
            head.method.clone()
        } else {
            "HTTP".to_owned()
        },
        // `*` asks about the server as a whole: there is nothing to guess a route from.
        target: head
            .path
            .clone()
            .filter(|path| path != "*")
            .map(Target::Path),
        attributes,
    }
}

/// The trace headers of `head`.
pub(super) fn carried(head: &RequestHead) -> Carried {
    Carried {
        traceparent: head.fields.only_traceparent(),
        tracestate: head
            .fields
            .tracestate
            .clone()
            .filter(|list| !list.is_empty()),
    }
}

/// What proxies in front of a server say about the request they were sent.
struct Forwarded {
    client: Option<String>,
    host: Option<String>,
    scheme: Option<&'static str>,
}

impl Forwarded {
    fn of(fields: &RequestFields, role: Role) -> Self {
        // A client that sends these headers is a proxy: they are not about its own request.
        if role == Role::Client {
            return Self {
                client: None,
                host: None,
                scheme: None,
            };
        }
        let standard = |name| {
            fields
                .forwarded
                .as_deref()
                .and_then(|list| parameter(list, name))
        };
        let first = |list: &Option<String>| {
            let first = list.as_deref()?.split(',').next()?.trim();
            Some(first.to_owned())
        };
        Self {
            client: standard("for")
                .or_else(|| first(&fields.forwarded_for))
                .and_then(|client| address(&client)),
            host: standard("host")
                .or_else(|| first(&fields.forwarded_host))
                .filter(|host| !host.is_empty()),
            scheme: standard("proto")
                .or_else(|| first(&fields.forwarded_proto))
                .and_then(|scheme| match scheme.to_ascii_lowercase().as_str() {
                    "http" => Some("http"),
                    "https" => Some("https"),
                    _ => None,
                }),
        }
    }
}

/// A parameter of the first element of a `Forwarded` header (RFC 7239).
fn parameter(list: &str, name: &str) -> Option<String> {
    list.split(',').next()?.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The IP address in `text`, which may have a port and brackets. Anything else is a pseudonym,
/// `unknown`, or a lie.
fn address(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let (host, _) = split_port(text);
    let address = host?.parse::<IpAddr>().ok()?;
    Some(address.to_string())
}

/// Host and port of an authority; brackets of an IPv6 address are removed.
fn split_port(authority: &str) -> (Option<&str>, Option<u16>) {
    let (host, port) = match authority.rsplit_once(':') {
        // Colons belong to the port, or to an IPv6 address, with brackets or without.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok())
        }
        _ => (authority, None),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    ((!host.is_empty()).then_some(host), port)
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
