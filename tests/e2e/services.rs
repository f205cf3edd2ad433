//! Each kind of service under each way to ask: spans seen == requests sent.

use crate::shared::{able, check_servers, lacking, targets};
use harness::agent::Agent;
use harness::client::{Sent, anew, concurrently, keep_alive, pipelined};
use harness::service::Service;

/// Requests in each way.
const COUNT: usize = 50;
/// Clients at once.
const THREADS: usize = 8;

const PATHS: &[&str] = &[
    "/?id=*",
    "/status/201?id=*",
    "/none/*",
    "/status/503?id=*",
    "/slow/3?id=*",
];
const FILES: &[&str] = &["/?id=*", "/large.bin?id=*", "/none/*"];

#[test]
fn express() {
    check("express", "storefront", PATHS, None);
}

#[test]
fn node_http() {
    check("node-http", "catalog", PATHS, Some(3));
}

#[test]
fn python_http() {
    check("python-http", "python-http", PATHS, Some(3));
}

#[test]
fn flask_threads() {
    check("flask-threads", "shop", PATHS, None);
}

#[test]
fn flask_processes() {
    check("flask-processes", "shop", PATHS, None);
}

#[test]
fn go_http() {
    check("go-http", "inventory", PATHS, Some(3));
}

#[test]
fn java_http() {
    check("java-http", "Server", PATHS, None);
}

#[test]
fn nginx_static() {
    check("nginx-static", "nginx", FILES, Some(3));
}

#[test]
fn nginx_proxy() {
    let what = "nginx-proxy";
    if !able(what) {
        return;
    }
    let Some(behind) = Service::start("python-http", None) else {
        return lacking(what, "python-http");
    };
    let Some(front) = Service::start("nginx-proxy", Some(behind.port)) else {
        return lacking(what, "nginx-proxy");
    };
    let agent = Agent::start();
    let sent = all_ways(front.port, PATHS, None);
    let at_front =
        |port| move |span: &harness::agent::Span| span.is_server() && span.port() == port;
    agent.wait_for(sent.len(), at_front(front.port));
    let (spans, summary) = agent.stop();
    check_servers(&spans, front.port, "nginx", &sent);
    assert!(summary.contains("file "), "{summary}");
    // What the proxy asked, the service behind answered, inside the proxy's own answer: the
    // connection says so, whatever headers the proxy sets.
    let asked: Vec<_> = spans
        .iter()
        .filter(|s| !s.is_server() && s.service == "nginx")
        .collect();
    assert_eq!(asked.len(), sent.len());
    for client in asked {
        let server = spans.iter().find(|span| span.parent == client.id);
        let server = server.unwrap_or_else(|| panic!("nobody answered {client:#?}"));
        assert_eq!(server.service, "python-http", "{server:#?}");
        assert_eq!(server.target(), client.target());
        assert_eq!(server.trace, client.trace);
        assert_eq!(server.text("weft.parent.evidence"), "socket_pair");
    }
}

fn check(folder: &str, name: &str, patterns: &[&str], pipeline: Option<usize>) {
    if !able(folder) {
        return;
    }
    let Some(service) = Service::start(folder, None) else {
        return lacking(folder, folder);
    };
    let agent = Agent::start();
    let sent = all_ways(service.port, patterns, pipeline);
    agent.wait_for(sent.len(), |span| {
        span.is_server() && span.port() == service.port
    });
    let (spans, _) = agent.stop();
    check_servers(&spans, service.port, name, &sent);
}

fn all_ways(port: u16, patterns: &[&str], pipeline: Option<usize>) -> Vec<Sent> {
    let mut sent = anew(port, &targets(patterns, "new", COUNT));
    sent.extend(keep_alive(port, &targets(patterns, "kept", COUNT)));
    sent.extend(concurrently(
        port,
        &targets(patterns, "many", COUNT),
        THREADS,
    ));
    if let Some(depth) = pipeline {
        sent.extend(pipelined(port, &targets(patterns, "piped", COUNT), depth));
    }
    sent
}
