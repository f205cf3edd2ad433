//! The spans of traffic as readable text: what stands in a `.spans` file.

use crate::feeder::Run;
use std::collections::BTreeMap;
use std::fmt::Write;
use weft::protocol::exchange::{Answer, Report, Request, Role, Value};
use weft::record::Endpoint;
use weft::span::build::{Peer, build};
use weft::span::redact::Query;
use weft::span::route::{Limits, Routes};

/// Tells what a server and a client saw.
#[must_use]
pub fn tell(role: Role, run: &Run) -> String {
    let mut out = String::new();
    let mut routes = Routes::new(Limits::default());
    for reports in &run.conversations {
        let mut asked = BTreeMap::new();
        for report in reports {
            match report {
                Report::Asked(request) => {
                    asked.insert(request.number, request);
                }
                Report::Answered(answer) => {
                    if let Some(request) = asked.remove(&answer.number) {
                        span(role, request, answer, &mut routes, &mut out);
                    }
                }
                Report::Dropped(cause) => {
                    let _ = writeln!(out, "dropped: {cause}\n");
                }
            }
        }
    }
    if run.lost > 0 {
        let _ = writeln!(out, "lost sync {} times\n", run.lost);
    }
    if run.opaque {
        out.push_str("opaque from here on\n\n");
    }
    out
}

fn span(role: Role, request: &Request, answer: &Answer, routes: &mut Routes, out: &mut String) {
    let server = Endpoint::Inet([127, 0, 0, 1].into(), 8080);
    let client = Endpoint::Inet([127, 0, 0, 1].into(), 50000);
    let (local, remote) = match role {
        Role::Server => (&server, &client),
        Role::Client => (&client, &server),
    };
    let peer = Peer {
        local,
        remote,
        path: None,
        encrypted: false,
    };
    let draft = build(
        request.clone(),
        Some(answer.clone()),
        &peer,
        "service",
        routes,
        Query::Names,
    );
    let side = match role {
        Role::Server => "server",
        Role::Client => "client",
    };
    let first = match &answer.first {
        Some(first) => format!("{} us @{}", first.at / 1000, first.offset),
        None => "never".to_owned(),
    };
    let _ = writeln!(
        out,
        "{side} span: {}\n  outcome: {:?} -> {:?}\n  start: {} us @{}\n  first: {first}\n  end: {} us @{}",
        draft.name,
        answer.outcome,
        draft.status,
        request.start.at / 1000,
        request.start.offset,
        answer.end.at / 1000,
        answer.end.offset,
    );
    for (name, value) in [
        ("traceparent", &request.carried.traceparent),
        ("tracestate", &request.carried.tracestate),
    ] {
        if let Some(value) = value {
            let _ = writeln!(out, "  carried {name}: {value}");
        }
    }
    for attribute in &draft.attributes {
        let value = match &attribute.value {
            Value::Text(text) => format!("{:?}", shortened(text)),
            Value::Int(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            Value::List(items) => format!("{items:?}"),
        };
        let _ = writeln!(out, "  {} = {value}", attribute.key);
    }
    out.push('\n');
}

/// Long values by their head and length: enough to see a difference.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(120) {
        Some((at, _)) => format!("{}... {} bytes", &text[..at], text.len()),
        None => text.to_owned(),
    }
}
