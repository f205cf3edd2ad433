//! Other sockets than IPv4 on this host's own network: UNIX, IPv6, another network namespace.

use crate::clients::{check_joined, curl};
use crate::shared::{able, lacking, the, tool};
use harness::agent::{Agent, Span, fresh_path};
use harness::host::python;
use harness::process::Child;
use harness::service::{command, free_port};
use harness::skip;
use std::process::{Command, id};

/// A query that no other process of this host uses.
fn mark(name: &str) -> String {
    format!("id={name}{}", id())
}

/// Waits for client and server of the request with this query.
fn pair(agent: Agent, query: &str) -> [Span; 2] {
    let ours = |span: &Span| span.text("url.query") == query;
    agent.wait_for(2, ours);
    let (spans, _) = agent.stop();
    [false, true].map(|server| the(&spans, query, |s| ours(s) && s.is_server() == server).clone())
}

#[test]
fn unix_socket() {
    let what = "UNIX socket";
    let Some(python) = python() else {
        return skip!("{what}", "python3", "install python3");
    };
    if !able(what) || !tool(what, "curl") {
        return;
    }
    let path = fresh_path("http.sock").display().to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/unix.py");
    let agent = Agent::start();
    let mut service = Child::start(&python, &[script, &path]);
    service.line_with("listening on");
    let query = mark("unix");
    curl(&[
        "--unix-socket",
        &path,
        &format!("http://localhost/?{query}"),
    ]);
    let [client, server] = pair(agent, &query);
    check_joined(&client, &server, &server.service);
    assert_eq!(server.text("network.transport"), "unix", "{server:#?}");
    assert_eq!(client.text("network.transport"), "unix", "{client:#?}");
    std::fs::remove_file(&path).expect("the service made it");
}

/// What has arrived before a connection ends may be read afterwards.
#[test]
fn answers_are_read_behind_the_end() {
    let what = "connections that end early";
    let Some(python) = python() else {
        return skip!("{what}", "python3", "install python3");
    };
    if !able(what) {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/endings.py");
    let agent = Agent::start();
    let mut service = Child::start(&python, &[script]);
    let line = service.line_with("listening on");
    let port = line
        .rsplit(' ')
        .next()
        .expect("it ends with the port")
        .to_owned();
    service.line_with("done");
    let asks = |span: &Span| {
        let is = |key: &str| span.text(key) == port;
        !span.is_server() && (is("network.peer.port") || is("server.port"))
    };
    let spans = agent.wait_for(2, asks);
    for (span, path) in spans.iter().zip(["/reset", "/half"]) {
        let found = [
            span.text("url.path"),
            span.text("http.response.status_code"),
            span.text("error.type"),
            span.text("weft.capture.cut"),
        ];
        assert_eq!(found, [path, "200", "", ""], "{span:#?}");
    }
}

#[test]
fn ipv6() {
    let what = "IPv6";
    let Some(python) = python() else {
        return skip!("{what}", "python3", "install python3");
    };
    if !able(what) || !tool(what, "curl") {
        return;
    }
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return skip!("{what}", "the address ::1", "enable IPv6 on lo");
    }
    let port = free_port().to_string();
    let mut service = Child::start(
        &python,
        &["-u", "-m", "http.server", "--bind", "::1", &port],
    );
    service.line_with("Serving HTTP");
    let agent = Agent::start();
    let query = mark("six");
    curl(&["-g", &format!("http://[::1]:{port}/?{query}")]);
    let [client, server] = pair(agent, &query);
    check_joined(&client, &server, &server.service);
    for span in [&client, &server] {
        assert_eq!(span.text("server.address"), "::1", "{span:#?}");
        assert_eq!(span.text("network.peer.address"), "::1", "{span:#?}");
        assert_eq!(span.text("server.port"), port, "{span:#?}");
    }
}

/// A network namespace, deleted when dropped.
struct Namespace(String);

impl Namespace {
    fn add() -> Option<Self> {
        let name = format!("weft-e2e-{}", id());
        let space = Self(name);
        let run = |args: &[&str]| {
            let output = Command::new("ip").args(args).output();
            output.is_ok_and(|output| output.status.success())
        };
        let up =
            run(&["netns", "add", &space.0]) && run(&["-n", &space.0, "link", "set", "lo", "up"]);
        up.then_some(space)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.0])
            .output();
    }
}

#[test]
fn network_namespace() {
    let what = "network namespace";
    if !able(what) || !tool(what, "ip") || !tool(what, "curl") {
        return;
    }
    let Some(space) = Namespace::add() else {
        return skip!(
            "{what}",
            "ip netns",
            "a kernel and iproute2 with network namespaces"
        );
    };
    let port = free_port();
    let Some(run) = command("python-http", port, None) else {
        return lacking(what, "python-http");
    };
    let agent = Agent::start();
    let mut inside = Command::new("ip");
    inside
        .args(["netns", "exec", &space.0])
        .arg(run.get_program());
    inside.env("PORT", port.to_string());
    let mut service = Child::spawn(&mut inside);
    service.line_with("listening on");
    let query = mark("netns");
    let url = format!("http://127.0.0.1:{port}/?{query}");
    let args = ["netns", "exec", &space.0, "curl", "-sS", &url];
    let output = Command::new("ip").args(args).output().expect("ip starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let [client, server] = pair(agent, &query);
    check_joined(&client, &server, "python-http");
}
