//! More requests than the agent can take: alone, as the agents of other tests would drown in them.

use harness::agent::{Agent, Span};
use harness::client::anew;
use harness::host::{able, lacking, targets, tool};
use harness::service::Service;
use harness::wrk::Wrk;
use std::thread;
use std::time::Duration;

/// Requests to the other service, until one is seen.
const MOST: usize = 2000;

fn server_at(port: u16) -> impl Fn(&Span) -> bool {
    move |span| span.is_server() && span.port() == port
}

/// The flood began before the agent and goes on after its end: it gets ready, finds out who others
/// are, and ends when it is asked to.
#[test]
fn an_agent_in_a_flood() {
    let what = "agent in a flood";
    if !able(what) || !tool(what, "wrk") {
        return;
    }
    let Some(flooded) = Service::start("nginx-static", None) else {
        return lacking(what, "nginx-static");
    };
    let flood = Wrk::start(flooded.port, "/", "10m");
    let agent = Agent::start();
    let Some(service) = Service::start("node-http", None) else {
        return lacking(what, "node-http");
    };
    agent.wait_for(1, server_at(flooded.port));
    let (mut sent, mut came) = (0, false);
    let mut exported = agent.exported();
    // Most records have no room in the ring, whose ever they are.
    while sent < MOST && !came {
        sent += anew(service.port, &targets(&["/?id=*"], "flooded", 100)).len();
        thread::sleep(Duration::from_secs(2));
        exported.more(|span| came |= server_at(service.port)(&span));
    }
    let (spans, said) = agent.stop();
    drop(flood);
    let seen: Vec<&Span> = spans
        .iter()
        .filter(|s| server_at(service.port)(s))
        .collect();
    let whole = seen.len() == sent || said.contains("ring_full");
    assert!(whole, "{} of {sent} spans: {said}", seen.len());
    assert!(!seen.is_empty(), "none of {sent} spans: {said}");
    for span in seen {
        assert_eq!(span.service, "catalog", "{span:#?}");
    }
}
