//! The agent of one run: started over given processes with a file of its own, ended in order, and
//! its spans and last words read. Also `weft record` in its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::spans::{self, Span};
use crate::process::Group;

/// It is ready by then, also where processors are emulated.
const START_LIMIT: Duration = Duration::from_secs(240);
/// It looks once at every process there is; that is none of the bench's business.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// A running `weft run`.
pub(crate) struct Agent {
    group: Group,
    file: PathBuf,
}

impl Agent {
    /// Starts it over the processes `watched`; its metrics go to `metrics`, if anywhere.
    ///
    /// # Errors
    /// When it does not get ready.
    pub(crate) fn start(
        weft: &Path,
        dir: &Path,
        name: &str,
        watched: &[u32],
        metrics: Option<&str>,
    ) -> Result<Self> {
        let file = dir.join(format!("{name}.jsonl"));
        let _ = fs::remove_file(&file); // of an earlier run
        let settings = settings(dir, watched, metrics)?;
        let mut command = Command::new(weft);
        command.args(["run", "--output"]);
        command
            .arg(format!("file:{}", file.display()))
            .arg("--config")
            .arg(settings);
        Ok(Self {
            group: ready(dir, &mut command)?,
            file,
        })
    }

    /// The spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        spans::from_lines(&fs::read_to_string(&self.file).unwrap_or_default())
    }

    /// Ends it as an operator does; answers all spans and its last line.
    pub(crate) fn stop(self) -> (Vec<Span>, String) {
        let errors = self.group.errors(NAME);
        let file = self.file;
        drop(self.group);
        let said = fs::read_to_string(errors).unwrap_or_default();
        let spans = spans::from_lines(&fs::read_to_string(file).unwrap_or_default());
        (spans, said.lines().last().unwrap_or_default().to_owned())
    }
}

/// A running `weft record`; the file is whole when it is dropped.
pub(crate) struct Recorder {
    _group: Group,
}

impl Recorder {
    /// Starts it over the processes `watched`.
    ///
    /// # Errors
    /// When it does not get ready.
    pub(crate) fn start(weft: &Path, dir: &Path, file: &Path, watched: &[u32]) -> Result<Self> {
        let mut command = Command::new(weft);
        command
            .arg("record")
            .arg(file)
            .arg("--config")
            .arg(settings(dir, watched, None)?);
        Ok(Self {
            _group: ready(dir, &mut command)?,
        })
    }
}

/// Its name among the outputs.
const NAME: &str = "weft";

fn ready(dir: &Path, command: &mut Command) -> Result<Group> {
    let mut group = Group::new(dir)?;
    group.start(NAME, command)?;
    group.wait_for(NAME, "ready", START_LIMIT)?;
    std::thread::sleep(FIRST_LOOK);
    Ok(group)
}

/// Only the processes, and all that tells tasks apart, also what is off by default for its cost;
/// nothing else that helps it to find parents.
fn settings(dir: &Path, watched: &[u32], metrics: Option<&str>) -> Result<PathBuf> {
    let rules: Vec<String> = watched
        .iter()
        .map(|pid| format!("{{ pid = {pid} }}"))
        .collect();
    let on: Vec<String> = ["go", "python", "node", "rust", "nginx", "haproxy"]
        .map(|runtime| format!("{runtime} = \"on\"\n"))
        .to_vec();
    let mut text = format!(
        "[tasks]\n{}[select]\ninclude = [{}]\n[export.queue]\ninterval = \"100ms\"\n[export.file]\nmax_bytes = \"1GiB\"\n",
        on.concat(),
        rules.join(", ")
    );
    if let Some(metrics) = metrics {
        text.push_str(&format!(
            "[export.otlp]\nmetrics_endpoint = \"{metrics}\"\nprotocol = \"http/protobuf\"\n"
        ));
    }
    let path = dir.join("weft.toml");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
