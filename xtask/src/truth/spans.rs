//! Spans of the bench: weft's file of OTLP JSON lines comes in, what the judge looks at goes out.

use serde_json::Value;

/// Side of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Side {
    /// It answered.
    #[default]
    Server,
    /// It asked.
    Client,
}

/// A span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Span {
    /// Span id, hex.
    pub(crate) id: String,
    /// Parent's span id, hex; empty when it has none.
    pub(crate) parent: String,
    /// Trace id, hex.
    pub(crate) trace: String,
    /// Its side.
    pub(crate) side: Side,
    /// `http.request.method`; empty for other protocols.
    pub(crate) method: String,
    /// `url.path`, or what stands for it: `/SERVICE/METHOD` of a remote call, the first name of a
    /// statement that is a path.
    pub(crate) path: String,
    /// `http.response.status_code`, or a remote call's own.
    pub(crate) status: String,
    /// Process that it was seen in (`process.pid` of the resource).
    pub(crate) process: u32,
    /// What the parent is known by; empty without one.
    pub(crate) evidence: String,
    /// A step from one process of the service to another, by FastCGI.
    pub(crate) inner: bool,
}

/// The kinds of OTLP that HTTP has.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;

/// All spans of a file; lines that are cut or no JSON are left out.
pub(crate) fn from_lines(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Ok(json) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        for group in list(&json, "resourceSpans") {
            let process = attribute(&group["resource"], "process.pid")
                .parse()
                .unwrap_or(0);
            for scope in list(group, "scopeSpans") {
                found.extend(list(scope, "spans").filter_map(|json| span(json, process)));
            }
        }
    }
    found
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn span(json: &Value, process: u32) -> Option<Span> {
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    Some(Span {
        id: text("spanId"),
        parent: text("parentSpanId"),
        trace: text("traceId"),
        side: match json["kind"].as_u64() {
            Some(SERVER) => Side::Server,
            Some(CLIENT) => Side::Client,
            _ => return None,
        },
        method: attribute(json, "http.request.method"),
        path: path(json),
        status: first(json, &STATUSES),
        process,
        evidence: attribute(json, "weft.parent.evidence"),
        inner: attribute(json, "network.protocol.name") == "fastcgi",
    })
}

/// Where the outcome stands: of a remote call before that of the HTTP that carries it.
const STATUSES: [&str; 2] = ["rpc.status_code", "http.response.status_code"];

fn path(json: &Value) -> String {
    // A server that does not know a method may tell it apart.
    match first(json, &["rpc.method_original", "rpc.method"]) {
        method if method.is_empty() => {
            let statement = attribute(json, "db.query.text");
            let names = statement.split(['"', '`']);
            let name = names.into_iter().find(|name| name.starts_with('/'));
            name.map_or_else(|| attribute(json, "url.path"), str::to_owned)
        }
        method => format!("/{}", method.trim_start_matches('/')),
    }
}

/// The first of these attributes that is there.
fn first(json: &Value, keys: &[&str]) -> String {
    let mut found = keys.iter().map(|key| attribute(json, key));
    found.find(|value| !value.is_empty()).unwrap_or_default()
}

/// An attribute as text; empty when there is none.
fn attribute(holder: &Value, key: &str) -> String {
    let found = list(holder, "attributes").find(|attribute| attribute["key"] == key);
    let value = found.and_then(|attribute| attribute["value"].as_object()?.values().next());
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_calls_are_known_by_their_methods() {
        let check = |pairs: &[(&str, &str)], want: (&str, &str)| {
            let attributes: Vec<Value> = pairs
                .iter()
                .map(
                    |(key, value)| serde_json::json!({"key": key, "value": {"stringValue": value}}),
                )
                .collect();
            let json = serde_json::json!({"kind": 2, "attributes": attributes});
            let span = span(&json, 1).expect("it is a server's");
            assert_eq!(
                (span.path.as_str(), span.status.as_str()),
                want,
                "{pairs:?}"
            );
        };
        let http = ("http.response.status_code", "200");
        let path = ("url.path", "/a.B/C");
        check(&[path, http], ("/a.B/C", "200"));
        let whole = ("rpc.method", "a.B/C");
        check(
            &[http, whole, ("rpc.status_code", "NOT_FOUND")],
            ("/a.B/C", "NOT_FOUND"),
        );
        let unknown = [("rpc.method", "_OTHER"), ("rpc.method_original", "a.B/D")];
        check(&unknown, ("/a.B/D", ""));
    }

    #[test]
    fn statements_are_known_by_their_names() {
        let statement = "SELECT a FROM t AS \"/leaf/x/1\" WHERE b = ?";
        let text = serde_json::json!({"key": "db.query.text", "value": {"stringValue": statement}});
        let json = serde_json::json!({"kind": 3, "attributes": [text]});
        let span = span(&json, 1).expect("it is a client's");
        assert_eq!(span.path, "/leaf/x/1");
    }

    #[test]
    fn reads_what_the_judge_needs() {
        let attributes = serde_json::json!([
            {"key": "http.request.method", "value": {"stringValue": "GET"}},
            {"key": "url.path", "value": {"stringValue": "/leaf/a/1"}},
            {"key": "http.response.status_code", "value": {"intValue": "404"}},
            {"key": "weft.parent.evidence", "value": {"stringValue": "thread"}},
        ]);
        let resource = serde_json::json!({"attributes": [{"key": "process.pid", "value": {"intValue": "81"}}]});
        let line = serde_json::json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [
            {"traceId": "t", "spanId": "s", "parentSpanId": "p", "kind": 3, "attributes": attributes},
            {"kind": 1},
        ]}]}]});
        let want = Span {
            id: "s".into(),
            parent: "p".into(),
            trace: "t".into(),
            side: Side::Client,
            method: "GET".into(),
            path: "/leaf/a/1".into(),
            status: "404".into(),
            process: 81,
            evidence: "thread".into(),
            inner: false,
        };
        assert_eq!(from_lines(&format!("{line}\n{{\"cut\"")), [want]);
    }
}
