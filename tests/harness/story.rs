//! The spans of traffic as readable text: what stands in a `.spans` file.

use crate::feeder::Run;
use std::collections::BTreeMap;
use std::fmt::Write;
use weft::protocol::exchange::{Answer, Attribute, Report, Request, Role, Value};
use weft::protocol::tls::{ClientHello, Handshake, Stage};
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
                Report::Secured(handshake) => told(role, handshake, &mut out),
                Report::Switched(_) => {}
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

/// What is known of a handshake.
fn told(role: Role, handshake: &Handshake, out: &mut String) {
    let side = match role {
        Role::Server => "server",
        Role::Client => "client",
    };
    let stage = match handshake.stage {
        Stage::Offered => "offered".to_owned(),
        Stage::Chosen => "chosen".to_owned(),
        Stage::Established(at) => format!("established: {} us @{}", at.at / 1000, at.offset),
        Stage::Failed(failure, at) => {
            format!("failed: {failure:?}: {} us @{}", at.at / 1000, at.offset)
        }
    };
    let ClientHello {
        random,
        protocols,
        version,
        early_data,
        ..
    } = &handshake.client;
    let head: String = random
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let _ = writeln!(
        out,
        "{side} handshake {stage}\n  outcome: {:?}\n  start: {} us @{}\n  random: {head}...\n  \
         offered: {version:#06x} {protocols:?}{}{}",
        handshake.outcome(),
        handshake.start.at / 1000,
        handshake.start.offset,
        if *early_data { " early data" } else { "" },
        if handshake.retried { " retried" } else { "" },
    );
    attributes(&handshake.operation().attributes, out);
    out.push('\n');
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
    attributes(&draft.attributes, out);
    out.push('\n');
}

fn attributes(attributes: &[Attribute], out: &mut String) {
    for attribute in attributes {
        let value = match &attribute.value {
            Value::Text(text) => format!("{:?}", shortened(text)),
            Value::Int(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            Value::List(items) => format!("{items:?}"),
        };
        let _ = writeln!(out, "  {} = {value}", attribute.key);
    }
}

/// Long values by their head and length: enough to see a difference.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(120) {
        Some((at, _)) => format!("{}... {} bytes", &text[..at], text.len()),
        None => text.to_owned(),
    }
}
