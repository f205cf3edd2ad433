//! Clients that are watched themselves: curl and wrk.

use crate::shared::{SLACK, able, lacking, the, tool};
use harness::agent::{Agent, Span};
use harness::service::Service;
use harness::wrk::{CONNECTIONS, Wrk};
use std::collections::BTreeSet;
use std::process::Command;

/// Short-lived processes in a row.
const PROCESSES: usize = 1000;

/// Runs curl to its end; answers what it printed.
pub(crate) fn curl(args: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-sS"])
        .args(args)
        .output()
        .expect("curl starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// curl's span and the service's are one tree, joined by their connection.
pub(crate) fn check_joined(client: &Span, server: &Span, service: &str) {
    assert_eq!(
        (client.service.as_str(), server.service.as_str()),
        ("curl", service)
    );
    assert_eq!(client.parent, "", "{client:#?}");
    assert_eq!(server.parent, client.id, "{server:#?}");
    assert_eq!(server.trace, client.trace);
    assert_eq!(
        server.text("weft.parent.evidence"),
        "socket_pair",
        "{server:#?}"
    );
    assert_eq!(server.status(), client.status());
    let within = client.start <= server.start + SLACK && server.end <= client.end + SLACK;
    assert!(within, "{server:#?} is outside of {client:#?}");
}

#[test]
fn curl_and_service_are_joined() {
    let what = "curl";
    if !able(what) || !tool(what, "curl") {
        return;
    }
    for (folder, service) in [
        ("node-http", "catalog"),
        ("python-http", "python-http"),
        ("go-http", "inventory"),
    ] {
        let Some(running) = Service::start(folder, None) else {
            return lacking(what, folder);
        };
        let agent = Agent::start();
        let port = running.port;
        let url = |target: &str| format!("http://127.0.0.1:{port}{target}");
        // Two requests over one connection, then one over another.
        curl(&[&url("/?id=first"), &url("/status/404?id=second")]);
        curl(&[
            "-X",
            "POST",
            "--data-binary",
            "12345",
            &url("/echo?id=third"),
        ]);
        agent.wait_for(6, |span| span.port() == port);
        let (spans, _) = agent.stop();
        for id in ["first", "second", "third"] {
            let side = |server: bool| {
                let query = format!("id={id}");
                the(&spans, id, move |s| {
                    s.port() == port && s.is_server() == server && s.text("url.query") == query
                })
            };
            check_joined(side(false), side(true), service);
        }
    }
}

/// None of many processes that live for milliseconds is missed or misnamed.
#[test]
fn short_lived_processes() {
    let what = "short-lived processes";
    if !able(what) || !tool(what, "curl") || !tool(what, "xargs") {
        return;
    }
    let Some(service) = Service::start("node-http", None) else {
        return lacking(what, "node-http");
    };
    let agent = Agent::start();
    let port = service.port;
    let script = format!(
        "seq {PROCESSES} | xargs -P4 -I@ curl -sS -o /dev/null 'http://127.0.0.1:{port}/?id=@'"
    );
    let status = Command::new("sh")
        .args(["-c", &script])
        .status()
        .expect("a shell");
    assert!(status.success());
    agent.wait_for(2 * PROCESSES, |span| span.port() == port);
    let (spans, summary) = agent.stop();
    let (servers, clients): (Vec<&Span>, Vec<&Span>) = spans
        .iter()
        .filter(|span| span.port() == port)
        .partition(|span| span.is_server());
    assert_eq!(
        (servers.len(), clients.len()),
        (PROCESSES, PROCESSES),
        "{summary}"
    );
    let ids: BTreeSet<_> = clients.iter().map(|span| span.target()).collect();
    assert_eq!(ids.len(), PROCESSES);
    let strangers: Vec<_> = clients
        .iter()
        .filter(|span| span.service != "curl")
        .collect();
    assert!(
        strangers.is_empty(),
        "{} are not curl: {:#?}",
        strangers.len(),
        strangers[0]
    );
    let parents: BTreeSet<_> = clients.iter().map(|span| span.id.as_str()).collect();
    let lone = servers
        .iter()
        .filter(|span| !parents.contains(span.parent.as_str()))
        .count();
    assert_eq!(lone, 0, "servers without their client");
}

/// wrk's own count of requests is the number of spans, but for those cut off at its end.
#[test]
fn wrk_counts_the_same() {
    let what = "wrk";
    if !able(what) || !tool(what, "wrk") {
        return;
    }
    let Some(service) = Service::start("node-http", None) else {
        return lacking(what, "node-http");
    };
    let port = service.port;
    // What others of this host lose is not counted.
    let only = ["--select", &format!("port={port}"), "--select", "exe=*/wrk"];
    let agent = Agent::with(&only, &[]);
    let requests = Wrk::start(port, "/slow/2", "3s").requests();
    agent.wait_for(2 * requests, |span| span.port() == port);
    let (spans, summary) = agent.stop();
    assert!(summary.contains("nothing lost"), "{summary}");
    for server in [true, false] {
        let seen = spans
            .iter()
            .filter(|s| s.port() == port && s.is_server() == server)
            .count();
        let range = requests..=requests + CONNECTIONS;
        assert!(
            range.contains(&seen),
            "server {server}: {seen} spans of {requests} requests"
        );
    }
    let clients: BTreeSet<_> = spans
        .iter()
        .filter(|s| !s.is_server())
        .map(|s| s.id.as_str())
        .collect();
    let mut servers = spans.iter().filter(|s| s.port() == port && s.is_server());
    assert!(servers.all(|span| clients.contains(span.parent.as_str())));
}
