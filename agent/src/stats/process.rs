//! The agent's own memory and CPU, from `/proc/self`.

use std::fs;
use std::time::Duration;

/// What the agent uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, bytes.
    pub memory: u64,
    /// CPU time since the start, user and kernel.
    pub cpu: Duration,
}

/// Reads the usage of this process; zeroes where `/proc` is not mounted.
#[must_use]
pub fn usage() -> Usage {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    Usage {
        memory: memory(&read("/proc/self/status")),
        cpu: cpu(&read("/proc/self/stat")),
    }
}

fn memory(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

/// `/proc` counts in ticks of 10 ms on every architecture (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

fn cpu(stat: &str) -> Duration {
    // The second field is the program's name in brackets and may contain anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |index| fields.split_whitespace().nth(index)?.parse::<u32>().ok();
    let ticks = |index| TICK.saturating_mul(field(index).unwrap_or(0));
    ticks(11).saturating_add(ticks(12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        assert_eq!(memory("Name:\tweft\nVmRSS:\t    2048 kB\n"), 2 << 20);
        assert_eq!(memory("Name:\tweft\n"), 0);
        let stat = "42 (a) b) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0";
        assert_eq!(cpu(stat), Duration::from_secs(2));
        assert_eq!(cpu("nonsense"), Duration::ZERO);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(usage().memory > 0);
    }
}
