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
    /// `server.port`.
    pub(super) port: u16,
    /// What the parent is known by; empty without one.
    pub(super) evidence: String,
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
        for resource in list(&json, "resourceSpans") {
            for scope in list(resource, "scopeSpans") {
                found.extend(list(scope, "spans").filter_map(span));
            }
        }
    }
    found
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn span(json: &Value) -> Option<Span> {
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
        port: attribute(json, "server.port").parse().unwrap_or(0),
        evidence: attribute(json, "weft.parent.evidence"),
    })
}

/// An attribute as text; a client's path may stand in its whole URL.
fn attribute(span: &Value, key: &str) -> String {
    let value = |key: &str| {
        let found = list(span, "attributes").find(|attribute| attribute["key"] == key)?;
        let value = found["value"].as_object()?.values().next()?;
        Some(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    };
    value(key).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_judge_needs() {
        let attributes = serde_json::json!([
            {"key": "url.path", "value": {"stringValue": "/leaf/a/1"}},
            {"key": "server.port", "value": {"intValue": "81"}},
            {"key": "weft.parent.evidence", "value": {"stringValue": "thread"}},
        ]);
        let line = serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": [
            {"traceId": "t", "spanId": "s", "parentSpanId": "p", "kind": 3, "attributes": attributes},
            {"kind": 1},
        ]}]}]});
        let want = Span {
            id: "s".into(),
            parent: "p".into(),
            trace: "t".into(),
            side: Side::Client,
            path: "/leaf/a/1".into(),
            port: 81,
            evidence: "thread".into(),
        };
        assert_eq!(from_lines(&format!("{line}\n{{\"cut\"")), [want]);
    }
}
