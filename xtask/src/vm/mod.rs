//! `cargo xtask test vm KERNEL...`: the product on other kernels. Each boots under qemu's
//! software emulation from an initramfs of four files: busybox, the static `weft`, a page to
//! serve and `tests/vm/init`, which prints one line a test on the serial port.

mod initramfs;
mod kernel;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::libtest::Counts;
use crate::{dist, step, test, workspace};
use initramfs::Archive;

/// Kernels that are booted when none is named: the oldest that is promised to work, and the
/// last one without the socket-length tracepoints.
const DEFAULT: [&str; 2] = ["5.10", "6.1"];
/// The guest's script says this last.
const END: &str = "GUEST-END";
/// Ends a qemu that the guest's own watchdog did not end.
const LIMIT_SECONDS: u32 = 600;
/// Machine options. One thread for all processors is faster and steadier than one each under
/// emulation; string instructions are emulated byte by byte, so the guest is told it has no
/// fast ones.
const MACHINE: [&str; 10] = [
    "-accel",
    "tcg,thread=single",
    "-cpu",
    "max,-erms,-fsrm",
    "-m",
    "1G",
    "-smp",
    "2",
    "-serial",
    "stdio",
];
const BARE: [&str; 5] = [
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    "-display",
    "none",
];
/// Kernel parameters: quiet, a panic ends the guest, and nothing that costs time for safety that
/// a throw-away guest needs not. Without address randomisation translations are kept longer.
const PARAMETERS: &str = "console=ttyS0 quiet loglevel=3 panic=-1 oops=panic nokaslr norandmaps \
                          mitigations=off cryptomgr.notests tsc=reliable no_timer_check \
                          random.trust_cpu=on rdinit=/init";

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
    let weft = match dist::build("weft", "weft") {
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

fn missing() -> Option<&'static str> {
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
    let mut command = Command::new("timeout");
    command
        .args([&LIMIT_SECONDS.to_string(), "qemu-system-x86_64"])
        .args(MACHINE)
        .args(BARE)
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(&initrd)
        .args(["-append", PARAMETERS]);
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
    let mut archive = Archive::default();
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp", "www"] {
        archive.directory(dir);
    }
    archive.console("dev/console");
    archive.program("init", &read(&workspace::root().join("tests/vm/init"))?);
    archive.program("bin/busybox", &read(&kernel::busybox()?)?);
    archive.program("bin/weft", &read(weft)?);
    archive.file("www/hello.txt", b"hello\n");
    let path = workspace::kept().join(format!("vm/{name}.initramfs"));
    std::fs::write(&path, archive.finish())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
