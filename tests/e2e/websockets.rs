//! WebSockets of real servers and clients: one span a side, with what went over it and how it ended.

use crate::shared::{able, lacking};
use harness::agent::{Agent, Span};
use harness::host::{program, workloads};
use harness::service::{Service, free_port};
use std::process::Command;

/// Clients that talk at once in each story.
const CLIENTS: usize = 8;

/// What a client does at a path, and what both sides must say: messages of the client and of the
/// server, the close code, `error.type` of the client and of the server.
const STORIES: &[(&str, usize, [&str; 2], &str, [&str; 2])] = &[
    ("echo", 5, ["5", "5"], "1000", ["", ""]),
    ("large", 3, ["3", "3"], "1000", ["", ""]),
    ("parts", 4, ["4", "4"], "1000", ["", ""]),
    ("many", 50, ["1", "50"], "1000", ["", ""]),
    ("leave", 1, ["1", "0"], "1001", ["", ""]),
    ("fail", 1, ["1", "0"], "1011", ["1011", "1011"]),
    ("huge", 1, ["1", "0"], "1009", ["1009", ""]),
    (
        "abort",
        1,
        ["1", "0"],
        "",
        ["connection_closed", "connection_closed"],
    ),
    (
        "gone",
        2,
        ["2", "2"],
        "",
        ["connection_closed", "connection_closed"],
    ),
];

#[test]
fn python_to_python() {
    check("python", "python");
}

#[test]
fn node_to_python() {
    check("python", "node");
}

#[test]
fn python_to_node() {
    check("node", "python");
}

#[test]
fn node_to_node() {
    check("node", "node");
}

fn check(server: &str, client: &str) {
    let what = "websocket";
    if !able(what) {
        return;
    }
    let ready = workloads().join(what).join("node_modules").is_dir() && program("node").is_some();
    let service = ready.then(|| Service::start_as(what, free_port(), &[("PEER", server)]));
    let Some(service) = service.flatten() else {
        return lacking(what, what);
    };
    let agent = Agent::start();
    let url = format!("ws://127.0.0.1:{}", service.port);
    for (path, messages, ..) in STORIES {
        let status = Command::new(workloads().join(what).join("client"))
            .args([&url, &format!("/{path}/*")])
            .args([messages.to_string(), CLIENTS.to_string()])
            .env("PEER", client)
            .status()
            .expect("a client starts");
        assert!(status.success(), "{client} at {path}");
    }
    let ours = |span: &Span| span.port() == service.port;
    agent.wait_for(2 * STORIES.len() * CLIENTS, ours);
    let (spans, _) = agent.stop();
    for (path, _, counts, code, errors) in STORIES {
        for number in 0..CLIENTS {
            let path = format!("/{path}/{number}");
            let side = |server: bool| {
                let found: Vec<&Span> = spans
                    .iter()
                    .filter(|span| ours(span) && span.text("url.path") == path)
                    .filter(|span| span.is_server() == server)
                    .collect();
                let [span] = found[..] else {
                    panic!("{} spans of {path}: {found:#?}", found.len());
                };
                span
            };
            let (asked, served) = (side(false), side(true));
            let [sent, received] = *counts;
            tells(asked, [sent, received], code, errors[0]);
            tells(served, [received, sent], code, errors[1]);
            assert_eq!(served.parent, asked.id, "{served:#?}");
        }
    }
}

/// `counts` are of messages sent and received, as the span's own process sees them.
fn tells(span: &Span, counts: [&str; 2], code: &str, error: &str) {
    let found = [
        span.text("weft.websocket.messages_sent"),
        span.text("weft.websocket.messages_received"),
        span.text("weft.websocket.close_code"),
        span.text("error.type"),
        span.text("http.response.status_code"),
        span.text("weft.capture.cut"),
    ];
    let [sent, received] = counts;
    assert_eq!(found, [sent, received, code, error, "101", ""], "{span:#?}");
}
