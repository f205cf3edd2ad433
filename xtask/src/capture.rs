//! `cargo xtask capture`: records `tests/traffic/` anew from real clients and servers. Each
//! protocol has a script, `tests/harness/capture/PROTOCOL/record.sh`, that starts them and puts
//! the recording proxy between (`prepare.sh` is what they share); what is expected of the traffic is rewritten afterwards.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{setup, step, workspace};

/// The command `capture`: all protocols, or the named ones.
///
/// # Errors
/// When a protocol has no script, or its script fails.
pub(crate) fn run(only: &[String]) -> Result<()> {
    let there = protocols()?;
    if let Some(unknown) = only.iter().find(|name| !there.contains(name)) {
        bail!(
            "nothing records `{unknown}`\nhint: there are {}",
            there.join(", ")
        );
    }
    use setup::Part;
    if setup::try_all(&[Part::Build, Part::Services])? > 0 {
        step::warn("going on: a script may not need what is missing");
    }
    let mut build = Command::new(setup::cargo());
    build.current_dir(workspace::root());
    build.args(["build", "--package", "weft-tests", "--bin", "capture"]);
    step::run("build the recording proxy", "capture-build", &mut build)?;
    for protocol in there
        .iter()
        .filter(|name| only.is_empty() || only.contains(name))
    {
        record(protocol)?;
    }
    let mut update = Command::new(setup::cargo());
    update.current_dir(workspace::root()).env("UPDATE", "1");
    update.args(["test", "--package", "weft-tests", "--test", "protocols"]);
    step::run("rewrite what is expected", "capture-update", &mut update)?;
    step::note("now read the difference: git diff tests/traffic");
    Ok(())
}

fn record(protocol: &str) -> Result<()> {
    let mut path = std::ffi::OsString::from(workspace::venv().join("bin"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command
        .arg(scripts().join(protocol).join("record.sh"))
        .current_dir(workspace::root())
        .env("CAPTURE", workspace::target().join("debug/capture"))
        // Python's clients with their packages
        .env("PATH", path);
    step::run(
        &format!("record {protocol}"),
        &format!("capture-{protocol}"),
        &mut command,
    )
}

fn scripts() -> std::path::PathBuf {
    workspace::root().join("tests/harness/capture")
}

fn protocols() -> Result<Vec<String>> {
    let dir = scripts();
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.join("record.sh").is_file())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}
