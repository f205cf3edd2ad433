//! Runtimes that the settings leave alone: their calls are refused where only tasks tell them
//! apart, never guessed, and the agent says why.

use crate::faults::{installed, said, up};
use crate::handed::drive;
use harness::agent::{self, Agent};
use harness::process::Child;
use harness::service::free_port;
use harness::upstream;
use std::process::Command;

#[test]
fn go() {
    check("go-jobs", &[], "GO");
}

#[test]
fn python() {
    check("aiohttp", &[], "PYTHON");
}

#[test]
fn node() {
    check("node-calls", &[("STYLE", "express")], "NODE");
}

fn check(folder: &str, variables: &[(&str, &str)], runtime: &str) {
    let what = format!("{folder} without its tasks");
    let Some(run) = installed(&what, folder, "run") else {
        return;
    };
    let (port, upstream) = (free_port(), upstream::slow());
    let mut command = Command::new(run);
    command
        .envs(variables.iter().copied())
        .env("PORT", port.to_string())
        .env("UPSTREAM", format!("http://127.0.0.1:{upstream}"));
    let mut service = Child::spawn(&mut command);
    up(&mut service, port);
    let setting = format!("WEFT_TASKS__{runtime}");
    let agent = Agent::with(&[], &[(&setting, "off")]);
    let outcome = drive(&agent, port, upstream, &runtime.to_lowercase());
    assert!(outcome.wrong.is_empty(), "{outcome:?}");
    assert_eq!(outcome.task, 0, "{outcome:?}");
    assert!(outcome.none > 0, "how were they known? {outcome:?}");
    let pid = service.id().to_string();
    let explained = said(agent::command(&["explain", &pid]).env(&setting, "off"));
    let key = format!("tasks.{} ", runtime.to_lowercase());
    let named = |line: &String| line.contains(&key) && line.contains("off");
    assert!(explained.iter().any(named), "{explained:#?}");
}
