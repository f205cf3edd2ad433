//! `cargo xtask setup`: finds or installs what the other commands need. Safe to repeat, quick
//! when all is there. What cannot be had is told in one line with the way to get it, and the
//! rest goes on: tests that need it are skipped, loudly.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{apt, bpf_toolchain, collector, mounts, step, workloads, workspace};

/// The release of bpf-linker that is installed; its LLVM must be the compiler's.
const BPF_LINKER: &str = "0.13.0";
/// Debian's LLVM that goes with [`BPF_PACKAGES`].
const LLVM: &str = "22";
/// Debian's Rust with `core` for BPF prebuilt.
const BPF_PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev-bpf", "llvm-22-dev"];
/// The oldest Node the services run on.
const OLDEST_NODE: u32 = 18;

/// What can be set up apart from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// C compiler and headers.
    Build,
    /// Compiler and linker of the kernel object.
    Bpf,
    /// Pseudo file systems that the agent reads.
    Mounts,
    /// Runtimes of the test services, and the services themselves.
    Services,
    /// Those of them that the demo starts.
    Demo,
    /// The services of the truth bench that take long. Only when asked for.
    Truth,
    /// qemu, for other kernels. Only when asked for.
    Vm,
    /// A real OpenTelemetry Collector, for the tests of deploy/. Only when asked for.
    Collector,
}

/// What is set up when nothing is named.
const DEFAULT: [Part; 4] = [Part::Build, Part::Bpf, Part::Mounts, Part::Services];

/// A program that is looked for, and the packages that bring it.
struct Need {
    what: &'static str,
    present: fn() -> bool,
    packages: &'static [&'static str],
    elsewhere: &'static str,
}

const BUILD: &[Need] = &[
    Need {
        what: "a C compiler",
        present: || workspace::program("cc").is_some(),
        packages: &["gcc", "libc6-dev"],
        elsewhere: "your system's gcc or clang",
    },
    Need {
        what: "C headers",
        present: || Path::new("/usr/include/stdlib.h").is_file(),
        packages: &["libc6-dev"],
        elsewhere: "your system's libc headers",
    },
];

const DEMO: &[Need] = &[
    Need {
        what: "Python 3 with venv",
        present: has_python_venv,
        packages: &["python3", "python3-venv"],
        elsewhere: "your system's python3 with the venv module",
    },
    Need {
        what: "Python's own library, which the demo's backend links to",
        present: has_python_library,
        packages: &["libpython3-dev"],
        elsewhere: "your system's libpython3",
    },
    Need {
        what: "Node 18 or newer with npm",
        present: || has_node() && workspace::program("npm").is_some(),
        packages: &["nodejs", "npm"],
        elsewhere: "Node 18 or newer",
    },
];

const SERVICES: &[Need] = &[
    Need {
        what: "curl",
        present: || workspace::program("curl").is_some(),
        packages: &["curl", "ca-certificates"],
        elsewhere: "your system's curl",
    },
    Need {
        what: "wget",
        present: || workspace::program("wget").is_some(),
        packages: &["wget"],
        elsewhere: "your system's wget",
    },
    Need {
        what: "wrk",
        present: || workspace::program("wrk").is_some(),
        packages: &["wrk"],
        elsewhere: "your system's wrk",
    },
    Need {
        what: "valgrind, beside which the agent runs",
        present: || workspace::program("valgrind").is_some(),
        packages: &["valgrind"],
        elsewhere: "your system's valgrind",
    },
    Need {
        what: "ip, for network namespaces",
        present: || workspace::program("ip").is_some(),
        packages: &["iproute2"],
        elsewhere: "your system's iproute2",
    },
    Need {
        what: "nginx",
        present: || workspace::program("nginx").is_some(),
        packages: &["nginx-light"],
        elsewhere: "your system's nginx",
    },
    Need {
        what: "Go",
        present: || workspace::program("go").is_some(),
        packages: &["golang-go"],
        elsewhere: "Go 1.19 or newer",
    },
    Need {
        what: "a Java 17 compiler",
        present: || workspace::program("javac").is_some(),
        packages: &["default-jdk-headless"],
        elsewhere: "JDK 17 or newer",
    },
];

const VM: &[Need] = &[Need {
    what: "qemu",
    present: || workspace::program("qemu-system-x86_64").is_some(),
    packages: &["qemu-system-x86"],
    elsewhere: "your system's qemu-system-x86_64",
}];

/// Sets up the named parts, or the default ones.
///
/// # Errors
/// When something is still missing at the end; all parts are tried first.
pub(crate) fn run(only: &[Part]) -> Result<()> {
    let missing = try_all(only)?;
    if missing == 0 {
        return Ok(());
    }
    bail!(
        "{missing} of the things above could not be set up\nhint: tests that need them are skipped"
    )
}

/// The same for commands that go on without what is missing.
///
/// # Errors
/// Only when nothing at all can be done, as with a full disk.
pub(crate) fn try_all(only: &[Part]) -> Result<usize> {
    let start = Instant::now();
    let parts = if only.is_empty() { &DEFAULT[..] } else { only };
    let has = |part: Part| parts.contains(&part);
    workspace::make_kept()?;

    let mut needs: Vec<&Need> = Vec::new();
    for (part, list) in [
        (Part::Build, BUILD),
        (Part::Services, DEMO),
        (Part::Services, SERVICES),
        (Part::Demo, DEMO),
        (Part::Vm, VM),
    ] {
        if has(part) {
            needs.extend(list.iter().filter(|need| !(need.present)()));
        }
    }
    let mut missing = install_packages(&needs);
    if has(Part::Bpf) {
        missing += usize::from(!bpf());
    }
    if has(Part::Mounts) {
        missing += mounts::ensure();
    }
    if has(Part::Services) {
        missing += workloads::install_all();
    }
    if has(Part::Demo) {
        missing += workloads::install_demo();
    }
    if has(Part::Truth) {
        missing += workloads::install_heavy();
    }
    if has(Part::Collector)
        && let Err(error) = collector::ensure()
    {
        step::warn(format!("{error:#}"));
        missing += 1;
    }
    if missing == 0 {
        step::say(format!("set up ({:.1} s)", start.elapsed().as_secs_f64()));
    }
    Ok(missing)
}

fn install_packages(needs: &[&Need]) -> usize {
    if needs.is_empty() {
        return 0;
    }
    if let Some(reason) = apt::unavailable() {
        for need in needs {
            step::warn(format!(
                "{} is missing and cannot be installed: {reason}; get it: `{}`, or {}",
                need.what,
                apt::command_line(need.packages),
                need.elsewhere
            ));
        }
        return needs.len();
    }
    let nginx = needs.iter().any(|need| need.what == "nginx");
    let mut packages: Vec<&str> = needs
        .iter()
        .flat_map(|n| n.packages.iter().copied())
        .collect();
    packages.sort_unstable();
    packages.dedup();
    if let Err(error) = apt::install(&packages) {
        step::warn(format!("{error:#}"));
        if apt::dpkg_failed() {
            step::note("what dpkg could not finish: `dpkg --configure -a` tells why");
        } else {
            step::note("trying them one by one");
            for need in needs {
                if let Err(error) = apt::install(need.packages) {
                    step::warn(format!("{error:#}"));
                }
            }
        }
    }
    if nginx && workspace::program("nginx").is_some() {
        apt::disable_service("nginx");
    }
    let still: Vec<_> = needs.iter().filter(|need| !(need.present)()).collect();
    for need in &still {
        step::warn(format!(
            "{} is still missing; get it from {}",
            need.what, need.elsewhere
        ));
    }
    still.len()
}

/// A compiler and a linker for the kernel object; false when there is none.
fn bpf() -> bool {
    if bpf_toolchain::find_compiler().is_none() {
        match apt::unavailable() {
            Some(reason) => step::warn(format!(
                "no Rust compiler for {}: {reason}; get it: `rustup toolchain install nightly \
                 --component rust-src`, or as root `{}`",
                bpf_toolchain::TARGET,
                apt::command_line(&BPF_PACKAGES)
            )),
            None => {
                if let Err(error) = apt::install(&BPF_PACKAGES) {
                    step::warn(format!("{error:#}"));
                }
            }
        }
    }
    if bpf_toolchain::find_linker().is_none()
        && let Err(error) = install_bpf_linker()
    {
        step::warn(format!("{error:#}"));
    }
    match bpf_toolchain::find() {
        Ok(found) => {
            let core = if found.prebuilt_core {
                "prebuilt core"
            } else {
                "core from source"
            };
            step::note(format!(
                "kernel object: {} ({core}), {}",
                found.rustc.display(),
                found.bpf_linker.display()
            ));
            true
        }
        Err(message) => {
            step::warn(message);
            false
        }
    }
}

fn install_bpf_linker() -> Result<()> {
    let prefix = format!("/usr/lib/llvm-{LLVM}");
    if !Path::new(&prefix).join("include").is_dir() {
        match apt::unavailable() {
            Some(reason) => bail!(
                "bpf-linker is built with LLVM {LLVM}, which is missing: {reason}; get it: `{}`",
                apt::command_line(&[BPF_PACKAGES[2]])
            ),
            None => apt::install(&[BPF_PACKAGES[2], "g++", "zlib1g-dev", "libzstd-dev"])?,
        }
    }
    let feature = format!("llvm-{LLVM}");
    let mut command = Command::new(cargo());
    command
        .args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked"])
        .args(["--no-default-features", "--features", &feature])
        .env("LLVM_PREFIX", &prefix)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO_TARGET_DIR");
    step::run(
        &format!("build bpf-linker {BPF_LINKER} (minutes)"),
        "bpf-linker",
        &mut command,
    )
}

/// The cargo that runs us.
#[must_use]
pub(crate) fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Loads Python's library as the dynamic linker finds it, or where this Python has it.
const LOAD_LIBRARY: &str = "import ctypes, os, sysconfig as s
name = 'libpython' + s.get_config_var('LDVERSION') + '.so.1.0'
path = os.path.join(s.get_config_var('LIBDIR'), name)
ctypes.CDLL(path if os.path.exists(path) else name)";

fn has_python_library() -> bool {
    let loaded = Command::new("python3").args(["-c", LOAD_LIBRARY]).output();
    loaded.is_ok_and(|output| output.status.success())
}

fn has_python_venv() -> bool {
    // a finished environment needs no second look
    workspace::venv().join("bin/python").exists()
        || Command::new("python3")
            .args(["-c", "import venv, ensurepip"])
            .output()
            .is_ok_and(|output| output.status.success())
}

fn has_node() -> bool {
    let Ok(output) = Command::new("node").arg("--version").output() else {
        return false;
    };
    node_major(&String::from_utf8_lossy(&output.stdout)).is_some_and(|major| major >= OLDEST_NODE)
}

/// `v20.11.1` is 20.
fn node_major(version: &str) -> Option<u32> {
    version
        .trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version_of_node() {
        let check = |text, want| assert_eq!(node_major(text), want, "{text:?}");
        check("v20.11.1\n", Some(20));
        check("v8.0.0", Some(8));
        check("20.1", None);
        check("", None);
    }
}
