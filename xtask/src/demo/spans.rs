//! Spans as both sides tell them: weft's file of OTLP JSON lines comes in, [`Seen`] goes out.

use serde_json::Value;

/// What two tellings of one span must agree on.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    /// Trace id, hex.
    pub(super) trace: String,
    /// Span id, hex.
    pub(super) span: String,
    /// Parent's span id, hex; empty for a root.
    pub(super) parent: String,
    /// Service of its resource.
    pub(super) service: String,
    /// Name.
    pub(super) name: String,
    /// `SERVER`, `CLIENT`, ...
    pub(super) kind: String,
    /// Status is an error.
    pub(super) error: bool,
    /// `url.path`, for finding the trace of a request.
    pub(super) path: String,
}

/// Kinds by their number in OTLP.
const KINDS: [&str; 6] = [
    "UNSPECIFIED",
    "INTERNAL",
    "SERVER",
    "CLIENT",
    "PRODUCER",
    "CONSUMER",
];
/// The status code of an error in OTLP.
const ERROR: u64 = 2;

/// All spans of a file; lines that are cut or no JSON are left out.
pub(super) fn from_lines(text: &str) -> Vec<Seen> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .flat_map(|v| spans(&v))
        .collect()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn spans(request: &Value) -> Vec<Seen> {
    let mut found = Vec::new();
    for resource in list(request, "resourceSpans") {
        let service = attribute(&resource["resource"], "service.name");
        for scope in list(resource, "scopeSpans") {
            found.extend(list(scope, "spans").map(|span| seen(span, &service)));
        }
    }
    found
}

fn seen(span: &Value, service: &str) -> Seen {
    let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
    let code = &span["status"]["code"];
    Seen {
        trace: text("traceId"),
        span: text("spanId"),
        parent: text("parentSpanId"),
        service: service.to_owned(),
        name: text("name"),
        kind: kind(&span["kind"]),
        error: code.as_u64() == Some(ERROR) || code.as_str() == Some("STATUS_CODE_ERROR"),
        path: attribute(span, "url.path"),
    }
}

/// OTLP JSON has numbers; some writers put the names.
fn kind(value: &Value) -> String {
    let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
    match number.and_then(|n| KINDS.get(n)) {
        Some(name) => (*name).to_owned(),
        None => value
            .as_str()
            .unwrap_or_default()
            .trim_start_matches("SPAN_KIND_")
            .to_owned(),
    }
}

fn attribute(holder: &Value, key: &str) -> String {
    let found = list(holder, "attributes").find(|attribute| attribute["key"] == key);
    found
        .and_then(|a| a["value"]["stringValue"].as_str())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_otlp_json_lines() {
        let line = serde_json::json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeSpans": [{"spans": [{
                "traceId": "aa", "spanId": "bb", "parentSpanId": "cc", "name": "GET", "kind": 2,
                "status": {"code": 2},
                "attributes": [{"key": "url.path", "value": {"stringValue": "/x"}}],
            }]}],
        }]});
        let text = format!("{line}\n{{\"cut\": ");
        let want = Seen {
            trace: "aa".into(),
            span: "bb".into(),
            parent: "cc".into(),
            service: "shop".into(),
            name: "GET".into(),
            kind: "SERVER".into(),
            error: true,
            path: "/x".into(),
        };
        assert_eq!(from_lines(&text), [want]);
    }
}
