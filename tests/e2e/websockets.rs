//! WebSockets of real servers and clients: one span a side, with what went over it and how it ended.

use crate::shared::{able, lacking};
use harness::agent::{Agent, Span};
use harness::host::{program, workloads};
use harness::service::{Service, free_port};
use std::process::Command;

/// Clients that talk at once in each story.
const CLIENTS: usize = 8;

/// What a client does at a path, and what both sides must say of it.
struct Story {
    path: &'static str,
    messages: usize,
    /// Of the client and of the server.
    counts: [&'static str; 2],
    code: &'static str,
    /// `error.type` of the client and of the server.
    errors: [&'static str; 2],
}

const fn story(
    path: &'static str,
    messages: usize,
    counts: [&'static str; 2],
    code: &'static str,
    errors: [&'static str; 2],
) -> Story {
    Story {
        path,
        messages,
        counts,
        code,
        errors,
    }
}

const GONE: [&str; 2] = ["connection_closed"; 2];

const STORIES: &[Story] = &[
    story("echo", 5, ["5", "5"], "1000", ["", ""]),
    story("large", 3, ["3", "3"], "1000", ["", ""]),
    story("parts", 4, ["4", "4"], "1000", ["", ""]),
    story("many", 50, ["1", "50"], "1000", ["", ""]),
    story("leave", 1, ["1", "0"], "1001", ["", ""]),
    story("fail", 1, ["1", "0"], "1011", ["1011", "1011"]),
    story("huge", 1, ["1", "0"], "1009", ["1009", ""]),
    story("abort", 1, ["1", "0"], "", GONE),
    story("gone", 2, ["2", "2"], "", GONE),
];

/// What goes over streams of HTTP/2; sockets that are abandoned are reset there, without an error.
const STREAMED: &[Story] = &[
    story("echo", 5, ["5", "5"], "1000", ["", ""]),
    story("many", 8, ["1", "8"], "1000", ["", ""]),
    story("leave", 1, ["1", "0"], "1001", ["", ""]),
    story("fail", 1, ["1", "0"], "1011", ["1011", "1011"]),
    story("gone", 2, ["2", "2"], "", GONE),
];

/// What hypercorn does over HTTP/2: it closes the connection of all streams with the first that ends.
const ALONE: &[Story] = &[
    story("echo", 5, ["5", "5"], "1000", ["", ""]),
    story("many", 8, ["1", "8"], "1000", ["", ""]),
];

/// The status of the answer that begins a WebSocket.
const UPGRADED: &str = "101";
const GRANTED: &str = "200";

#[test]
fn python_to_python() {
    check("python", "python", STORIES, UPGRADED);
}

#[test]
fn node_to_python() {
    check("python", "node", STORIES, UPGRADED);
}

#[test]
fn python_to_node() {
    check("node", "python", STORIES, UPGRADED);
}

#[test]
fn node_to_node() {
    check("node", "node", STORIES, UPGRADED);
}

#[test]
fn node_to_node_over_http2() {
    check("node-h2", "node-h2", STREAMED, GRANTED);
}

#[test]
fn node_to_hypercorn_over_http2() {
    check("hypercorn", "node-h2", ALONE, GRANTED);
}

fn check(server: &str, client: &str, stories: &[Story], status: &str) {
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
    for Story { path, messages, .. } in stories {
        let ended = Command::new(workloads().join(what).join("client"))
            .args([&url, &format!("/{path}/*")])
            .args([messages.to_string(), CLIENTS.to_string()])
            .env("PEER", client)
            .status()
            .expect("a client starts");
        assert!(ended.success(), "{client} at {path}");
    }
    let ours = |span: &Span| span.port() == service.port;
    agent.wait_for(2 * stories.len() * CLIENTS, ours);
    let (spans, _) = agent.stop();
    for story in stories {
        for number in 0..CLIENTS {
            let path = format!("/{}/{number}", story.path);
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
            let ([sent, received], [client, server]) = (story.counts, story.errors);
            tells(asked, [sent, received, story.code, client, status]);
            tells(served, [received, sent, story.code, server, status]);
            assert_eq!(served.parent, asked.id, "{served:#?}");
        }
    }
}

/// Messages sent and received, as the span's own process sees them, close code, `error.type`, status.
fn tells(span: &Span, expected: [&str; 5]) {
    let found = [
        span.text("weft.websocket.messages_sent"),
        span.text("weft.websocket.messages_received"),
        span.text("weft.websocket.close_code"),
        span.text("error.type"),
        span.text("http.response.status_code"),
        span.text("weft.capture.cut"),
    ];
    let [sent, received, code, error, status] = expected;
    let expected = [sent, received, code, error, status, ""];
    assert_eq!(found, expected, "{span:#?}");
}
