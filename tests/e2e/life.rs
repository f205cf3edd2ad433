//! Who starts first, who restarts, who dies: services never notice, and nothing seen is wrong.

use crate::shared::{able, check_servers, lacking, targets, tool};
use harness::agent::{Agent, Span};
use harness::client::{Http, Sent, anew, keep_alive, wall};
use harness::process::Child;
use harness::service::{Service, free_port};
use harness::wrk::Wrk;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

fn server_at(port: u16) -> impl Fn(&Span) -> bool {
    move |span| span.is_server() && span.port() == port
}

/// The agent comes while requests run over connections that are older than it.
#[test]
fn attach_during() {
    for (folder, name) in [
        ("node-http", "catalog"),
        ("flask-threads", "shop"),
        ("go-http", "inventory"),
        ("java-http", "Server"),
        ("nginx-static", "nginx"),
    ] {
        let what = format!("attach during load on {folder}");
        if !able(&what) {
            return;
        }
        let Some(service) = Service::start(folder, None) else {
            lacking(&what, folder);
            continue;
        };
        attach_to(service.port, name);
    }
}

fn attach_to(port: u16, name: &str) {
    let mut old: Vec<Http> = (0..3)
        .map(|_| Http::connect(port).expect("it listens"))
        .collect();
    for (n, http) in old.iter_mut().enumerate() {
        http.get(&format!("/?id=before{n}")).expect("it answers");
    }
    let (stop, started) = (AtomicBool::new(false), AtomicBool::new(false));
    let (agent, ready, load, mut after) = thread::scope(|scope| {
        let loading = scope.spawn(|| load(port, &stop));
        let kept = &started;
        let keeping = scope.spawn(move || keep(old, kept));
        let ends = (Ends(&stop), Ends(&started));
        let agent = Agent::start();
        let ready = wall();
        started.store(true, Ordering::Relaxed);
        let (mut old, kept) = keeping.join().expect("connections in use are kept");
        let mut after = Vec::new();
        for round in 0..10 {
            for (n, http) in old.iter_mut().enumerate() {
                after.push(
                    http.get(&format!("/?id=after{n}-{round}"))
                        .expect("it answers"),
                );
            }
        }
        drop(ends);
        let mut load = loading.join().expect("the load ends well");
        load.extend(kept);
        (agent, ready, load, after)
    });
    let (known, unknown): (Vec<Sent>, Vec<Sent>) =
        load.into_iter().partition(|request| request.start > ready);
    after.extend(known);
    agent.wait_for(after.len(), server_at(port));
    let (mut spans, said) = agent.stop();
    // A service at full speed may fill the ring while the agent is still starting on a busy host. What
    // is lost then is counted, and only then may it be missing.
    if format!("{said:?}").contains("ring_full") {
        after.retain(|request| spans.iter().any(|span| span.target() == request.target));
    }
    // What ran while it attached may be seen or not, but never twice and never with wrong words.
    let early: BTreeMap<&str, &Sent> = unknown.iter().map(|r| (r.target.as_str(), r)).collect();
    let mut seen = BTreeSet::new();
    spans.retain(|span| {
        let target = span.target();
        let Some(request) = early.get(target.as_str()) else {
            return true;
        };
        assert!(seen.insert((target, span.kind)), "twice: {span:#?}");
        // Whose answer it was may be beyond telling: then the span has none.
        let told = [0, request.status].contains(&span.status());
        assert!(told, "{request:#?}: {span:#?}");
        false
    });
    check_servers(&spans, port, name, &after);
}

/// Uses connections now and then until told to stop: services close those that are idle for seconds.
fn keep(mut connections: Vec<Http>, stop: &AtomicBool) -> (Vec<Http>, Vec<Sent>) {
    let mut sent = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for http in &mut connections {
            let target = format!("/?id=kept{}", sent.len());
            sent.push(http.get(&target).expect("it answers"));
        }
        thread::sleep(Duration::from_millis(500));
    }
    (connections, sent)
}

/// Requests over one connection until told to stop.
fn load(port: u16, stop: &AtomicBool) -> Vec<Sent> {
    let mut http = Http::connect(port).expect("it listens");
    let mut sent = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if !http.open {
            http = Http::connect(port).expect("it listens");
        }
        sent.push(
            http.get(&format!("/?id=load{}", sent.len()))
                .expect("it answers"),
        );
    }
    sent
}

/// Ends a load also where its test fails: those after it would run beside it.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The agent is there first; the service restarts on the same port.
#[test]
fn service_restarts() {
    let what = "service restart";
    if !able(what) {
        return;
    }
    let agent = Agent::start();
    let port = free_port();
    let mut sent = Vec::new();
    for life in ["one", "two", "three"] {
        let Some(service) = Service::start_at("node-http", port, None) else {
            return lacking(what, "node-http");
        };
        sent.extend(keep_alive(port, &targets(&["/?id=*", "/none/*"], life, 20)));
        // By then it is known by name, which is found out while it lives.
        agent.wait_for(sent.len(), server_at(port));
        service.stop();
    }
    let (spans, _) = agent.stop();
    check_servers(&spans, port, "catalog", &sent);
    let ours = spans.iter().filter(|span| server_at(port)(span));
    let instances: BTreeSet<_> = ours
        .map(|span| &span.resource["service.instance.id"])
        .collect();
    assert_eq!(instances.len(), 3, "each life is an instance of its own");
}

/// Each agent sees what was asked in its time, on a connection older than all of them.
#[test]
fn agent_restarts() {
    let what = "agent restart";
    if !able(what) {
        return;
    }
    // It keeps idle connections for as long as an agent takes to start.
    let Some(service) = Service::start("go-http", None) else {
        return lacking(what, "go-http");
    };
    let port = service.port;
    let mut http = Http::connect(port).expect("it listens");
    for life in ["one", "two", "three"] {
        let agent = Agent::start();
        let mut sent = anew(port, &targets(&["/?id=new*"], life, 5));
        for target in targets(&["/?id=old*"], life, 5) {
            sent.push(http.get(&target).expect("it answers"));
        }
        agent.wait_for(sent.len(), server_at(port));
        let (spans, _) = agent.stop();
        check_servers(&spans, port, "inventory", &sent);
        http.get("/?id=unseen").expect("it answers");
    }
}

/// Killed under load: the service goes on, the kernel forgets the programs, a new agent works.
#[test]
fn agent_killed() {
    let what = "agent killed";
    if !able(what) || !tool(what, "wrk") {
        return;
    }
    let Some(service) = Service::start("node-http", None) else {
        return lacking(what, "node-http");
    };
    let load = Wrk::start(service.port, "/slow/2", "4s");
    let agent = Agent::start();
    agent.wait_for(100, server_at(service.port));
    let programs = programs_of(agent.id());
    assert!(
        !programs.is_empty() && programs.is_subset(&loaded()),
        "{programs:?}"
    );
    agent.kill();
    assert!(load.requests() > 0);
    for _ in 0..100 {
        if programs.is_disjoint(&loaded()) {
            break;
        }
        // Programs are freed once no CPU can run them any more.
        thread::sleep(Duration::from_millis(50));
    }
    assert!(
        programs.is_disjoint(&loaded()),
        "still loaded, of {programs:?}: {:?}",
        loaded()
    );
    let agent = Agent::start();
    let sent = anew(service.port, &targets(&["/?id=*"], "again", 10));
    agent.wait_for(10, |span| span.text("url.query").starts_with("id=again"));
    let (mut spans, _) = agent.stop();
    spans.retain(|span| span.text("url.query").starts_with("id=again"));
    check_servers(&spans, service.port, "catalog", &sent);
}

/// Ids of the programs that a process holds by its descriptors.
fn programs_of(pid: u32) -> BTreeSet<u32> {
    let folder = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the agent runs");
    let id = |text: String| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("prog_id:"))?;
        line.trim().parse().ok()
    };
    folder
        .flatten()
        .filter_map(|file| id(fs::read_to_string(file.path()).ok()?))
        .collect()
}

/// Ids of all programs in the kernel.
fn loaded() -> BTreeSet<u32> {
    aya::programs::loaded_programs()
        .filter_map(|info| info.ok().map(|info| info.id()))
        .collect()
}

/// A service that starts while other processes come and go by the hundred has its own name from
/// its first request on.
#[test]
fn service_starts_in_a_storm() {
    let what = "service in a storm";
    if !able(what) || !tool(what, "xargs") || !tool(what, "curl") {
        return;
    }
    let Some(other) = Service::start("node-http", None) else {
        return lacking(what, "node-http");
    };
    let agent = Agent::start();
    let url = format!("http://127.0.0.1:{}/slow/50", other.port);
    let script = format!("seq 100000 | xargs -P16 -I@ curl -sS -o /dev/null {url}");
    let storm = Child::start(Path::new("/bin/sh"), &["-c", &script]);
    thread::sleep(Duration::from_secs(2));
    let Some(service) = Service::start("node-http", None) else {
        return lacking(what, "node-http");
    };
    let sent = anew(service.port, &targets(&["/?id=*"], "first", 10));
    drop(storm);
    agent.wait_for(sent.len(), server_at(service.port));
    let (spans, _) = agent.stop();
    check_servers(&spans, service.port, "catalog", &sent);
}

/// A rule about a port finds the service that comes to listen there after the agent.
#[test]
fn port_rule_before_service() {
    let what = "port rule before service";
    if !able(what) {
        return;
    }
    let port = free_port();
    let agent = Agent::with(&["--select", &format!("port={port}")], &[]);
    let Some(service) = Service::start_at("node-http", port, None) else {
        return lacking(what, "node-http");
    };
    let Some(other) = Service::start("python-http", None) else {
        return lacking(what, "python-http");
    };
    // From when on it is seen is not promised to the millisecond.
    for n in 0.. {
        let _ = anew(port, &targets(&["/?id=*"], &format!("early{n}-"), 1));
        thread::sleep(Duration::from_millis(200));
        if agent.spans().iter().any(server_at(port)) {
            break;
        }
        assert!(n < 100, "never seen");
    }
    let _ = anew(other.port, &targets(&["/?id=*"], "other", 5));
    let sent = anew(port, &targets(&["/?id=*", "/none/*"], "late", 20));
    let late = |span: &Span| span.target().contains("late");
    agent.wait_for(sent.len(), late);
    let (mut spans, _) = agent.stop();
    assert!(
        !spans.iter().any(server_at(other.port)),
        "another port: {spans:#?}"
    );
    spans.retain(late);
    check_servers(&spans, service.port, "catalog", &sent);
}
