//! What the tests of this target have in common: requests with ids, and the check that every one
//! became exactly one span that says the same.

use harness::agent::Span;
use harness::client::Sent;
use std::collections::HashMap;

pub(crate) use harness::host::{able, lacking, targets, tool};

/// Clock conversion may be off by this much, ns.
pub(crate) const SLACK: u64 = 2_000_000;

/// Every request is exactly one server span at `port`, with its path, status and times.
pub(crate) fn check_servers(spans: &[Span], port: u16, service: &str, sent: &[Sent]) {
    let mut seen: HashMap<String, Vec<&Span>> = HashMap::new();
    for span in spans
        .iter()
        .filter(|span| span.is_server() && span.port() == port)
    {
        seen.entry(span.target()).or_default().push(span);
    }
    for request in sent {
        let found = seen.remove(&request.target).unwrap_or_default();
        let [span] = found[..] else {
            panic!("{} spans of {request:?}: {found:#?}", found.len());
        };
        check_server(span, service, request);
    }
    assert!(seen.is_empty(), "never asked for: {seen:#?}");
}

fn check_server(span: &Span, service: &str, request: &Sent) {
    assert_eq!(span.service, service, "{span:#?}");
    assert_eq!(span.status(), request.status, "{span:#?}");
    assert_eq!(span.error, request.status >= 500, "{span:#?}");
    assert_eq!(span.text("http.request.method"), "GET", "{span:#?}");
    let path = request.target.split('?').next().unwrap_or_default();
    assert_eq!(span.text("url.path"), path, "{span:#?}");
    assert!(span.start <= span.end, "{span:#?}");
    let within = request.start <= span.start + SLACK && span.end <= request.end + SLACK;
    assert!(
        within,
        "outside of the client's times {request:?}: {span:#?}"
    );
}

/// The one span that `wanted` accepts.
pub(crate) fn the<'a>(spans: &'a [Span], what: &str, wanted: impl Fn(&Span) -> bool) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| wanted(span)).collect();
    let [span] = found[..] else {
        panic!("{} spans of {what}: {found:#?}", found.len())
    };
    span
}
