//! Name, status and attributes of a span.
//!
//! In: request, answer, connection, service. Out: a [`Draft`] with unique keys, redacted. Not
//! here: ids, times, parents (`trace`). Nothing here knows a protocol but by the attribute keys
//! that it uses.

use super::redact::{self, Query};
use super::route::{ANY, Routes};
use super::status::status;
use super::{Status, name};
use crate::protocol::exchange::{
    Answer, Attribute, Operation, Outcome, Request, Role, Target, Value,
};
use crate::record::Endpoint;
use crate::semconv;
use std::fmt::Write;
use std::net::IpAddr;

/// The connection of an exchange, seen from the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer<'a> {
    /// This end.
    pub local: &'a Endpoint,
    /// The other end.
    pub remote: &'a Endpoint,
    /// Bound path of a UNIX socket.
    pub path: Option<&'a str>,
    /// The bytes were seen before or after TLS.
    pub encrypted: bool,
}

/// What a span says, without what places it in a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Low-cardinality name.
    pub name: String,
    /// Status.
    pub status: Status,
    /// Attributes, unique keys.
    pub attributes: Vec<Attribute>,
}

/// Builds what a span says about `request`, whose texts move into it. Without an answer it is
/// shown as cut.
#[must_use]
pub fn build(
    request: Request,
    answer: Option<Answer>,
    peer: &Peer<'_>,
    service: &str,
    routes: &mut Routes,
    query: Query,
) -> Draft {
    let Operation {
        verb,
        target,
        attributes,
    } = request.operation;
    let mut all = Attributes(attributes);
    let (outcome, cut) = match answer {
        Some(answer) => {
            for Attribute { key, value } in answer.attributes {
                all.put(key, value);
            }
            (answer.outcome, answer.cut)
        }
        None => (Outcome::Unknown, true),
    };
    if peer.encrypted && all.text(semconv::URL_SCHEME) == Some("http") {
        all.replace(semconv::URL_SCHEME, Value::fixed("https"));
    }
    server(request.role, peer, &mut all);
    network(peer, &mut all);
    if request.role == Role::Client {
        full_url(&mut all);
    }
    let name = match target {
        Some(Target::Path) if request.role == Role::Server => {
            let route = route(service, routes, &all);
            let name = name::name(&verb, route.as_deref());
            if let Some(route) = route.filter(|route| route != ANY) {
                all.push(semconv::HTTP_ROUTE, route);
            }
            name
        }
        Some(Target::Path) | None => name::name(&verb, None),
        Some(Target::Method(method)) => call(&verb, method, request.role, &mut all),
        Some(Target::Name(target)) => name::name(&verb, Some(&target)),
    };
    let (status, kind) = status(&outcome, request.role);
    if let Some(kind) = kind {
        all.put(semconv::ERROR_TYPE, kind);
    }
    if outcome == Outcome::Unknown || cut {
        all.put(semconv::WEFT_CAPTURE_CUT, true);
    }
    Draft {
        name,
        status,
        attributes: all.redacted(query),
    }
}

/// The name of a call's span: its method, unless the server does not know that.
fn call(system: &str, method: String, role: Role, all: &mut Attributes) -> String {
    let unknown = matches!(
        all.text(semconv::RPC_STATUS_CODE),
        Some("UNIMPLEMENTED" | "unimplemented")
    );
    if role == Role::Server && unknown {
        all.replace(semconv::RPC_METHOD, Value::fixed("_OTHER"));
        all.put(semconv::RPC_METHOD_ORIGINAL, method);
        return name::name(system, None);
    }
    name::name(&method, None)
}

/// Guesses the route of a server's path. Paths that the server does not know teach nothing.
fn route(service: &str, routes: &mut Routes, all: &Attributes) -> Option<String> {
    let path = all.text(semconv::URL_PATH)?;
    match all.find(semconv::HTTP_RESPONSE_STATUS_CODE) {
        Some(Value::Int(404)) => routes.known(service, path),
        _ => routes.route(service, path),
    }
}

/// `server.address` and `server.port`, both from one place: where the request says it goes, whose
/// port is its scheme's if it names none; else the connection's other end. A proxy's upstream has
/// one name and many addresses: those are `network.peer.*`.
fn server(role: Role, peer: &Peer<'_>, all: &mut Attributes) {
    if all.has(semconv::SERVER_ADDRESS) {
        // The request named a host without a port: its scheme's own.
        let port = match all.text(semconv::URL_SCHEME) {
            Some("http") => 80,
            Some("https") => 443,
            _ => return,
        };
        all.put(semconv::SERVER_PORT, port);
        return;
    }
    let endpoint = match role {
        Role::Server => peer.local,
        Role::Client => peer.remote,
    };
    match endpoint {
        Endpoint::Inet(address, port) => {
            all.put(semconv::SERVER_ADDRESS, address_text(*address));
            all.put(semconv::SERVER_PORT, i64::from(*port));
        }
        Endpoint::Unix(_) => {
            if let Some(path) = peer.path {
                all.put(semconv::SERVER_ADDRESS, path);
            }
        }
        Endpoint::Unseen => {}
    }
}

/// `network.*`; the transport only where it is not TCP.
fn network(peer: &Peer<'_>, all: &mut Attributes) {
    match peer.remote {
        Endpoint::Inet(address, port) => {
            let address = address_text(*address);
            all.push(semconv::NETWORK_PEER_ADDRESS, address);
            all.push(semconv::NETWORK_PEER_PORT, i64::from(*port));
        }
        Endpoint::Unix(_) => {
            if let Some(path) = peer.path {
                all.push(semconv::NETWORK_PEER_ADDRESS, path);
            }
            all.put(semconv::NETWORK_TRANSPORT, Value::fixed("unix"));
        }
        Endpoint::Unseen => {}
    }
}

/// `url.full` of a client, from its parts.
fn full_url(all: &mut Attributes) {
    let (Some(scheme), Some(host), Some(path)) = (
        all.text(semconv::URL_SCHEME),
        all.text(semconv::SERVER_ADDRESS),
        all.text(semconv::URL_PATH),
    ) else {
        return;
    };
    // A path of a UNIX socket is no host.
    let host = match host {
        host if host.starts_with('/') => "localhost".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let mut full = format!("{scheme}://{host}");
    match (scheme, all.find(semconv::SERVER_PORT)) {
        ("http", Some(Value::Int(80))) | ("https", Some(Value::Int(443))) => {}
        (_, Some(Value::Int(port))) => {
            // Writing to a String cannot fail.
            let _ = write!(full, ":{port}");
        }
        _ => {}
    }
    if path.starts_with('/') {
        full.push_str(path);
    }
    if let Some(query) = all.text(semconv::URL_QUERY) {
        full.push('?');
        full.push_str(query);
    }
    all.put(semconv::URL_FULL, full);
}

/// An address as people write it. IPv4, on every span twice, without the formatting machinery,
/// which would take a tenth of all instructions that a span costs.
fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(v4) = address.to_canonical() else {
        return address.to_string();
    };
    let mut text = String::with_capacity(15);
    for (i, octet) in v4.octets().into_iter().enumerate() {
        if i > 0 {
            text.push('.');
        }
        if octet >= 100 {
            text.push(char::from(b'0' + octet / 100));
        }
        if octet >= 10 {
            text.push(char::from(b'0' + octet / 10 % 10));
        }
        text.push(char::from(b'0' + octet % 10));
    }
    text
}

/// Attributes with unique keys; the first of a key counts.
struct Attributes(Vec<Attribute>);

impl Attributes {
    fn find(&self, key: &str) -> Option<&Value> {
        let found = self.0.iter().find(|attribute| attribute.key == key);
        found.map(|attribute| &attribute.value)
    }

    fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.find(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn put(&mut self, key: &'static str, value: impl Into<Value>) {
        if !self.has(key) {
            self.push(key, value);
        }
    }

    /// Adds what nobody but this file tells.
    fn push(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push(Attribute::new(key, value));
    }

    fn replace(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.retain(|attribute| attribute.key != key);
        self.0.push(Attribute::new(key, value));
    }

    fn redacted(mut self, query: Query) -> Vec<Attribute> {
        self.0
            .retain_mut(|attribute| redact::attribute(attribute, query));
        self.0
    }
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
