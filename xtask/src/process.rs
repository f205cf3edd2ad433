//! Processes that a command starts and that must not outlive it: however it ends, by an error,
//! by Ctrl-C or by SIGKILL. Each gets its own process group; a small shell holds the list and
//! ends them all when its input closes, which the kernel does for us when we die.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::step;

/// How long a process may take to end after SIGTERM. The reaper kills after this.
const GRACE: Duration = Duration::from_secs(6);
/// How often a log is looked at while waiting for a line.
const POLL: Duration = Duration::from_millis(20);

/// Variables that would change what services are called or what weft does, and cargo's own.
const NOT_INHERITED: [&str; 3] = ["OTEL_", "WEFT_", "CARGO_"];

/// Reads `+ PID` and `forget`; at the end of its input it ends the groups it was told of.
const REAPER: &str = r#"
pids=
while read -r word pid; do
  case $word in
    +) pids="$pids $pid" ;;
    forget) pids= ;;
  esac
done
for pid in $pids; do kill -s TERM -- "-$pid"; done 2>/dev/null
tries=0
while [ $tries -lt 50 ]; do
  alive=
  for pid in $pids; do kill -s 0 -- "-$pid" 2>/dev/null && alive=1; done
  [ -z "$alive" ] && exit 0
  sleep 0.1
  tries=$((tries + 1))
done
for pid in $pids; do kill -s KILL -- "-$pid"; done 2>/dev/null
exit 0
"#;

/// A port that nobody listens on at present.
///
/// # Errors
/// When there is none left.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

/// One started process.
#[derive(Debug)]
struct Member {
    name: String,
    child: Child,
    output: PathBuf,
}

/// Processes that end together.
#[derive(Debug)]
pub(crate) struct Group {
    dir: PathBuf,
    reaper: Child,
    orders: Option<ChildStdin>,
    members: Vec<Member>,
}

impl Group {
    /// An empty group; `dir` gets one file `NAME.out` and one `NAME.err` for each process.
    ///
    /// # Errors
    /// When the folder or the reaper cannot be had.
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let mut reaper = Command::new("sh")
            .args(["-c", REAPER])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0) // Ctrl-C is for us, not for it
            .spawn()
            .context("cannot start sh")?;
        let orders = reaper.stdin.take();
        Ok(Self {
            dir: dir.to_path_buf(),
            reaper,
            orders,
            members: Vec::new(),
        })
    }

    /// Starts a process of the group.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(&mut self, name: &str, command: &mut Command) -> Result<u32> {
        let output = self.output(name);
        let errors = self.errors(name);
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            let given = command.get_envs().any(|(set, _)| set == variable);
            if !given && NOT_INHERITED.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(&variable);
            }
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(
                File::create(&output)
                    .with_context(|| format!("cannot write {}", output.display()))?,
            )
            .stderr(
                File::create(&errors)
                    .with_context(|| format!("cannot write {}", errors.display()))?,
            )
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pid = child.id();
        self.order(&format!("+ {pid}"));
        self.members.push(Member {
            name: name.to_owned(),
            child,
            output,
        });
        Ok(pid)
    }

    /// Where a process's stdout goes.
    pub(crate) fn output(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.out"))
    }

    /// Where a process's stderr goes.
    pub(crate) fn errors(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.err"))
    }

    /// Waits until a process has printed `text` as whole words, on stdout or stderr.
    ///
    /// # Errors
    /// When it ends before, or the time is over; what it printed is shown.
    pub(crate) fn wait_for(&mut self, name: &str, text: &str, limit: Duration) -> Result<()> {
        let start = Instant::now();
        let files = [self.output(name), self.errors(name)];
        loop {
            let said = |file: &PathBuf| fs::read(file).is_ok_and(|bytes| says(&bytes, text));
            if files.iter().any(said) {
                return Ok(());
            }
            let ended = self.ended(name)?;
            if let Some(status) = ended {
                files.iter().for_each(|file| step::print_tail(file));
                bail!("{name} ended before it was ready: {status}");
            }
            if start.elapsed() > limit {
                files.iter().for_each(|file| step::print_tail(file));
                bail!("{name} did not say `{text}` within {} s", limit.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }

    /// How a process ended, if it did.
    fn ended(&mut self, name: &str) -> Result<Option<String>> {
        let Some(member) = self.members.iter_mut().find(|member| member.name == name) else {
            bail!("no process named {name} was started");
        };
        Ok(member.child.try_wait()?.map(|status| status.to_string()))
    }

    /// Names, process ids and outputs of all.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, u32, &Path)> {
        self.members
            .iter()
            .map(|m| (m.name.as_str(), m.child.id(), m.output.as_path()))
    }

    /// Lets them live on without us.
    pub(crate) fn keep(mut self) {
        self.order("forget");
        self.members.clear();
    }

    fn order(&mut self, line: &str) {
        if let Some(orders) = &mut self.orders
            && writeln!(orders, "{line}")
                .and_then(|()| orders.flush())
                .is_err()
        {
            step::warn("the process that cleans up is gone: end what was started by hand");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.orders.take()); // the reaper starts its work
        let start = Instant::now();
        for member in &mut self.members {
            // collecting our dead lets the reaper see that they are gone
            while start.elapsed() < GRACE && matches!(member.child.try_wait(), Ok(None)) {
                std::thread::sleep(POLL);
            }
        }
        let _ = self.reaper.wait();
        for member in &mut self.members {
            let _ = member.child.wait();
        }
    }
}

/// Whether `text` stands there as whole words: "already" does not say "ready".
fn says(output: &[u8], text: &str) -> bool {
    let output = String::from_utf8_lossy(output);
    output.match_indices(text).any(|(at, _)| {
        let before = output.get(..at).and_then(|text| text.chars().next_back());
        let after = output
            .get(at + text.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hears_whole_words() {
        let check = |output: &str, want| assert_eq!(says(output.as_bytes(), "ready"), want);
        check("weft: ready\n", true);
        check("ready", true);
        check("12 processes are there already\n", false);
        check("already there, now ready.", true);
        check("", false);
    }

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("xtask-process-{name}-{}", std::process::id()))
    }

    fn alive(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn ends_what_it_started_and_their_children() -> Result<()> {
        let dir = folder("ends");
        let mut group = Group::new(&dir)?;
        let script = "sleep 1000 & echo child $!; wait";
        let pid = group.start("parent", Command::new("sh").args(["-c", script]))?;
        group.wait_for("parent", "child", Duration::from_secs(10))?;
        let text = fs::read_to_string(group.output("parent"))?;
        let child: u32 = text.trim().trim_start_matches("child ").parse()?;
        assert!(alive(pid) && alive(child));
        drop(group);
        assert!(!alive(pid));
        // the child's new parent may collect it a moment later: a zombie has no command line
        let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        assert!(line.is_empty(), "the child lives on");
        fs::remove_dir_all(dir)?;
        Ok(())
    }

    #[test]
    fn tells_when_a_process_ends_too_early() -> Result<()> {
        let dir = folder("early");
        let mut group = Group::new(&dir)?;
        group.start("brief", Command::new("sh").args(["-c", "exit 7"]))?;
        let result = group.wait_for("brief", "ready", Duration::from_secs(10));
        let message = result.expect_err("it ended").to_string();
        assert!(message.contains("ended before it was ready"), "{message}");
        drop(group);
        fs::remove_dir_all(dir)?;
        Ok(())
    }
}
