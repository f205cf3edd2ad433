//! The host.
//!
//! In: files of `/proc` and `/etc`. Out: [`Host`]. Not here: clouds; nothing is asked for over
//! the network.

use super::ResourceValue;
use crate::discovery::files::{Tree, head};
use crate::discovery::procs::Proc;
use crate::semconv;
use std::path::Path;

/// Most bytes of each file.
const FILE_BYTES: usize = 256;

/// The host that the agent watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// `host.name`.
    pub name: String,
    /// `host.id`: the machine id.
    pub id: Option<String>,
    /// Made by the kernel at each start: with it a process id is unique in time.
    pub boot: String,
    /// `host.arch` in the semantic conventions' words.
    pub arch: &'static str,
}

impl Host {
    /// Reads it. An agent in a container that shares the host's process ids names the host by
    /// what process 1 sees, not by its own container.
    #[must_use]
    pub fn of(proc: &Proc) -> Self {
        let init = proc.files(1);
        let own = Tree::at(&proc.shared("self/root"));
        let file = |path: &str| {
            let path = Path::new(path);
            line(init.text(path, FILE_BYTES)).or_else(|| line(own.text(path, FILE_BYTES)))
        };
        let shared = |path: &str| {
            let bytes = head(&proc.shared(path), FILE_BYTES).ok()?;
            line(Some(String::from_utf8_lossy(&bytes).into_owned()))
        };
        let kernel = shared("sys/kernel/hostname");
        let name = if foreign_names(proc) {
            file("/etc/hostname").or(kernel)
        } else {
            kernel.or_else(|| file("/etc/hostname"))
        };
        Self {
            name: name.unwrap_or_default(),
            id: file("/etc/machine-id"),
            boot: shared("sys/kernel/random/boot_id").unwrap_or_default(),
            arch: arch(std::env::consts::ARCH),
        }
    }

    /// What it adds to a resource.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, ResourceValue)> {
        let text = |value: &str| ResourceValue::Text(value.to_owned());
        let mut attributes = vec![
            (semconv::HOST_ARCH, text(self.arch)),
            (semconv::OS_TYPE, text("linux")),
        ];
        if !self.name.is_empty() {
            attributes.push((semconv::HOST_NAME, text(&self.name)));
        }
        if let Some(id) = &self.id {
            attributes.push((semconv::HOST_ID, text(id)));
        }
        attributes
    }
}

/// The agent has a host name of its own: another UTS namespace than process 1.
fn foreign_names(proc: &Proc) -> bool {
    let link = |file: &str| std::fs::read_link(proc.shared(file)).ok();
    match (link("self/ns/uts"), link("1/ns/uts")) {
        (Some(own), Some(init)) => own != init,
        _ => false,
    }
}

fn line(text: Option<String>) -> Option<String> {
    let line = text?.lines().next()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
}

/// Rust's name of an architecture in the conventions' words.
fn arch(rust: &'static str) -> &'static str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn fixture(own_uts: &str, init_uts: &str) -> (tempfile::TempDir, Proc) {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("sys/kernel/hostname", "kernel-name\n"),
            ("sys/kernel/random/boot_id", "b00t\n"),
            ("1/root/etc/hostname", "file-name\n"),
            ("1/root/etc/machine-id", "abc\n"),
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for (pid, uts) in [("self", own_uts), ("1", init_uts)] {
            fs::create_dir_all(dir.path().join(pid).join("ns")).unwrap();
            symlink(uts, dir.path().join(pid).join("ns/uts")).unwrap();
        }
        let proc = Proc::at(dir.path());
        (dir, proc)
    }

    #[test]
    fn names_the_host_and_not_the_agents_container() {
        for (own, init, expected) in [
            ("uts:[1]", "uts:[1]", "kernel-name"),
            ("uts:[2]", "uts:[1]", "file-name"),
        ] {
            let (_dir, proc) = fixture(own, init);
            let host = Host::of(&proc);
            assert_eq!(host.name, expected);
            assert_eq!(host.id.as_deref(), Some("abc"));
            assert_eq!(host.boot, "b00t");
        }
    }

    #[test]
    fn architectures() {
        for (rust, expected) in [
            ("x86_64", "amd64"),
            ("aarch64", "arm64"),
            ("s390x", "s390x"),
        ] {
            assert_eq!(arch(rust), expected);
        }
    }
}
