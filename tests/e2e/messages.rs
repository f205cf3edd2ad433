//! Requests out of the ordinary: carried contexts, methods, bodies, ends.

use crate::clients::{check_joined, curl};
use crate::shared::{able, check_servers, lacking, targets, the, tool};
use harness::agent::{Agent, Span, fresh_path};
use harness::client::{Http, Sent, anew};
use harness::service::Service;
use std::fs;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// An agent and a service; says what is skipped when it cannot be.
fn start(what: &str, folder: &str) -> Option<(Agent, Service)> {
    if !able(what) {
        return None;
    }
    let Some(service) = Service::start(folder, None) else {
        lacking(what, folder);
        return None;
    };
    Some((Agent::start(), service))
}

fn ask(port: u16, method: &str, target: &str, headers: &str) -> u16 {
    let mut http = Http::connect(port).expect("it listens");
    http.ask(method, target, headers).expect("it reads");
    http.answer(method).expect("it answers")
}

#[test]
fn carried_context_is_honoured() {
    let Some((agent, service)) = start("traceparent", "node-http") else {
        return;
    };
    let port = service.port;
    let context = |flags: &str| {
        format!("traceparent: 00-{TRACE}-{PARENT}-{flags}\r\ntracestate: vendor=a:1,other=2\r\n")
    };
    ask(port, "GET", "/?id=kept", &context("01"));
    ask(port, "GET", "/?id=dropped", &context("00"));
    ask(
        port,
        "GET",
        "/?id=broken",
        &context("01").replace("00-4bf9", "00-XXXX"),
    );
    ask(port, "GET", "/?id=plain", "");
    agent.wait_for(3, |span| span.port() == port);
    let (spans, _) = agent.stop();
    let with = |id: &str| {
        let query = format!("id={id}");
        let found = |s: &&Span| s.port() == port && s.text("url.query") == query;
        spans.iter().filter(found).collect::<Vec<_>>()
    };
    let [kept] = with("kept")[..] else {
        panic!("{spans:#?}")
    };
    assert_eq!(
        (kept.trace.as_str(), kept.parent.as_str()),
        (TRACE, PARENT),
        "{kept:#?}"
    );
    assert_eq!(kept.state, "vendor=a:1,other=2");
    assert_eq!(kept.text("weft.parent.evidence"), "header");
    assert!(
        with("dropped").is_empty(),
        "not sampled where it began: {spans:#?}"
    );
    for id in ["broken", "plain"] {
        let [root] = with(id)[..] else {
            panic!("{id}: {spans:#?}")
        };
        assert_eq!(
            (root.parent.as_str(), root.state.as_str()),
            ("", ""),
            "{root:#?}"
        );
        assert_ne!(root.trace, TRACE);
    }
}

/// HEAD and unknown paths leave the connection in step for what follows.
#[test]
fn head_and_not_found() {
    for (folder, status) in [("node-http", 200), ("nginx-static", 200), ("go-http", 200)] {
        let Some((agent, service)) = start("HEAD", folder) else {
            return;
        };
        let port = service.port;
        let mut http = Http::connect(port).expect("it listens");
        for method in ["HEAD", "GET", "HEAD", "GET"] {
            http.ask(method, &format!("/?id={method}"), "")
                .expect("it reads");
            assert_eq!(http.answer(method).expect("it answers"), status);
        }
        let lost = http.get("/none/at/all").expect("it answers");
        assert_eq!(lost.status, 404);
        agent.wait_for(5, |span| span.port() == port);
        let (spans, _) = agent.stop();
        let ours: Vec<&Span> = spans.iter().filter(|span| span.port() == port).collect();
        let methods: Vec<_> = ours
            .iter()
            .map(|span| span.text("http.request.method"))
            .collect();
        assert_eq!(methods, ["HEAD", "GET", "HEAD", "GET", "GET"], "{folder}");
        let statuses: Vec<_> = ours.iter().map(|span| span.status()).collect();
        assert_eq!(statuses, [200, 200, 200, 200, 404], "{folder}");
        let unknown = ours[4];
        assert!(
            !unknown.error,
            "a caller's mistake is no error of the server: {unknown:#?}"
        );
        assert_eq!(
            unknown.text("http.route"),
            "",
            "unknown paths are no routes: {unknown:#?}"
        );
    }
}

/// A body that waits for `100 Continue`, and one in chunks.
#[test]
fn bodies() {
    let what = "bodies";
    for (folder, service_name) in [("node-http", "catalog"), ("go-http", "inventory")] {
        if !tool(what, "curl") {
            return;
        }
        let Some((agent, service)) = start(what, folder) else {
            return;
        };
        let port = service.port;
        let file = fresh_path("body");
        fs::write(&file, vec![b'x'; 3_000_000]).expect("the temporary folder is writable");
        let body = format!("@{}", file.display());
        let url = format!("http://127.0.0.1:{port}/echo");
        let post = |id: &str, header: &str| {
            let url = format!("{url}?id={id}");
            curl(&["-H", header, "--data-binary", &body, &url]).len()
        };
        assert_eq!(post("continue", "Expect: 100-continue"), 3_000_000);
        assert_eq!(post("chunked", "Transfer-Encoding: chunked"), 3_000_000);
        assert_eq!(post("plain", "Expect:"), 3_000_000);
        fs::remove_file(&file).expect("it was written");
        // In chunks, and something else after it over the same connection.
        let chunked = ["-H", "Transfer-Encoding: chunked", "--data-binary"];
        let [few, next] = ["few", "next"].map(|id| format!("{url}?id={id}"));
        let rest = [
            "12345",
            &few,
            "--next",
            "-sS",
            "--data-binary",
            "678",
            &next,
        ];
        assert_eq!(curl(&[&chunked[..], &rest].concat()), "12345678");
        agent.wait_for(10, |span| span.port() == port);
        let (spans, _) = agent.stop();
        for (id, size) in [
            ("continue", "3000000"),
            ("chunked", "3000000"),
            ("plain", "3000000"),
            ("few", "5"),
            ("next", "3"),
        ] {
            let side = |server: bool| {
                let query = format!("id={id}");
                the(&spans, id, move |s| {
                    s.port() == port && s.is_server() == server && s.text("url.query") == query
                })
            };
            let (client, server) = (side(false), side(true));
            check_joined(client, server, service_name);
            for span in [client, server] {
                assert_eq!(span.text("http.request.method"), "POST", "{span:#?}");
                assert_eq!(span.status(), 200, "{span:#?}");
                // Sizes of chunks may be in the part of a large body that is not copied.
                let cut = id == "chunked" && span.text("weft.capture.cut") == "true";
                let size = if cut { "" } else { size };
                assert_eq!(span.text("http.request.body.size"), size, "{span:#?}");
            }
        }
    }
}

/// A client that leaves before it is answered, and one that never finishes to ask.
#[test]
fn aborted() {
    for (folder, name) in [
        ("node-http", "catalog"),
        ("go-http", "inventory"),
        ("python-http", "python-http"),
    ] {
        let Some((agent, service)) = start("aborted requests", folder) else {
            return;
        };
        let port = service.port;
        let mut leaver = Http::connect(port).expect("it listens");
        leaver
            .ask("GET", "/slow/300?id=leaver", "")
            .expect("it reads");
        drop(leaver);
        let mut stutterer = Http::connect(port).expect("it listens");
        stutterer
            .ask("GET", "/?id=stutterer", "X-Half: yes")
            .expect("it reads");
        drop(stutterer);
        let sent: Vec<Sent> = anew(port, &targets(&["/slow/50?id=*"], "well", 10));
        agent.wait_for(12, |span| span.port() == port);
        let (mut spans, _) = agent.stop();
        let left = the(&spans, "leaver", |s| {
            s.port() == port && s.target().ends_with("leaver")
        });
        assert!(left.is_server() && left.service == name, "{left:#?}");
        // It answered into the void or gave up: either way it says so.
        let closed = |span: &Span| span.error && span.text("error.type") == "connection_closed";
        assert!((left.status() == 200) != closed(left), "{left:#?}");
        let half = the(&spans, "half", |s| {
            s.port() == port && s.target().ends_with("stutterer")
        });
        assert!(closed(half) && half.status() == 0, "{half:#?}");
        let odd = |span: &Span| {
            ["leaver", "stutterer"]
                .iter()
                .any(|id| span.target().ends_with(id))
        };
        spans.retain(|span| !odd(span));
        check_servers(&spans, port, name, &sent);
    }
}
