//! What this host can do, and skipping loudly what it cannot.

use std::env;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Says in one line what is skipped, what is missing and how to get it. The line is counted by
/// `cargo xtask test`.
#[macro_export]
macro_rules! skip {
    ($what:expr, $missing:expr, $how:expr) => {
        println!("SKIPPED {}: {}: {}", format_args!($what), $missing, $how)
    };
}

/// Does the test run as root?
#[must_use]
pub fn root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Can agents be started here? Says what is skipped when not.
#[must_use]
pub fn able(what: &str) -> bool {
    if root() {
        return true;
    }
    skip!("{what}", "root", "run the tests as root");
    false
}

/// Skips: a service or its runtime is not installed.
pub fn lacking(what: &str, service: &str) {
    skip!(
        "{what}",
        format!("service {service} or its runtime"),
        "cargo xtask setup"
    );
}

/// `count` targets made of `patterns` in turn, `*` replaced by an id that starts with `mark`.
#[must_use]
pub fn targets(patterns: &[&str], mark: &str, count: usize) -> Vec<String> {
    let patterns = patterns.iter().cycle();
    patterns
        .take(count)
        .enumerate()
        .map(|(n, p)| p.replace('*', &format!("{mark}{n}")))
        .collect()
}

/// A program of this host; says what is skipped without.
#[must_use]
pub fn tool(what: &str, name: &str) -> bool {
    if program(name).is_some() {
        return true;
    }
    skip!("{what}", name, format!("install {name}"));
    false
}

/// A program on the PATH.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Python 3: the distribution's own rather than a version manager's wrapper.
#[must_use]
pub fn python() -> Option<PathBuf> {
    let own = PathBuf::from("/usr/bin/python3");
    if own.is_file() {
        Some(own)
    } else {
        program("python3")
    }
}

/// Folder into which `cargo xtask setup` installs the test services.
#[must_use]
pub fn workloads() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = root.parent().map_or(root.clone(), PathBuf::from);
    root.join("target/xtask/workloads")
}
