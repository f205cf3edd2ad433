//! Parents under concurrency: whose call is it, when eight requests are open at once? The ids in
//! the queries are for the test alone: the agent looks at connections and threads.

use crate::shared::{able, lacking, targets};
use harness::agent::{Agent, Span};
use harness::client::{Sent, anew, concurrently};
use harness::service::Service;
use harness::upstream;
use std::collections::HashMap;

const COUNT: usize = 200;
const THREADS: usize = 8;

/// What became of the calls of a service.
#[derive(Debug, Default)]
struct Outcome {
    right: usize,
    wrong: Vec<String>,
    orphans: usize,
}

#[test]
fn flask_threads() {
    exact("flask-threads");
}

#[test]
fn java_http() {
    exact("java-http");
}

#[test]
fn python_http() {
    exact("python-http");
}

#[test]
fn flask_processes() {
    exact("flask-processes");
}

/// One loop serves all: with several requests open nobody can know, and nobody may guess.
#[test]
fn node_http() {
    let Some((outcome, _)) = run("node-http", |port, targets| {
        concurrently(port, targets, THREADS)
    }) else {
        return;
    };
    assert!(outcome.wrong.is_empty(), "{outcome:#?}");
    assert_eq!(outcome.right + outcome.orphans, COUNT, "{outcome:#?}");
}

#[test]
fn node_http_serially() {
    let Some((outcome, _)) = run("node-http", anew) else {
        return;
    };
    assert_eq!(
        (outcome.right, outcome.wrong.len()),
        (COUNT, 0),
        "{outcome:#?}"
    );
}

/// Go hands calls to other goroutines, which are followed.
#[test]
fn go_http() {
    exact("go-http");
}

/// Threads that handle one request at a time: every parent is known and right.
fn exact(folder: &str) {
    let ask = |port: u16, targets: &[String]| concurrently(port, targets, THREADS);
    let Some((outcome, summary)) = run(folder, ask) else {
        return;
    };
    assert_eq!(
        (outcome.right, outcome.wrong.len()),
        (COUNT, 0),
        "{outcome:#?}\n{summary}"
    );
}

fn run(folder: &str, ask: impl Fn(u16, &[String]) -> Vec<Sent>) -> Option<(Outcome, String)> {
    let what = format!("parents of {folder}");
    if !able(&what) {
        return None;
    }
    let upstream = upstream::slow();
    let Some(service) = Service::start(folder, Some(upstream)) else {
        lacking(&what, folder);
        return None;
    };
    let agent = Agent::start();
    let sent = ask(service.port, &targets(&["/call?id=*"], "n", COUNT));
    assert!(
        sent.iter().all(|request| request.status == 200),
        "{sent:#?}"
    );
    let ports = [service.port, upstream];
    agent.wait_for(2 * COUNT, |span| ports.contains(&span.port()));
    let (spans, summary) = agent.stop();
    Some((judge(&spans, service.port, upstream), summary))
}

fn judge(spans: &[Span], front: u16, upstream: u16) -> Outcome {
    let at = |port| spans.iter().filter(move |span| span.port() == port);
    let servers: HashMap<&str, &Span> = at(front).map(|span| (span.id.as_str(), span)).collect();
    let calls: Vec<&Span> = at(upstream).collect();
    assert_eq!((servers.len(), calls.len()), (COUNT, COUNT));
    let mut outcome = Outcome::default();
    for call in calls {
        let id = call.text("url.query");
        assert!(!call.is_server() && id.starts_with("id=n"), "{call:#?}");
        match servers.get(call.parent.as_str()) {
            Some(server) if server.text("url.query") == id && server.trace == call.trace => {
                outcome.right += 1;
            }
            None if call.parent.is_empty() => outcome.orphans += 1,
            other => outcome
                .wrong
                .push(format!("{id} under {:?}", other.map(|s| s.target()))),
        }
    }
    outcome
}
