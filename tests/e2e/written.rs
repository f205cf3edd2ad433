//! Programs that are written to while they are probed: who writes waits until the probes are gone,
//! so no probe stands where another instruction was meant.

use crate::shared::able;
use harness::agent::{Agent, fresh_path};
use harness::host::python;
use harness::skip;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

/// `O_NONBLOCK`: a lease is told of, not waited for.
const AT_ONCE: i32 = 0o4000;
/// How often the program is run until it is found to be probed.
const RUNS: usize = 40;

/// Runs for a moment, as somebody has to find out what it is.
fn run(program: &Path, home: &Path) -> bool {
    let mut command = Command::new(program);
    command.args(["-c", "import time; time.sleep(0.5)"]);
    // A copy does not find its modules.
    command.env("PYTHONHOME", home);
    command.status().is_ok_and(|status| status.success())
}

fn prefix(python: &Path) -> Option<String> {
    let mut command = Command::new(python);
    command.args(["-c", "import sys; print(sys.base_prefix, end='')"]);
    String::from_utf8(command.output().ok()?.stdout).ok()
}

/// The program itself, where a virtual environment has a link to it.
fn executable(python: &Path) -> Option<String> {
    let mut command = Command::new(python);
    let find = "import os, sys; print(os.path.realpath(sys.executable), end='')";
    command.args(["-c", find]);
    String::from_utf8(command.output().ok()?.stdout).ok()
}

#[test]
fn a_writer_waits_for_probes_to_go() {
    let what = "written programs";
    if !able(what) {
        return;
    }
    let found = python().and_then(|python| Some((executable(&python)?, prefix(&python)?)));
    let Some((original, home)) = found else {
        return skip!("{what}", "python3", "install python3");
    };
    // Under its own name, by which it is known.
    let folder = fresh_path("written");
    fs::create_dir(&folder).expect("a temporary folder");
    let program = folder.join(Path::new(&original).file_name().unwrap_or_default());
    fs::copy(&original, &program).expect("a temporary copy");
    let rule = format!("exe={}", program.display());
    let agent = Agent::with(&["--select", &rule], &[]);
    let leased = (0..RUNS).any(|_| {
        assert!(run(&program, home.as_ref()), "{}", program.display());
        let mut options = OpenOptions::new();
        let opened = options.write(true).custom_flags(AT_ONCE).open(&program);
        opened.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    });
    // Where Python is a library, the program itself is not probed.
    let whole = fs::metadata(&original).is_ok_and(|status| status.len() > 1 << 20);
    assert_eq!(leased, whole, "{original}");
    let bytes = fs::read(&original).expect("a program that can be read");
    let mut file = File::options().write(true).truncate(true).open(&program);
    let written = file.as_mut().map(|file| file.write_all(&bytes));
    assert!(matches!(written, Ok(Ok(()))), "{written:?}");
    drop(file);
    assert!(run(&program, home.as_ref()), "the program that was written");
    let (_, summary) = agent.stop();
    assert!(!summary.is_empty());
    let _ = fs::remove_dir_all(&folder);
}
