//! How often probes in runtimes fire: the agent's process comes in, runs of its uprobe programs go
//! out, as the kernel counts them. Unlike time that is the same whatever else the machine does.

use std::fs;

use anyhow::{Context, Result};

/// Turns the kernel's counts on and off.
const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";
/// `BPF_PROG_TYPE_KPROBE`: uprobes are of this type, and weft has no other programs of it.
const UPROBE: &str = "2";

/// While it lives the kernel counts; it is put back as it was.
pub(super) struct Counting {
    before: String,
}

impl Counting {
    /// Makes the kernel count the runs of programs.
    ///
    /// # Errors
    /// When it does not let us.
    pub(super) fn start() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("cannot read {SWITCH}"))?;
        fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}"))?;
        Ok(Self { before })
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, &self.before);
    }
}

/// Runs of the uprobe programs that a process holds.
///
/// # Errors
/// When it is gone.
pub(super) fn of(pid: u32) -> Result<f64> {
    let dir = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&dir).with_context(|| format!("process {pid} is gone"))?;
    let texts = entries
        .flatten()
        .map(|entry| fs::read_to_string(entry.path()));
    Ok(texts.flatten().filter_map(|text| runs(&text)).sum())
}

/// Runs that `/proc/PID/fdinfo/FD` tells of, if that is a uprobe program.
fn runs(text: &str) -> Option<f64> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim())
    };
    if field("prog_type")? != UPROBE {
        return None;
    }
    field("run_cnt")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uprobe_programs_count() {
        let text = |kind: u32| {
            format!("pos:\t0\nprog_type:\t{kind}\nprog_jited:\t1\nrun_time_ns:\t5\nrun_cnt:\t7\n")
        };
        assert_eq!(runs(&text(2)), Some(7.0));
        assert_eq!(runs(&text(26)), None);
        assert_eq!(runs("pos:\t0\nlink_type:\tperf\n"), None);
    }
}
