//! Debian packages: which are wanted goes in, installed packages come out. Services that a
//! package would start by itself are kept from starting. Nothing is ever removed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{step, workspace};

/// Debian asks this script before it starts a service; 101 means no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Why packages cannot be installed here, or `None` when they can.
#[must_use]
pub(crate) fn unavailable() -> Option<&'static str> {
    if workspace::program("apt-get").is_none() {
        return Some("this is no Debian-like machine (no apt-get)");
    }
    if !workspace::is_root() {
        return Some("not root");
    }
    None
}

/// The command a person would type.
#[must_use]
pub(crate) fn command_line(packages: &[&str]) -> String {
    format!(
        "apt-get install --no-install-recommends {}",
        packages.join(" ")
    )
}

/// Installs what is named; asks for fresh package lists only when the present ones do not do.
///
/// # Errors
/// When apt fails with fresh lists too.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let quiet = keep_services_stopped()?;
    let known = packages.iter().all(|package| has_candidate(package));
    if !known {
        update()?;
    }
    let what = format!("install {}", packages.join(" "));
    let mut result = step::run(&what, "apt-install", &mut install_command(packages));
    if result.is_err() && known && !dpkg_failed() {
        step::note("package lists may be old: updating them and trying again");
        update()?;
        result = step::run(&what, "apt-install", &mut install_command(packages));
    }
    drop(quiet);
    result
}

/// The last installation came as far as dpkg, and it failed: a package's own script, or one that
/// was broken before. Newer lists and fewer packages do not help.
#[must_use]
pub(crate) fn dpkg_failed() -> bool {
    let log = step::log_path("apt-install").and_then(|path| Ok(fs::read(path)?));
    log.is_ok_and(|log| is_dpkg_failure(&String::from_utf8_lossy(&log)))
}

fn is_dpkg_failure(log: &str) -> bool {
    log.lines()
        .any(|line| line.starts_with("E: Sub-process") && line.contains("dpkg returned an error"))
}

fn install_command(packages: &[&str]) -> Command {
    let mut command = apt_get();
    // never at the price of a package that is here
    command
        .args(["install", "--yes", "--no-install-recommends", "--no-remove"])
        .args(packages);
    command
}

fn update() -> Result<()> {
    step::run(
        "update package lists",
        "apt-update",
        apt_get().arg("update"),
    )
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        // another apt may be at work, as on a machine that has just started
        .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]);
    command
}

fn has_candidate(package: &str) -> bool {
    let output = Command::new("apt-cache")
        .args(["policy", package])
        .stderr(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Candidate:"))
            .any(|candidate| candidate.trim() != "(none)")
    })
}

/// Removes the policy script again.
struct Policy;

impl Drop for Policy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(POLICY) {
            step::warn(format!("cannot remove {POLICY}: {error}"));
        }
    }
}

fn keep_services_stopped() -> Result<Option<Policy>> {
    if Path::new(POLICY).exists() {
        return Ok(None); // the machine has its own policy
    }
    fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("cannot write {POLICY}"))?;
    let guard = Policy;
    fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
    Ok(Some(guard))
}

/// Keeps a service that we installed from starting at boot.
pub(crate) fn disable_service(name: &str) {
    for (program, args) in [
        ("systemctl", ["disable", name]),
        ("update-rc.d", [name, "disable"]),
    ] {
        if workspace::program(program).is_none() {
            continue;
        }
        let done = Command::new(program).args(args).output();
        if !done.is_ok_and(|output| output.status.success()) {
            step::warn(format!(
                "could not disable the service {name} with {program}"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_whose_failure_it_was() {
        let check = |log, want| assert_eq!(is_dpkg_failure(log), want, "{log}");
        check(
            "Setting up x\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n",
            true,
        );
        check("E: Unable to locate package x\n", false);
        check("E: Failed to fetch http://x  404  Not Found\n", false);
    }
}
