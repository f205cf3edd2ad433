//! What an HTTP request asks for, in attributes.
//!
//! In: the head of a request, whose texts move on. Out: [`Operation`] and [`Carried`]. Query and
//! path are as sent: `span::redact` removes what may be secret, for every protocol alike.

use super::field::Fields;
use super::head::Head;
use crate::protocol::exchange::{Attribute, Carried, Operation, Role, Target};
use crate::semconv;
use std::borrow::Cow;
use std::net::IpAddr;

/// Room for the attributes of a whole span: those of the answer and the connection join the list
/// later, and it need not grow for them.
pub(super) const ROOM: usize = 14;

/// The operation that `head` asks for. Takes the texts out of `head`.
pub(in crate::protocol) fn operation(head: &mut Head, role: Role) -> Operation {
    let announced = head.announced.and_then(|size| i64::try_from(size).ok());
    let mut forwarded = Forwarded::of(&head.fields, role);
    let mut attributes = Vec::with_capacity(ROOM);
    let verb = match std::mem::take(&mut head.method) {
        Cow::Borrowed(known) if !known.is_empty() => {
            attributes.push(Attribute::fixed(semconv::HTTP_REQUEST_METHOD, known));
            known
        }
        // It was not understood: nothing is said of it.
        other if other.is_empty() => "HTTP",
        other => {
            attributes.push(Attribute::fixed(semconv::HTTP_REQUEST_METHOD, "_OTHER"));
            attributes.push(Attribute::new(
                semconv::HTTP_REQUEST_METHOD_ORIGINAL,
                other.into_owned(),
            ));
            "HTTP"
        }
    };
    // `*` asks about the server as a whole: there is nothing to guess a route from.
    let routed = head.path.as_deref().is_some_and(|path| path != "*");
    if head.path.is_some() {
        let scheme = forwarded.scheme.or(head.scheme).unwrap_or("http");
        attributes.push(Attribute::fixed(semconv::URL_SCHEME, scheme));
    }
    let mut put = |key, value: Option<String>| {
        if let Some(value) = value {
            attributes.push(Attribute::new(key, value));
        }
    };
    put(semconv::URL_PATH, head.path.take());
    put(semconv::URL_QUERY, head.query.take());
    let port = put_host(head, &mut forwarded, &mut attributes);
    let mut put = |key, value: Option<String>| {
        if let Some(value) = value {
            attributes.push(Attribute::new(key, value));
        }
    };
    if role == Role::Server {
        put(semconv::USER_AGENT_ORIGINAL, head.fields.user_agent.take());
        put(semconv::CLIENT_ADDRESS, forwarded.client);
    }
    if let Some(version) = head.version {
        let version = Attribute::fixed(semconv::NETWORK_PROTOCOL_VERSION, version);
        attributes.push(version);
    }
    if let Some(port) = port {
        attributes.push(Attribute::new(semconv::SERVER_PORT, i64::from(port)));
    }
    if let Some(size) = announced {
        attributes.push(Attribute::new(semconv::HTTP_REQUEST_BODY_SIZE, size));
    }
    Operation {
        verb: Cow::Borrowed(verb),
        target: routed.then_some(Target::Path),
        attributes,
    }
}

/// Adds the host that `head` names; answers the port that belongs to it. Both come from one place.
fn put_host(
    head: &mut Head,
    forwarded: &mut Forwarded,
    attributes: &mut Vec<Attribute>,
) -> Option<u16> {
    let authority = forwarded
        .host
        .take()
        .or_else(|| head.authority.take())
        .or_else(|| head.fields.host.take());
    let (host, port) = authority.map_or((None, None), host_and_port);
    // A port without its host says nothing.
    let host = host?;
    attributes.push(Attribute::new(semconv::SERVER_ADDRESS, host));
    port
}

/// Adds the server that `head` names.
pub(super) fn put_server(
    head: &mut Head,
    forwarded: &mut Forwarded,
    attributes: &mut Vec<Attribute>,
) {
    if let Some(port) = put_host(head, forwarded, attributes) {
        attributes.push(Attribute::new(semconv::SERVER_PORT, i64::from(port)));
    }
}

/// The trace headers of `head`, taken out of it.
pub(in crate::protocol) fn carried(head: &mut Head) -> Carried {
    Carried {
        traceparent: head.fields.take_traceparent(),
        tracestate: head.fields.take_tracestate(),
    }
}

/// What proxies in front of a server say about the request they were sent.
pub(super) struct Forwarded {
    pub(super) client: Option<String>,
    host: Option<String>,
    scheme: Option<&'static str>,
}

impl Forwarded {
    pub(super) fn of(fields: &Fields, role: Role) -> Self {
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

/// Host and port of an authority, the host in the memory of the whole where it stands first.
fn host_and_port(mut authority: String) -> (Option<String>, Option<u16>) {
    let (host, port) = split_port(&authority);
    let Some(host) = host else {
        return (None, port);
    };
    if !authority.starts_with(host) {
        return (Some(host.to_owned()), port);
    }
    let len = host.len();
    authority.truncate(len);
    (Some(authority), port)
}

/// Host and port of an authority; brackets of an IPv6 address are removed.
fn split_port(authority: &str) -> (Option<&str>, Option<u16>) {
    let colon = authority.bytes().rposition(|byte| byte == b':');
    let (host, port) = match colon.and_then(|colon| authority.split_at_checked(colon)) {
        // Colons belong to the port, or to an IPv6 address, with brackets or without.
        Some((host, port)) if !host.bytes().any(|byte| byte == b':') || host.ends_with(']') => {
            (host, port.get(1..).and_then(|port| port.parse().ok()))
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
