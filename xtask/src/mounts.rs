//! The kernel's pseudo file systems that weft and its tests read. Mounted where missing and
//! allowed, never unmounted.

use std::fs;
use std::process::Command;

use crate::{step, workspace};

/// Type, place, and why it is wanted.
const WANTED: [(&str, &str, &str); 3] = [
    ("tracefs", "/sys/kernel/tracing", "tracepoints"),
    ("bpf", "/sys/fs/bpf", "pinned maps"),
    (
        "debugfs",
        "/sys/kernel/debug",
        "tests that read the kernel's own counters",
    ),
];

/// Mounts what is missing; returns how many could not be.
#[must_use]
pub(crate) fn ensure() -> usize {
    let mounted = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut missing = 0;
    for (kind, place, why) in WANTED {
        if is_mounted(&mounted, kind, place) {
            continue;
        }
        let by_hand = format!("mount -t {kind} {kind} {place}");
        if !workspace::is_root() {
            step::warn(format!(
                "{kind} ({why}) is not mounted; as root: `{by_hand}`"
            ));
            missing += 1;
            continue;
        }
        match Command::new("mount")
            .args(["-t", kind, kind, place])
            .output()
        {
            Ok(output) if output.status.success() => {
                step::note(format!("mounted {kind} on {place}"))
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                step::warn(format!("`{by_hand}`, for {why}: {}", said.trim()));
                missing += 1;
            }
            Err(error) => {
                step::warn(format!("`{by_hand}`, for {why}: {error}"));
                missing += 1;
            }
        }
    }
    missing
}

fn is_mounted(mounts: &str, kind: &str, place: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some(place) && fields.next() == Some(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_mount_table() {
        let table = "proc /proc proc rw 0 0\ntracefs /sys/kernel/tracing tracefs rw 0 0\n";
        let check = |kind, place, want| assert_eq!(is_mounted(table, kind, place), want);
        check("tracefs", "/sys/kernel/tracing", true);
        check("tracefs", "/sys/kernel", false);
        check("bpf", "/sys/kernel/tracing", false);
    }
}
