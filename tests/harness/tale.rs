//! The traces of a recording as readable text, and who is whose parent.

use crate::recording::{Run, Trace};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use weft::protocol::exchange::{Role, Value};
use weft::semconv;
use weft::span::{Span, SpanId, Status};

/// Tells all traces, each as a tree, and what went wrong.
#[must_use]
pub fn tell(run: &Run) -> String {
    let mut out = String::new();
    for trace in &run.traces {
        tree(trace, &mut out);
    }
    let counts = &run.counts;
    let _ = writeln!(
        out,
        "spans {}, lost sync {}, opaque {}, unknown outcome {}, dropped {:?}",
        counts.spans, counts.lost_sync, counts.opaque, counts.unknown_outcome, counts.dropped
    );
    let _ = writeln!(out, "{:?}", counts.table);
    let _ = writeln!(out, "{:?}", counts.assembly);
    out
}

fn tree(trace: &Trace, out: &mut String) {
    let complete = if trace.complete { "whole" } else { "part" };
    let carried = match trace.carried {
        None => String::new(),
        Some(sampled) => format!(", carried {}, sampled {sampled}", trace.spans[0].trace),
    };
    let _ = writeln!(out, "trace, {complete}{carried}");
    let here: BTreeSet<SpanId> = trace.spans.iter().map(|span| span.id).collect();
    let first = trace.spans.iter().map(|span| span.start).min().unwrap_or(0);
    let roots = trace
        .spans
        .iter()
        .filter(|span| span.parent.is_none_or(|parent| !here.contains(&parent.id)));
    for root in roots {
        branch(trace, root, first, 1, out);
    }
    out.push('\n');
}

fn branch(trace: &Trace, span: &Span, first: u64, depth: usize, out: &mut String) {
    let parent = match span.parent {
        None => "root".to_owned(),
        Some(parent) if parent.remote => format!("{} of {}", parent.evidence.as_str(), parent.id),
        Some(parent) => parent.evidence.as_str().to_owned(),
    };
    let error = match span.status {
        Status::Unset => "",
        Status::Error => ", error",
    };
    let _ = writeln!(
        out,
        "{:indent$}{} [{parent}{error}] +{} us, {} us",
        "",
        title(span),
        (span.start - first) / 1000,
        (span.end - span.start) / 1000,
        indent = depth * 2,
    );
    for child in &trace.spans {
        if child.parent.is_some_and(|parent| parent.id == span.id) && depth < 64 {
            branch(trace, child, first, depth + 1, out);
        }
    }
}

/// Role, service, name, what was asked for and how it went.
#[must_use]
pub fn title(span: &Span) -> String {
    let mut text = identity(span);
    for key in [semconv::HTTP_RESPONSE_STATUS_CODE, semconv::ERROR_TYPE] {
        if let Some(value) = value(span, key) {
            let _ = write!(text, " {value}");
        }
    }
    let _ = write!(text, " `{}`", span.name);
    text
}

/// What tells a span from others of a recording whose requests are all different.
#[must_use]
pub fn identity(span: &Span) -> String {
    let role = match span.role {
        Role::Server => "server",
        Role::Client => "client",
    };
    let path = value(span, semconv::URL_PATH)
        .or_else(|| value(span, semconv::URL_FULL))
        .unwrap_or_default();
    format!("{role} {} {path}", span.service.name)
}

fn value(span: &Span, key: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key)?;
    Some(match &found.value {
        Value::Text(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::List(items) => items.join(","),
    })
}

/// Of each identity, the identities of its parents; empty for none, the bare id for remote ones.
#[must_use]
pub fn parents(run: &Run) -> BTreeMap<String, BTreeSet<String>> {
    let mut parents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (child, parent) in links(run) {
        parents.entry(child).or_default().insert(parent);
    }
    parents
}

/// Each span with its parent, sorted: the same trees give the same links.
#[must_use]
pub fn links(run: &Run) -> Vec<(String, String)> {
    let spans = || run.traces.iter().flat_map(|trace| &trace.spans);
    let names: HashMap<SpanId, String> = spans().map(|span| (span.id, identity(span))).collect();
    let mut links: Vec<_> = spans()
        .map(|span| {
            let parent = span.parent.map(|parent| match names.get(&parent.id) {
                Some(name) => name.clone(),
                None if parent.remote => parent.id.to_string(),
                None => "a span that never left".to_owned(),
            });
            (identity(span), parent.unwrap_or_default())
        })
        .collect();
    links.sort();
    links
}
