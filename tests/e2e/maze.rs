//! The demo: a Node service calls a Python one, and whole trees come out.

use crate::shared::{SLACK, able, check_servers, lacking, targets, the};
use harness::agent::{Agent, Span, command, fresh_path, spans_of};
use harness::client::{Sent, anew};
use harness::process::Child;
use harness::service::Service;
use std::collections::BTreeSet;

/// The two services, data processor first.
struct Maze {
    data: Service,
    front: Service,
}

impl Maze {
    fn start() -> Option<Self> {
        let data = Service::start("maze/data-processor", None)?;
        let front = Service::start("maze/frontend-api", Some(data.port))?;
        Some(Self { data, front })
    }

    fn ask(&self) -> Vec<Sent> {
        let names = ["alice", "bob", "charlie_error"].map(|name| format!("/process/{name}"));
        anew(self.front.port, &names)
    }

    fn check(&self, spans: &[Span], sent: &[Sent]) {
        let statuses: Vec<u16> = sent.iter().map(|request| request.status).collect();
        assert_eq!(statuses, [200, 200, 500]);
        check_servers(spans, self.front.port, "frontend-api", sent);
        let mut traces = BTreeSet::new();
        for request in sent {
            traces.insert(self.check_tree(spans, request));
        }
        assert_eq!(traces.len(), sent.len(), "one trace each: {traces:?}");
    }

    /// SERVER frontend-api -> CLIENT frontend-api -> SERVER data-processor.
    fn check_tree(&self, spans: &[Span], request: &Sent) -> String {
        let below = request.target.replace("/process/", "/data/");
        let at = |port, path: &str, server| {
            let path = path.to_owned();
            move |s: &Span| s.port() == port && s.target() == path && s.is_server() == server
        };
        let root = the(
            spans,
            "the root",
            at(self.front.port, &request.target, true),
        );
        let call = the(spans, "the call", at(self.data.port, &below, false));
        let data = the(spans, "the answer", at(self.data.port, &below, true));
        assert_eq!(root.parent, "", "{root:#?}");
        for (span, parent, service, evidence) in [
            (call, root, "frontend-api", "task"),
            (data, call, "data-processor", "socket_pair"),
        ] {
            assert_eq!(span.parent, parent.id, "{span:#?}");
            assert_eq!(span.trace, parent.trace, "{span:#?}");
            assert_eq!(span.service, service, "{span:#?}");
            assert_eq!(span.status(), request.status, "{span:#?}");
            assert_eq!(span.error, request.status >= 400, "{span:#?}");
            assert_eq!(span.text("weft.parent.evidence"), evidence, "{span:#?}");
            let within = parent.start <= span.start + SLACK && span.end <= parent.end + SLACK;
            assert!(within, "{span:#?} is outside of {parent:#?}");
        }
        root.trace.clone()
    }
}

#[test]
fn maze() {
    check("maze", "auto");
}

#[test]
fn maze_by_sys_exit() {
    check("maze by sys_exit", "sys_exit");
}

#[test]
fn maze_by_syscalls() {
    check("maze by syscalls", "syscalls");
}

fn check(what: &str, hook: &str) {
    if !able(what) {
        return;
    }
    let Some(maze) = Maze::start() else {
        return lacking(what, "maze");
    };
    let agent = Agent::with(&[], &[("WEFT_CAPTURE__SOCKET_IO", hook)]);
    let sent = maze.ask();
    let ports = [maze.front.port, maze.data.port];
    agent.wait_for(3 * sent.len(), |span| ports.contains(&span.port()));
    let (spans, _) = agent.stop();
    maze.check(&spans, &sent);
}

/// A recording replayed gives the trees that were seen.
#[test]
fn maze_recorded_and_replayed() {
    let what = "maze recorded";
    if !able(what) {
        return;
    }
    let Some(maze) = Maze::start() else {
        return lacking(what, "maze");
    };
    let (log, file) = (fresh_path("maze.log"), fresh_path("maze.jsonl"));
    let mut record = command(&["record", &log.display().to_string()]);
    let mut recording = Child::spawn(&mut record);
    recording.error_with("weft: ready");
    let sent = maze.ask();
    recording.signal("TERM");
    assert_eq!(recording.wait(), Some(0), "{}", recording.errors());
    let mut trees = Vec::new();
    for _ in 0..2 {
        let mut replay = command(&["replay", &log.display().to_string()]);
        replay.env("WEFT_EXPORT__FILE__PATH", &file);
        let output = replay.output().expect("the agent starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains(" 0 made no sense"), "{said}");
        let spans = spans_of(&file);
        maze.check(&spans, &sent);
        let ids: BTreeSet<_> = spans
            .into_iter()
            .map(|s| (s.trace, s.id, s.parent))
            .collect();
        trees.push(ids);
        std::fs::remove_file(&file).expect("the replay wrote it");
    }
    assert_eq!(trees[0], trees[1], "a replay is the same every time");
    std::fs::remove_file(&log).expect("the recording wrote it");
}

/// A flood of names: the processor's errors stay on their own paths.
#[test]
fn maze_serially() {
    let what = "maze serially";
    if !able(what) {
        return;
    }
    let Some(maze) = Maze::start() else {
        return lacking(what, "maze");
    };
    let agent = Agent::start();
    let patterns = ["/process/ok*", "/process/error*"];
    let sent = anew(maze.front.port, &targets(&patterns, "n", 50));
    let ports = [maze.front.port, maze.data.port];
    agent.wait_for(3 * sent.len(), |span| ports.contains(&span.port()));
    let (spans, _) = agent.stop();
    check_servers(&spans, maze.front.port, "frontend-api", &sent);
    for request in &sent {
        maze.check_tree(&spans, request);
    }
}
