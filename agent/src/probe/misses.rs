//! Runs of this process's kernel programs that the kernel left out: a program does not run while the
//! same one runs on that CPU, as it may where tasks are preempted within it.
//!
//! In: `/proc/self/fdinfo` of the programs, where `bpf_prog_show_fdinfo` tells since Linux 5.12.
//! Out: a count.

use std::fs;

const DESCRIPTORS: &str = "/proc/self/fdinfo";
const FIELD: &str = "recursion_misses:";

/// Runs that were left out since the programs were loaded; 0 where the kernel does not tell.
#[must_use]
pub fn missed() -> u64 {
    let entries = fs::read_dir(DESCRIPTORS).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.filter_map(|text| told(&text)).sum()
}

/// What one descriptor tells, if it is a program's.
fn told(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(FIELD))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_tell() {
        let program = "pos:\t0\nflags:\t02000002\nmnt_id:\t16\nino:\t13\nprog_type:\t17\n\
                       prog_jited:\t1\nrun_time_ns:\t0\nrun_cnt:\t0\nrecursion_misses:\t7\n\
                       verified_insns:\t60\n";
        assert_eq!(told(program), Some(7));
        assert_eq!(told("pos:\t0\nmap_type:\t27\n"), None);
        assert_eq!(told("recursion_misses:\tmany\n"), None);
        // This process has none.
        assert_eq!(missed(), 0);
    }
}
