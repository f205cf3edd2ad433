//! Spans of the bench: weft's file of OTLP JSON lines comes in, what the judge looks at goes out.

use serde_json::Value;

/// Side of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Side {
    /// It answered.
    #[default]
    Server,
    /// It asked.
    Client,
}

/// A span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Span {
    /// Span id, hex.
    pub(super) id: String,
    /// Parent's span id, hex; empty when it has none.
    pub(super) parent: String,
    /// Trace id, hex.
    pub(super) trace: String,
    /// Its side.
    pub(super) side: Side,
    /// `url.path`.
    pub(super) path: String,
    /// Process that it was seen in (`process.pid` of the resource).
    pub(super) process: u32,
    /// What the parent is known by; empty without one.
    pub(super) evidence: String,
    /// A step from one process of the service to another, by FastCGI.
    pub(super) inner: bool,
}

/// The kinds of OTLP that HTTP has.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;

/// All spans of a file; lines that are cut or no JSON are left out.
pub(super) fn from_lines(text: &str) -> Vec<Span> {
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
        path: attribute(json, "url.path"),
        process,
        evidence: attribute(json, "weft.parent.evidence"),
        inner: attribute(json, "network.protocol.name") == "fastcgi",
    })
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
    fn reads_what_the_judge_needs() {
        let attributes = serde_json::json!([
            {"key": "url.path", "value": {"stringValue": "/leaf/a/1"}},
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
            path: "/leaf/a/1".into(),
            process: 81,
            evidence: "thread".into(),
            inner: false,
        };
        assert_eq!(from_lines(&format!("{line}\n{{\"cut\"")), [want]);
    }
}
