//! Calls of services whose tasks hand work to each other: an id stands in the path of each request
//! and of the call it makes, so each call shows by itself whose it is.

use harness::agent::{Agent, Span};
use harness::client::concurrently;
use std::collections::HashMap;
use std::thread;
use std::time::Duration;

/// Requests of one phase, and how many are open at once.
const COUNT: usize = 80;
const OPEN: usize = 8;
/// Requests of some seconds.
const LASTING: usize = 4000;

/// What became of the calls of one phase.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Under their own request, by the runtime's task.
    pub(crate) task: usize,
    /// Under their own request by other evidence.
    pub(crate) other: usize,
    /// Without a parent.
    pub(crate) none: usize,
    /// Under another request.
    pub(crate) wrong: Vec<String>,
}

/// How many requests tell whether a service that has just started is probed by now, and how often
/// that is asked.
const FEW: usize = 8;
const TRIES: usize = 40;

/// Asks the service at `port` for things that it asks its upstream for; ids begin with `mark`,
/// which must be another one for each phase of a test.
pub(crate) fn drive(agent: &Agent, port: u16, upstream: u16, mark: &str) -> Outcome {
    some(agent, port, upstream, mark, COUNT)
}

fn some(agent: &Agent, port: u16, upstream: u16, mark: &str, count: usize) -> Outcome {
    judge(&ask(agent, port, upstream, mark, count))
}

fn ask(agent: &Agent, port: u16, upstream: u16, mark: &str, count: usize) -> Vec<Span> {
    let targets: Vec<String> = (0..count).map(|n| format!("/work/{mark}n{n}")).collect();
    let sent = concurrently(port, &targets, OPEN);
    assert!(sent.iter().all(|one| one.status == 200), "{sent:#?}");
    let ours = |span: &Span| {
        let here = span.port() == port && span.is_server();
        let there = span.port() == upstream && !span.is_server();
        (here || there) && id(span).starts_with(&format!("{mark}n"))
    };
    let spans = agent.wait_for(2 * count, ours);
    assert_eq!(spans.len(), 2 * count, "spans are missing, or twice there");
    spans
}

/// Drives a service for seconds, from the agent's start on: once calls stand under their requests by
/// the runtime's task, all later ones do.
pub(crate) fn lasting(agent: &Agent, port: u16, upstream: u16, mark: &str) {
    let spans = ask(agent, port, upstream, mark, LASTING);
    let is_call = |span: &&Span| !span.is_server();
    let by_task = |span: &&Span| span.text("weft.parent.evidence") == "task";
    let mut told: Vec<u64> = spans
        .iter()
        .filter(is_call)
        .filter(by_task)
        .map(|span| span.start)
        .collect();
    told.sort_unstable();
    // Those that were under way when it was probed end meanwhile.
    let since = *told.get(COUNT).expect("no task is told");
    let (later, earlier): (Vec<Span>, Vec<Span>) = spans
        .into_iter()
        .partition(|span| span.is_server() || span.start >= since);
    let outcome = judge(&later);
    let expected = Outcome {
        task: LASTING - earlier.len(),
        ..Outcome::default()
    };
    assert_eq!(outcome, expected, "{mark}");
}

/// Waits until a service is watched, which takes a while where rules ask for ports.
pub(crate) fn until_seen(agent: &Agent, port: u16, mark: &str) {
    for attempt in 0..TRIES {
        let targets = [format!("/work/{mark}s{attempt}")];
        assert_eq!(concurrently(port, &targets, 1).len(), 1);
        thread::sleep(Duration::from_millis(500));
        let ours = |span: &Span| span.port() == port && id(span).starts_with(&format!("{mark}s"));
        if agent.spans().iter().any(ours) {
            return;
        }
    }
    panic!("{mark} is not watched");
}

/// The same, and every call must stand under its own request by the runtime's task. A service that
/// has just started may not be probed yet, so a few requests go before; those have no wrong parents
/// either.
pub(crate) fn exact(agent: &Agent, port: u16, upstream: u16, mark: &str) {
    for attempt in 0..TRIES {
        let early = some(agent, port, upstream, &format!("{mark}w{attempt}"), FEW);
        assert!(early.wrong.is_empty(), "{mark}: {early:?}");
        if early.task == FEW {
            break;
        }
    }
    let outcome = drive(agent, port, upstream, mark);
    let expected = Outcome {
        task: COUNT,
        ..Outcome::default()
    };
    assert_eq!(outcome, expected, "{mark}");
}

fn id(span: &Span) -> &str {
    span.text("url.path").split('/').nth(2).unwrap_or_default()
}

fn judge(spans: &[Span]) -> Outcome {
    let servers = spans.iter().filter(|span| span.is_server());
    let servers: HashMap<&str, &Span> = servers.map(|span| (span.id.as_str(), span)).collect();
    let mut outcome = Outcome::default();
    for call in spans.iter().filter(|span| !span.is_server()) {
        match servers.get(call.parent.as_str()) {
            Some(server) if id(server) == id(call) && server.trace == call.trace => {
                match call.text("weft.parent.evidence") {
                    "task" => outcome.task += 1,
                    _ => outcome.other += 1,
                }
            }
            None if call.parent.is_empty() => outcome.none += 1,
            other => outcome.wrong.push(format!(
                "{} under {:?}",
                id(call),
                other.map(|server| id(server))
            )),
        }
    }
    outcome
}
