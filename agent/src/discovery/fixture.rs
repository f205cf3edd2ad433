//! Trees shaped like `/proc` for tests.
//!
//! In: a compact table, a process a block. Out: a directory that `Proc::at` reads.
//!
//! Each process has a root of its own below the directory, as if it ran in a `chroot`: what a
//! test says of `/srv/shop` never touches the host's.

use super::procs::{Proc, Process};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The process that tests are about.
pub(crate) const PID: u32 = 100;

/// A tree of processes; removed when dropped.
pub(crate) struct Fixture {
    dir: tempfile::TempDir,
}

/// One process. Empty fields are left out of the tree.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spec<'a> {
    /// Its parent; 1 when 0.
    pub(crate) ppid: u32,
    /// Path of the program.
    pub(crate) exe: &'a str,
    /// Command line: words, or with `|` between them where words have blanks.
    pub(crate) command: &'a str,
    /// Working directory.
    pub(crate) cwd: &'a str,
    /// `NAME=VALUE` separated by blanks, or by `|`.
    pub(crate) environment: &'a str,
    /// Path of the control group.
    pub(crate) cgroup: &'a str,
    /// Lines `path => content`; `\n` within a content is a line break. `path -> target` makes
    /// a symbolic link.
    pub(crate) files: &'a str,
    /// Flags in `stat`.
    pub(crate) flags: u64,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { dir }
    }

    /// A tree with one process, [`PID`].
    pub(crate) fn of(spec: Spec<'_>) -> Self {
        let fixture = Self::new();
        fixture.add(PID, spec);
        fixture
    }

    pub(crate) fn proc(&self) -> Proc {
        Proc::at(self.dir.path())
    }

    pub(crate) fn process(&self) -> Process {
        self.proc().read(PID).expect("the process of the test")
    }

    /// Writes a file of the tree itself.
    pub(crate) fn write(&self, path: &str, content: &[u8]) {
        write(&self.dir.path().join(path), content);
    }

    /// Makes a link of the tree itself.
    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        symlink(target, path).expect("a link");
    }

    pub(crate) fn add(&self, pid: u32, spec: Spec<'_>) {
        let folder = self.dir.path().join(pid.to_string());
        let root = self.dir.path().join(format!("roots/{pid}"));
        fs::create_dir_all(&root).expect("a root");
        fs::create_dir_all(folder.join("fd")).expect("a folder");
        let comm = spec.exe.rsplit('/').next().unwrap_or_default();
        let ppid = if spec.ppid == 0 { 1 } else { spec.ppid };
        let stat = format!(
            "{pid} ({comm}) S {ppid} 1 1 0 -1 {} 0 0 0 0 0 0 0 0 20 0 1 0 5000 0",
            spec.flags
        );
        write(&folder.join("stat"), stat.as_bytes());
        let status = format!(
            "Name:\t{comm}\nTgid:\t{pid}\nUid:\t1000\t1001\t1000\t1000\nGid:\t7\t8\t7\t7\nNSpid:\t{pid}\t12\n"
        );
        write(&folder.join("status"), status.as_bytes());
        write(
            &folder.join("cgroup"),
            format!("0::{}\n", spec.cgroup).as_bytes(),
        );
        write(&folder.join("cmdline"), &strings(spec.command));
        write(&folder.join("environ"), &strings(spec.environment));
        symlink(&root, folder.join("root")).expect("a link");
        let inside = |path: &str| root.join(path.trim_start_matches('/'));
        for (link, path) in [("exe", spec.exe), ("cwd", spec.cwd)] {
            if !path.is_empty() {
                symlink(inside(path), folder.join(link)).expect("a link");
            }
        }
        for line in spec
            .files
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            if let Some((path, content)) = line.split_once(" => ") {
                write(&inside(path), content.replace("\\n", "\n").as_bytes());
            } else if let Some((path, target)) = line.split_once(" -> ") {
                let path = inside(path);
                fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
                symlink(target, path).expect("a link");
            } else {
                panic!("neither a file nor a link: {line}");
            }
        }
    }
}

fn strings(text: &str) -> Vec<u8> {
    let words: Vec<&str> = if text.contains('|') {
        text.split('|').collect()
    } else {
        text.split_whitespace().collect()
    };
    words
        .iter()
        .flat_map(|word| word.bytes().chain([0]))
        .collect()
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, content).expect("a file");
}
