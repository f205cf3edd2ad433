//! Kernels and busybox for guests, from the Debian mirror that this machine's apt knows. Other
//! suites' package lists go to a folder of their own; nothing is installed. What was unpacked is
//! kept below `target/xtask/vm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{step, workspace};

/// Checks the signatures of suites that the machine itself does not use.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Where a series is found; the security suites are small and newest.
const SUITES: [(&str, &[&str]); 4] = [
    ("5.10", &["bullseye-security", "bullseye"]),
    ("6.1", &["bookworm-security", "bookworm"]),
    ("6.12", &["trixie-security", "trixie", "bookworm-backports"]),
    ("6.18", &["trixie-backports"]),
];

/// The kernel image of a series such as `6.1`.
///
/// # Errors
/// When the series is unknown or the mirror does not have it.
pub(crate) fn fetch(series: &str) -> Result<PathBuf> {
    let dir = workspace::kept().join("vm").join(series);
    let image = dir.join("vmlinuz");
    if image.is_file() {
        return Ok(image);
    }
    let Some((_, suites)) = SUITES.iter().find(|(name, _)| *name == series) else {
        let known: Vec<&str> = SUITES.iter().map(|(name, _)| *name).collect();
        bail!("known are {}", known.join(", "));
    };
    fs::create_dir_all(&dir)?;
    let mut last = None;
    for suite in *suites {
        match from_suite(series, suite, &dir) {
            Ok(()) => return Ok(image),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("no suite has it")))
}

/// A static busybox.
///
/// # Errors
/// When the mirror does not have it.
pub(crate) fn busybox() -> Result<PathBuf> {
    let dir = workspace::kept().join("vm/busybox");
    let program = dir.join("busybox");
    if !program.is_file() {
        fs::create_dir_all(&dir)?;
        let apt = Apt::new("bookworm", &dir)?;
        apt.update()?;
        unpack(&apt, "busybox-static", &dir, "busybox", &program)?;
    }
    Ok(program)
}

fn from_suite(series: &str, suite: &str, dir: &Path) -> Result<()> {
    let apt = Apt::new(suite, dir)?;
    apt.update()?;
    let names = apt.kernels(series)?;
    let Some(package) = newest(&names) else {
        bail!("{suite} has no cloud kernel {series}")
    };
    unpack(&apt, package, dir, "vmlinuz", &dir.join("vmlinuz"))?;
    step::note(format!("{series} is {package}, from {suite}"));
    Ok(())
}

/// Downloads a package, and keeps the one file whose name begins so.
fn unpack(apt: &Apt, package: &str, dir: &Path, name: &str, to: &Path) -> Result<()> {
    let inside = dir.join("unpacked");
    let _ = fs::remove_dir_all(&inside);
    fs::create_dir_all(&inside)?;
    let what = format!("download {package}");
    step::run(
        &what,
        "vm-download",
        apt.command("apt-get")
            .args(["download", package])
            .current_dir(&inside),
    )?;
    let archive =
        find(&inside, &|file| file.ends_with(".deb")).context("apt-get left no package")?;
    let mut extract = Command::new("dpkg-deb");
    extract.arg("--extract").arg(archive).arg(&inside);
    step::run(&format!("unpack {package}"), "vm-unpack", &mut extract)?;
    let found = find(&inside, &|file| file.starts_with(name));
    let found = found.with_context(|| format!("{package} holds no {name}"))?;
    fs::rename(&found, to).with_context(|| format!("cannot write {}", to.display()))?;
    fs::remove_dir_all(&inside)?;
    Ok(())
}

/// The largest file below a folder whose name fits (packages carry documents of like names).
fn find(dir: &Path, fits: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let mut found: Option<(u64, PathBuf)> = None;
    let mut left = vec![dir.to_path_buf()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).ok()?.flatten() {
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() && fits(&entry.file_name().to_string_lossy()) {
                let size = entry.metadata().map_or(0, |meta| meta.len());
                if found.as_ref().is_none_or(|(largest, _)| size > *largest) {
                    found = Some((size, entry.path()));
                }
            }
        }
    }
    found.map(|(_, path)| path)
}

/// apt with lists, cache and sources of its own.
struct Apt {
    options: Vec<String>,
    suite: String,
}

impl Apt {
    fn new(suite: &str, dir: &Path) -> Result<Self> {
        let state = dir.join("apt").join(suite);
        let lists = state.join("lists");
        fs::create_dir_all(lists.join("partial"))?;
        fs::create_dir_all(state.join("archives/partial"))?;
        let sources = state.join("sources.list");
        let signed = if Path::new(KEYRING).is_file() {
            format!("[signed-by={KEYRING}] ")
        } else {
            String::new()
        };
        let mirror = mirror(suite)?;
        fs::write(&sources, format!("deb {signed}{mirror} {suite} main\n"))?;
        let options = vec![
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::lists={}", lists.display()),
            format!("Dir::Cache={}", state.display()),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=3".to_owned(),
            // its own user cannot write here
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self {
            options,
            suite: suite.to_owned(),
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for option in &self.options {
            command.args(["-o", option]);
        }
        command
    }

    fn update(&self) -> Result<()> {
        let what = format!("read the package list of {}", self.suite);
        step::run(
            &what,
            "vm-update",
            self.command("apt-get")
                .args(["update", "-o", "APT::Update::Error-Mode=any"]),
        )
    }

    fn kernels(&self, series: &str) -> Result<Vec<String>> {
        let pattern = format!(
            "^linux-image-{}[.].*-cloud-amd64$",
            series.replace('.', "[.]")
        );
        let output = self
            .command("apt-cache")
            .args(["search", "--names-only", &pattern])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text
            .lines()
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect())
    }
}

/// The mirror of a suite: the one this machine uses for its own suites of the same sort.
fn mirror(suite: &str) -> Result<String> {
    let output = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(RELEASE) $(REPO_URI)",
            "Created-By: Packages",
        ])
        .output()
        .context("cannot run apt-get")?;
    let text = String::from_utf8_lossy(&output.stdout);
    mirror_in(&text, suite).context("this machine's apt names no Debian mirror")
}

fn mirror_in(targets: &str, suite: &str) -> Option<String> {
    let security = |name: &str| name.ends_with("-security");
    let pairs = || targets.lines().filter_map(|line| line.split_once(' '));
    let same = pairs().find(|(release, _)| security(release) == security(suite));
    if let Some((_, uri)) = same {
        return Some(uri.to_owned());
    }
    // mirrors keep both side by side
    let (_, uri) = pairs().next()?;
    let base = uri.trim_end_matches('/').trim_end_matches("-security");
    Some(if security(suite) {
        format!("{base}-security/")
    } else {
        format!("{base}/")
    })
}

/// The newest of names that differ in their numbers only.
fn newest(names: &[String]) -> Option<&str> {
    let numbers = |name: &str| -> Vec<u64> {
        name.split(|c: char| !c.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect()
    };
    names
        .iter()
        .max_by_key(|name| numbers(name))
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_newest_by_number() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-40-cloud-amd64",
        ];
        assert_eq!(
            newest(&names.map(str::to_owned)),
            Some("linux-image-6.1.0-40-cloud-amd64")
        );
        assert_eq!(newest(&[]), None);
    }

    #[test]
    fn finds_the_mirror_of_a_suite() {
        let check = |targets, suite, want: Option<&str>| {
            assert_eq!(mirror_in(targets, suite).as_deref(), want, "{suite}");
        };
        let both = "bookworm http://m/debian/\nbookworm-security http://m/debian-security/\n";
        check(both, "bullseye", Some("http://m/debian/"));
        check(both, "bullseye-security", Some("http://m/debian-security/"));
        check(
            "trixie http://m/debian/\n",
            "bookworm-security",
            Some("http://m/debian-security/"),
        );
        check("", "bookworm", None);
    }
}
