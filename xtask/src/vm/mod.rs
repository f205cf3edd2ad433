//! `cargo xtask test vm KERNEL...`: the product on other kernels. Each boots under qemu's
//! software emulation from an initramfs: busybox, the `weft` of the other layers with its libraries, a
//! page to serve, services of the truth bench with this very program to drive them, and `tests/vm/init` with
//! `tests/vm/mounts`, which prints one line a test on the serial port.

pub(crate) mod contents;
pub(crate) mod initramfs;
pub(crate) mod kernel;
pub(crate) mod machine;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::libtest::Counts;
use crate::{build, step, test, workloads, workspace};
use initramfs::Archive;
use machine::Machine;

/// Kernels that are booted when none is named: the oldest that is promised to work, and the
/// last one without the socket-length tracepoints.
const DEFAULT: [&str; 2] = ["5.10", "6.1"];
/// Rows of the truth bench that must be right in each: probes by file, at instructions of a program
/// and of a library, with their folders and the modules of Python.
const ROWS: [(&str, &str, &[&str]); 2] = [
    ("go-errgroup", "go-jobs", &[]),
    ("aiohttp", "aiohttp", &["server"]),
];
/// The guest's script says this last.
const END: &str = "GUEST-END";
/// Ends a qemu that the guest's own watchdog did not end.
const LIMIT_SECONDS: u32 = 600;
const MACHINE: Machine = Machine {
    processors: 2,
    memory: "2G",
    counts_instructions: false,
};

/// Boots each kernel and counts its tests.
///
/// # Errors
/// When files cannot be written; a kernel that cannot be had is a loud skip.
pub(crate) fn run(kernels: &[String]) -> Result<Counts> {
    let kernels: Vec<&str> = if kernels.is_empty() {
        DEFAULT.to_vec()
    } else {
        kernels.iter().map(String::as_str).collect()
    };
    if let Some(missing) = missing() {
        let skips = kernels
            .iter()
            .map(|kernel| Counts::skip(format!("vm {kernel}: {missing}")));
        return Ok(sum(skips));
    }
    let weft = match build::debug() {
        Ok(weft) => weft,
        Err(error) => return Ok(Counts::fail(format!("vm: {error:#}"))),
    };
    let mut counts = Counts::default();
    for name in kernels {
        counts.add(match kernel::fetch(name) {
            Ok(image) => boot(name, &image, &weft)?,
            Err(error) => Counts::skip(format!("vm {name}: no such kernel here: {error:#}")),
        });
    }
    Ok(counts)
}

fn sum(all: impl Iterator<Item = Counts>) -> Counts {
    all.fold(Counts::default(), |mut sum, counts| {
        sum.add(counts);
        sum
    })
}

/// What this machine lacks for guests, and how to get it.
pub(crate) fn missing() -> Option<&'static str> {
    if !cfg!(target_arch = "x86_64") {
        return Some("guests are x86-64, and so must the machine be: use such a one");
    }
    if workspace::program("qemu-system-x86_64").is_none() {
        return Some("qemu: apt-get install qemu-system-x86");
    }
    if workspace::program("dpkg-deb").is_none() || workspace::program("apt-get").is_none() {
        return Some("kernels are Debian's packages: use a Debian-like machine");
    }
    None
}

fn boot(name: &str, image: &Path, weft: &Path) -> Result<Counts> {
    let initrd = make_initramfs(name, weft)?;
    let command = MACHINE.command(image, &initrd, LIMIT_SECONDS);
    let layer = format!("vm-{name}");
    let mut counts = test::stream(&layer, command, true)?;
    let log = step::log_path(&format!("test-{layer}"))?;
    let text = std::fs::read(&log).unwrap_or_default();
    if !String::from_utf8_lossy(&text).contains(END) && counts.failed == 0 {
        step::print_tail(&log);
        counts.add(Counts::fail(format!(
            "vm {name}: the guest did not come to its end"
        )));
    }
    Ok(counts)
}

fn make_initramfs(name: &str, weft: &Path) -> Result<PathBuf> {
    let mut archive = basis("init", weft)?;
    contents::libraries(&mut archive, weft)?;
    archive.directory("www");
    archive.file("www/hello.txt", b"hello\n");
    let own = std::env::current_exe().context("cannot find this program")?;
    contents::libraries(&mut archive, &own)?;
    archive.program("bin/xtask", &read(&own)?);
    let mut rows = String::new();
    for (row, folder, modules) in ROWS {
        match bring(&mut archive, folder, modules) {
            Ok(()) => rows.push_str(&format!("{row}\n")),
            // the guest says that it lacks it, and is counted as a skip
            Err(error) => {
                step::warn(format!("{row}: {error:#}"));
                rows.push_str(&format!("-{row}\n"));
            }
        }
    }
    archive.file("etc/rows", rows.as_bytes());
    archive.write(&format!("{name}.initramfs"))
}

/// A service of the truth bench: what it says of itself, and all that it needs.
fn bring(archive: &mut Archive, folder: &str, modules: &[&str]) -> Result<()> {
    workloads::ensure(folder)?;
    let installed = workspace::workloads().join(folder);
    let source = workspace::workload_sources().join(folder);
    for name in ["run", workloads::manifest::FILE] {
        archive.host_file(&source.join(name))?;
    }
    contents::tree(archive, &installed)?;
    if modules.is_empty() {
        return Ok(());
    }
    contents::python(archive, &installed, "python", modules)
}

/// An archive with busybox, `weft` and a script of `tests/vm` as the first process.
///
/// # Errors
/// When a file cannot be read or had.
pub(crate) fn basis(init: &str, weft: &Path) -> Result<Archive> {
    let scripts = workspace::root().join("tests/vm");
    let mut archive = Archive::default();
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        archive.directory(dir);
    }
    archive.console("dev/console");
    archive.program("init", &read(&scripts.join(init))?);
    archive.file("etc/mounts", &read(&scripts.join("mounts"))?);
    archive.program("bin/busybox", &read(&kernel::busybox()?)?);
    archive.program("bin/weft", &read(weft)?);
    Ok(archive)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
