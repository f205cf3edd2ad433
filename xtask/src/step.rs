//! Progress: one line a step, a heartbeat while a tool is silent, its whole output in a log
//! whose tail is printed when it fails.

use std::fmt::Display;
use std::fs::File;
use std::io::{IsTerminal, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A line this often while a step is silent.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How much of a failed tool's log is shown.
const TAIL_LINES: usize = 40;
/// How much of a log is read to find that tail.
const TAIL_BYTES: u64 = 64 * 1024;

/// Announces a step.
pub(crate) fn say(text: impl Display) {
    if std::io::stdout().is_terminal() {
        println!("\x1b[1;36m==>\x1b[0m {text}");
    } else {
        println!("==> {text}");
    }
}

/// A detail of the step before.
pub(crate) fn note(text: impl Display) {
    println!("    {text}");
}

/// Something is not as it should be, and the work goes on.
pub(crate) fn warn(text: impl Display) {
    if std::io::stdout().is_terminal() {
        println!("\x1b[1;33m  ! {text}\x1b[0m");
    } else {
        println!("  ! {text}");
    }
}

/// Where the log `name` is kept.
///
/// # Errors
/// When its folder cannot be made.
pub(crate) fn log_path(name: &str) -> Result<PathBuf> {
    Ok(workspace::make_kept()?.join(format!("{name}.log")))
}

/// Runs a tool with its output in a log; prints `what`, then the time it took.
///
/// # Errors
/// When the tool cannot be started or fails; the tail of its log is printed then.
pub(crate) fn run(what: &str, log: &str, command: &mut Command) -> Result<()> {
    say(what);
    let path = log_path(log)?;
    let (status, took) = watch(command, &path)?;
    if status.success() {
        if took > Duration::from_secs(1) {
            note(format!("done in {:.1} s", took.as_secs_f64()));
        }
        return Ok(());
    }
    print_tail(&path);
    bail!(
        "{what}: {} {status}\nhint: the whole output is in {}",
        name_of(command),
        path.display()
    )
}

/// The name of the program, for messages.
#[must_use]
pub(crate) fn name_of(command: &Command) -> String {
    let name = Path::new(command.get_program());
    name.file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned()
}

fn watch(command: &mut Command, log: &Path) -> Result<(ExitStatus, Duration)> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {}", name_of(command)))?;
    let mut told = start;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, start.elapsed()));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
        if told.elapsed() >= HEARTBEAT {
            told = Instant::now();
            let last = tail(log).pop().unwrap_or_default();
            let short: String = last.trim().chars().take(90).collect();
            note(format!("... {} s  {short}", start.elapsed().as_secs()));
        }
    }
}

/// Prints the end of a log, indented.
pub(crate) fn print_tail(path: &Path) {
    for line in tail(path) {
        println!("    | {line}");
    }
}

fn tail(path: &Path) -> Vec<String> {
    let Ok(mut file) = File::open(path) else {
        return Vec::new();
    };
    let length = file.metadata().map_or(0, |meta| meta.len());
    if file
        .seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))
        .is_err()
    {
        return Vec::new();
    }
    let mut bytes = Vec::new();
    if file.read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines
        .iter()
        .skip(from)
        .map(|line| (*line).to_owned())
        .collect()
}
