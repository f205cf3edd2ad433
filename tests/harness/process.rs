//! Child processes of a test: started, spoken with, and ended with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child as StdChild, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that wait to be looked at; far more than any child of a test says.
const LINES: usize = 1 << 16;
/// How long a child may take to say what is waited for. Guests under emulation are slow.
const PATIENCE: Duration = Duration::from_secs(90);

/// A child process in a group of its own, killed with all it started when dropped.
pub struct Child {
    child: StdChild,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Child {
    /// Starts `program` with `args`.
    ///
    /// # Panics
    /// When it cannot be started: the test cannot go on.
    #[must_use]
    pub fn start(program: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args);
        Self::spawn(&mut command)
    }

    /// Starts a prepared command; its streams are taken over.
    ///
    /// # Panics
    /// When it cannot be started: the test cannot go on.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        use std::os::unix::process::CommandExt;
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let lines = follow(child.stdout.take().expect("stdout is piped"));
        let errors = follow(child.stderr.take().expect("stderr is piped"));
        Self {
            child,
            lines,
            errors,
        }
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of stdout that contains `text`.
    ///
    /// # Panics
    /// When the child ends or takes too long before.
    pub fn line_with(&mut self, text: &str) -> String {
        self.wait_for_line(text, |child| &child.lines)
    }

    /// Waits for a line of stderr that contains `text`.
    ///
    /// # Panics
    /// When the child ends or takes too long before.
    pub fn error_with(&mut self, text: &str) -> String {
        self.wait_for_line(text, |child| &child.errors)
    }

    fn wait_for_line(&mut self, text: &str, stream: impl Fn(&Self) -> &Receiver<String>) -> String {
        let mut said = Vec::new();
        let end = Instant::now() + PATIENCE;
        let mut alive = true;
        while Instant::now() < end {
            // Asked before reading: its last words come after its end.
            let still = self.alive();
            if let Ok(line) = stream(self).recv_timeout(Duration::from_millis(50)) {
                if line.contains(text) {
                    return line;
                }
                said.push(line);
            } else if !alive {
                break;
            } else {
                alive = still;
            }
        }
        let errors = self.errors();
        panic!(
            "{:?} never said {text:?}: {}\n{errors}",
            self.child,
            said.join("\n")
        );
    }

    /// Lines of stdout since the last call.
    pub fn lines(&mut self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Lines of stderr since the last call, joined.
    pub fn errors(&mut self) -> String {
        self.errors.try_iter().collect::<Vec<_>>().join("\n")
    }

    /// All that is left of stderr; waits for its end.
    pub fn remaining_errors(&mut self) -> String {
        self.errors.iter().collect::<Vec<_>>().join("\n")
    }

    /// Writes a line to its stdin.
    ///
    /// # Panics
    /// When it no longer reads.
    pub fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin is piped");
        writeln!(stdin, "{line}").expect("the child reads its stdin");
    }

    /// Has it not ended?
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; answers its exit code.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn wait(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.code(),
                Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(10)),
                other => panic!("{:?} did not end: {other:?}", self.child),
            }
        }
    }

    /// Sends a signal by name, such as `TERM`.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn signal(&self, name: &str) {
        let status = kill(name, &self.id().to_string())
            .status()
            .expect("every system has a shell");
        assert!(status.success(), "no process {}", self.id());
    }
}

/// Sends a signal by the shell's own `kill`: the program is not part of every system.
fn kill(signal: &str, process: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s \"$1\" -- \"$2\"", "kill", signal, process]);
    command
}

impl Drop for Child {
    fn drop(&mut self) {
        // The group first, while its leader still holds the id.
        let group = format!("-{}", self.child.id());
        let _ = kill("KILL", &group).stderr(Stdio::null()).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines on a thread of its own, so that the child never blocks on a full pipe.
fn follow(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES);
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    receiver
}
