//! Processes of the host.
//!
//! In: `/proc` or a tree shaped like it. Out: [`Process`]. Not here: what they are called
//! (`metadata::service`) and whether they are watched (`select`).
//!
//! A process can end between any two reads: what is gone by then is an error for what makes it
//! a process (`stat`, `status`) and `None` or empty for all else.

use super::environment::Environment;
use super::files::{Tree, head};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes of a command line that are read.
const ARGUMENT_BYTES: usize = 64 * 1024;
/// Most arguments that are kept.
const ARGUMENTS: usize = 4096;
/// Most bytes of an environment that are looked through.
const ENVIRONMENT_BYTES: usize = 256 * 1024;
/// Most bytes of `stat`, `status` and `cgroup`.
const STATE_BYTES: usize = 64 * 1024;
/// Most bytes of `/etc/passwd`, and most users of it.
const USER_BYTES: usize = 1024 * 1024;
const USERS: usize = 16 * 1024;
/// Longest chain of parents that is followed; a chain cannot be a ring but may change under us.
const ANCESTORS: usize = 256;
/// `PF_KTHREAD` of the kernel's task flags.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// `/proc`, or a tree shaped like it.
#[derive(Clone, Debug)]
pub struct Proc {
    root: PathBuf,
    /// Names of the host's users.
    users: Arc<HashMap<u32, String>>,
}

/// One process as `/proc` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Process id as the agent sees it.
    pub tgid: u32,
    /// Parent, 0 when it is outside the agent's pid namespace.
    pub ppid: u32,
    /// Name of the main thread.
    pub comm: String,
    /// The program, as the process itself would name it; `None` when it may not be read.
    pub exe: Option<PathBuf>,
    /// The program's file was removed or replaced since it started.
    pub exe_deleted: bool,
    /// Command line; programs can overwrite it.
    pub args: Vec<String>,
    /// Working directory, as the process itself would name it.
    pub cwd: Option<PathBuf>,
    /// When it began, clock ticks since boot: with the tgid a name that is never reused.
    pub start: u64,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Name of the user on the host.
    pub owner: Option<String>,
    /// Control groups, each path once.
    pub cgroups: Vec<String>,
    /// What is kept of its environment.
    pub environment: Environment,
    /// Inode of its pid namespace.
    pub pid_namespace: Option<u64>,
    /// Inode of its network namespace.
    pub net_namespace: Option<u32>,
    /// Its ids from the agent's pid namespace inwards; the last is the one it knows itself by.
    pub namespace_pids: Vec<u32>,
    /// A thread of the kernel, without a program.
    pub kernel_thread: bool,
}

impl Process {
    /// The program's file name: of `exe`, else of the first argument, else `comm`. A program
    /// that was started from memory has a file name that says nothing.
    #[must_use]
    pub fn program(&self) -> &str {
        let exe = self.exe.as_deref().and_then(Path::to_str);
        exe.filter(|exe| !exe.starts_with("/memfd:"))
            .or_else(|| self.args.first().map(String::as_str))
            .map(file_name)
            .filter(|name| !name.is_empty())
            .unwrap_or(&self.comm)
    }

    /// Its id in its own pid namespace, when that is another than the agent's.
    #[must_use]
    pub fn own_pid(&self) -> Option<u32> {
        let inner = self.namespace_pids.last().copied()?;
        (self.namespace_pids.len() > 1 && inner != self.tgid).then_some(inner)
    }
}

/// What follows the last slash.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Proc {
    /// The tree at `root`, `/proc` on a live host.
    ///
    /// Users are named by the host: by `/etc/passwd` as process 1 sees it, or, where that may
    /// not be read, as the agent does.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let users = ["1/root", "self/root"]
            .iter()
            .find_map(|link| Tree::at(&root.join(link)).text(Path::new("/etc/passwd"), USER_BYTES))
            .map(|text| users(&text))
            .unwrap_or_default();
        Self {
            root,
            users: Arc::new(users),
        }
    }

    /// Path of a file of process `pid`.
    #[must_use]
    pub fn path(&self, pid: u32, file: &str) -> PathBuf {
        self.root.join(pid.to_string()).join(file)
    }

    /// Path of a file that belongs to no process.
    #[must_use]
    pub fn shared(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    /// The files that process `pid` sees.
    #[must_use]
    pub fn files(&self, pid: u32) -> Tree {
        Tree::at(&self.path(pid, "root"))
    }

    /// Ids of all processes that run a program: neither kernel threads nor zombies.
    ///
    /// # Errors
    /// When the tree itself cannot be listed.
    pub fn scan(&self) -> io::Result<impl Iterator<Item = u32>> {
        let entries = std::fs::read_dir(&self.root)
            .map_err(|error| named(error, "list the processes in", &self.root))?;
        Ok(entries
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| self.stat(*pid).is_ok_and(|stat| stat.runs_a_program())))
    }

    /// Reads process `pid`.
    ///
    /// # Errors
    /// When there is no such process (any more).
    pub fn read(&self, pid: u32) -> io::Result<Process> {
        let stat = self.stat(pid)?;
        let status = Status::parse(&self.state(pid, "status")?);
        let root = std::fs::read_link(self.path(pid, "root")).ok();
        let exe = std::fs::read_link(self.path(pid, "exe")).ok();
        let (exe, exe_deleted) = exe.map_or((None, false), |exe| without_deleted(&exe));
        let cwd = std::fs::read_link(self.path(pid, "cwd")).ok();
        Ok(Process {
            tgid: status.tgid.unwrap_or(pid),
            ppid: stat.ppid,
            exe: exe.map(|exe| inside(root.as_deref(), exe)),
            exe_deleted,
            args: self.arguments(pid),
            cwd: cwd.map(|cwd| inside(root.as_deref(), without_deleted(&cwd).0.unwrap_or(cwd))),
            start: stat.start,
            uid: status.uid,
            gid: status.gid,
            owner: self.users.get(&status.uid).cloned(),
            cgroups: cgroups(&self.state(pid, "cgroup").unwrap_or_default()),
            environment: self.environment(pid),
            pid_namespace: self.namespace(pid, "pid"),
            net_namespace: self.net_namespace(pid),
            namespace_pids: status.namespace_pids,
            kernel_thread: stat.kernel_thread(),
            comm: stat.comm,
        })
    }

    /// Parents of `pid`, nearest first, without itself. Ends where one cannot be read.
    #[must_use]
    pub fn ancestors(&self, pid: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = pid;
        while found.len() < ANCESTORS {
            match self.stat(at) {
                Ok(stat) if stat.ppid != 0 && stat.ppid != at => at = stat.ppid,
                _ => break,
            }
            found.push(at);
        }
        found
    }

    /// Inode of the network namespace of `pid`.
    #[must_use]
    pub fn net_namespace(&self, pid: u32) -> Option<u32> {
        u32::try_from(self.namespace(pid, "net")?).ok()
    }

    /// Inode of the network namespace of the calling process.
    #[must_use]
    pub fn own_net_namespace(&self) -> Option<u32> {
        let inode = inode_of(&self.root.join("self/ns/net"))?;
        u32::try_from(inode).ok()
    }

    fn namespace(&self, pid: u32, kind: &str) -> Option<u64> {
        inode_of(&self.path(pid, "ns").join(kind))
    }

    fn state(&self, pid: u32, file: &str) -> io::Result<String> {
        let path = self.path(pid, file);
        let bytes = head(&path, STATE_BYTES).map_err(|error| named(error, "read", &path))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn stat(&self, pid: u32) -> io::Result<Stat> {
        let text = self.state(pid, "stat")?;
        Stat::parse(&text).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} has no known form", self.path(pid, "stat").display()),
            )
        })
    }

    fn arguments(&self, pid: u32) -> Vec<String> {
        let bytes = head(&self.path(pid, "cmdline"), ARGUMENT_BYTES).unwrap_or_default();
        // A program that overwrote its command line leaves a tail of NULs.
        let end = bytes.iter().rposition(|byte| *byte != 0);
        let Some(text) = end.and_then(|end| bytes.get(..=end)) else {
            return Vec::new();
        };
        text.split(|byte| *byte == 0)
            .take(ARGUMENTS)
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect()
    }

    fn environment(&self, pid: u32) -> Environment {
        head(&self.path(pid, "environ"), ENVIRONMENT_BYTES)
            .map(|bytes| Environment::parse(&bytes))
            .unwrap_or_default()
    }
}

/// `error` with what failed on which file.
fn named(error: io::Error, did: &str, path: &Path) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot {did} {}: {error}", path.display()),
    )
}

/// The number that a link of `/proc/PID/ns` holds.
fn inode_of(link: &Path) -> Option<u64> {
    bracketed(std::fs::read_link(link).ok()?.to_str()?)
}

/// The number in `net:[4026531840]`, `socket:[123]`.
#[must_use]
pub(super) fn bracketed(link: &str) -> Option<u64> {
    link.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

/// The kernel marks links to removed files with a suffix.
fn without_deleted(path: &Path) -> (Option<PathBuf>, bool) {
    match path
        .to_str()
        .and_then(|text| text.strip_suffix(" (deleted)"))
    {
        Some(text) => (Some(PathBuf::from(text)), true),
        None => (Some(path.to_path_buf()), false),
    }
}

/// `path` as seen from `root`. The kernel names the files of a process in another mount
/// namespace from that namespace's root, but those of a process in a mere `chroot` from ours.
fn inside(root: Option<&Path>, path: PathBuf) -> PathBuf {
    match root.and_then(|root| path.strip_prefix(root).ok()) {
        Some(rest) => Path::new("/").join(rest),
        None => path,
    }
}

fn users(passwd: &str) -> HashMap<u32, String> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
    };
    let mut users = HashMap::new();
    for (uid, name) in passwd.lines().filter_map(user).take(USERS) {
        users.entry(uid).or_insert(name);
    }
    users
}

fn cgroups(text: &str) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for path in text.lines().filter_map(|line| line.splitn(3, ':').nth(2)) {
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
    }
    paths
}

/// What is used of `/proc/PID/stat`.
struct Stat {
    comm: String,
    state: char,
    ppid: u32,
    flags: u64,
    start: u64,
}

impl Stat {
    /// The name stands in parentheses and may itself contain any of ` ()`, so that the fields
    /// are counted from the last closing one.
    fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.rsplit_once(')')?;
        let mut fields = after.split_ascii_whitespace();
        Some(Self {
            comm: before.split_once('(')?.1.to_owned(),
            state: fields.next()?.chars().next()?,
            ppid: fields.next()?.parse().ok()?,
            flags: fields.nth(4)?.parse().ok()?,
            start: fields.nth(12)?.parse().ok()?,
        })
    }

    fn kernel_thread(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }

    fn runs_a_program(&self) -> bool {
        !self.kernel_thread() && !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// What is used of `/proc/PID/status`.
#[derive(Default)]
struct Status {
    tgid: Option<u32>,
    uid: u32,
    gid: u32,
    namespace_pids: Vec<u32>,
}

impl Status {
    fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let mut numbers = value.split_ascii_whitespace().map_while(|n| n.parse().ok());
            match key {
                "Tgid" => status.tgid = numbers.next(),
                "Uid" => status.uid = numbers.nth(1).unwrap_or_default(),
                "Gid" => status.gid = numbers.nth(1).unwrap_or_default(),
                "NSpid" => status.namespace_pids = numbers.take(32).collect(),
                _ => {}
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, PID, Spec};
    use super::*;

    #[test]
    fn reads_a_process() {
        let fixture = Fixture::new();
        fixture.add(
            1,
            Spec {
                files: "/etc/passwd => broken\\nshop:x:1001:1::/:/sh\\nlate:x:1001:1::/:/sh",
                ..Spec::default()
            },
        );
        fixture.add(
            PID,
            Spec {
                ppid: 7,
                exe: "/usr/bin/node (deleted)",
                command: "node|a b|",
                cwd: "/srv/shop",
                environment: "OTEL_SERVICE_NAME=x SECRET=y",
                cgroup: "/system.slice/shop.service",
                ..Spec::default()
            },
        );
        fixture.link("100/ns/net", "net:[4026531840]");
        fixture.link("100/ns/pid", "pid:[4026531836]");
        let process = fixture.process();
        assert_eq!(
            process,
            Process {
                tgid: PID,
                ppid: 7,
                comm: "node (deleted)".to_owned(),
                exe: Some("/usr/bin/node".into()),
                exe_deleted: true,
                args: vec!["node".to_owned(), "a b".to_owned()],
                cwd: Some("/srv/shop".into()),
                start: 5000,
                uid: 1001,
                gid: 8,
                owner: Some("shop".to_owned()),
                cgroups: vec!["/system.slice/shop.service".to_owned()],
                environment: Environment::parse(b"OTEL_SERVICE_NAME=x"),
                pid_namespace: Some(4_026_531_836),
                net_namespace: Some(4_026_531_840),
                namespace_pids: vec![PID, 12],
                kernel_thread: false,
            }
        );
        assert_eq!(process.own_pid(), Some(12));
        assert_eq!(process.program(), "node");
    }

    #[test]
    fn programs() {
        for (exe, first, expected) in [
            ("/usr/bin/node", "x", "node"),
            ("/memfd:sealed-1", "./bin/tool", "tool"),
            ("/memfd:sealed-1", "", "comm"),
            ("", "/usr/bin/tool", "tool"),
            ("", "/", "comm"),
        ] {
            let process = Process {
                exe: Some(exe).filter(|exe| !exe.is_empty()).map(PathBuf::from),
                args: vec![first.to_owned()],
                comm: "comm".to_owned(),
                ..Process::default()
            };
            assert_eq!(process.program(), expected, "{exe} {first}");
        }
    }

    #[test]
    fn lines_of_stat() {
        for (text, expected) in [
            (
                "1 (a) S 2 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 77 0",
                Some(("a", 2, 77, true)),
            ),
            (
                "1 (a) b) (c) R 2 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 77",
                Some(("a) b) (c", 2, 77, true)),
            ),
            (
                "1 () Z 2 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 77",
                Some(("", 2, 77, false)),
            ),
            (
                "1 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 9",
                Some(("kthreadd", 0, 9, false)),
            ),
            ("1 (a) S 2 1 1 0 -1 64 0 0", None),
            ("1 (a S 2", None),
            (") S 2 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 77", None),
            ("1 (a) S x 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 77", None),
            ("", None),
        ] {
            let stat = Stat::parse(text);
            let found = stat.as_ref().map(|stat| {
                (
                    stat.comm.as_str(),
                    stat.ppid,
                    stat.start,
                    stat.runs_a_program(),
                )
            });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn scans_programs_only() {
        let fixture = Fixture::of(Spec {
            exe: "/x",
            ..Spec::default()
        });
        fixture.add(
            101,
            Spec {
                flags: KERNEL_THREAD,
                ..Spec::default()
            },
        );
        fixture.write(
            "102/stat",
            b"102 (gone) Z 1 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 77",
        );
        fixture.write("103/stat", b"garbage");
        fixture.write("sys/kernel/x", b"");
        assert_eq!(fixture.proc().scan().unwrap().collect::<Vec<_>>(), [PID]);
    }

    #[test]
    fn what_is_gone_is_an_error_that_says_so() {
        let fixture = Fixture::new();
        let error = fixture.proc().read(PID).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let message = error.to_string();
        assert!(
            message.starts_with("cannot read /") && message.contains("/100/stat"),
            "{message}"
        );
        assert!(Proc::at("/nowhere").scan().is_err());
    }

    #[test]
    fn ancestors_end_at_the_top_and_in_rings() {
        let fixture = Fixture::of(Spec {
            ppid: 7,
            ..Spec::default()
        });
        fixture.add(
            7,
            Spec {
                ppid: 3,
                ..Spec::default()
            },
        );
        assert_eq!(fixture.proc().ancestors(PID), [7, 3]);
        fixture.add(
            3,
            Spec {
                ppid: PID,
                ..Spec::default()
            },
        );
        assert_eq!(fixture.proc().ancestors(PID).len(), ANCESTORS);
    }
}
