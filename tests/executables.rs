//! Hostile executables: whoever may start a process decides about every byte of its program, and
//! the agent looks into it.

use anyhow::{Context, Result};
use harness::executable::{Bench, executable};
use harness::scenario::Noise;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most memory that looking into a file may take, bytes. The largest of real programs take less
/// than half of it.
const MOST: u64 = 96 * 1024 * 1024;

/// Memory is that of the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn no_executable_is_believed() -> Result<()> {
    let _alone = alone();
    let bench = Bench::new()?;
    for seed in 0..300 {
        let data = Noise::new(seed).bytes(600);
        let bytes = executable(&data);
        bench.examine(&bytes, bytes.len() as u64)?;
        // One that was cut, and one that has a hole behind it.
        bench.examine(&bytes, bytes.len() as u64 / 2)?;
        bench.examine(&bytes, 4 << 20)?;
    }
    Ok(())
}

/// Every cut of one file, as if it were being written.
#[test]
fn what_is_cut_is_no_more_than_that() -> Result<()> {
    let _alone = alone();
    let bench = Bench::new()?;
    let bytes = executable(&Noise::new(7).bytes(400));
    for len in (0..bytes.len()).step_by(13) {
        bench.examine(&bytes, len as u64)?;
    }
    Ok(())
}

/// A section and its content.
type Part<'a> = (&'a str, &'a [u8]);

/// An executable of these sections, without lies.
fn made_of(parts: &[Part<'_>], names_len: usize) -> Vec<u8> {
    let mut out = executable(&[]);
    let mut names = vec![0];
    let mut headers = vec![0; 64];
    let mut header = |name: usize, offset: usize, len: usize| {
        let mut header = [0; 64];
        let words = [(16, 0x40_0000 + offset), (24, offset), (32, len)];
        for (at, word) in words {
            header[at..at + 8].copy_from_slice(&(word as u64).to_le_bytes());
        }
        header[..4].copy_from_slice(&(name as u32).to_le_bytes());
        header[4] = 1;
        headers.extend(header);
    };
    for (name, content) in parts {
        header(names.len(), out.len(), content.len());
        names.extend(name.bytes().chain([0]));
        out.extend(*content);
    }
    names.resize(names.len().max(names_len), b'n');
    header(names.len(), out.len(), names.len());
    out.extend(&names);
    let table = out.len() as u64;
    let count = headers.len() / 64;
    out.extend(&headers);
    out[40..48].copy_from_slice(&table.to_le_bytes());
    out[60..62].copy_from_slice(&(count as u16).to_le_bytes());
    out[62..64].copy_from_slice(&(count as u16 - 1).to_le_bytes());
    let len = out.len() as u64;
    out[64 + 32..64 + 40].copy_from_slice(&len.to_le_bytes());
    out
}

/// Highest memory of this process since it was last asked to forget, bytes.
fn peak() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(1024
        * kilobytes
            .context("no VmHWM in /proc/self/status")?
            .trim()
            .parse::<u64>()?)
}

/// Memory that looking into a file takes.
fn check(name: &str, bytes: &[u8]) -> Result<()> {
    let bench = Bench::new()?;
    bench.examine(&[], 0)?;
    std::fs::write("/proc/self/clear_refs", "5")?;
    let before = peak()?;
    bench.examine(bytes, bytes.len() as u64)?;
    let taken = peak()?.saturating_sub(before);
    println!("{name}: {} KiB", taken / 1024);
    assert!(taken < MOST, "{name} takes {taken} bytes");
    Ok(())
}

/// Files whose every byte costs as much memory as it can.
#[test]
fn memory_is_bounded() -> Result<()> {
    let _alone = alone();
    const LARGE: usize = 48 << 20;
    let many: Vec<Part<'_>> = vec![("", &[]); 4000];
    check("thousands of endless names", &made_of(&many, 1 << 16))?;
    let names = b"SSL_read\0".repeat(LARGE / 9);
    check(
        "a name again and again",
        &made_of(&[(".strtab", &names), (".symtab", &names)], 0),
    )?;
    drop(names);
    let words = 0x40_1000_u64.to_le_bytes().repeat(LARGE / 8);
    let texts = b"get_nowait\0".repeat(1 << 20);
    let parts = [(".data", &words[..]), (".rodata", &texts[..])];
    check("pointers and nothing else", &made_of(&parts, 0))?;
    let relocations = [0_u64, 8, 0x40_1000]
        .map(u64::to_le_bytes)
        .concat()
        .repeat(LARGE / 24);
    check(
        "relocations and nothing else",
        &made_of(&[(".rela.dyn", &relocations)], 0),
    )
}

/// The largest program that is there: a real one.
#[test]
fn a_large_program_takes_a_few_megabytes() -> Result<()> {
    let _alone = alone();
    let node = std::env::var_os("PATH").and_then(|path| {
        let mut folders = std::env::split_paths(&path);
        folders.find_map(|folder| std::fs::read(folder.join("node")).ok())
    });
    let own = std::fs::read("/proc/self/exe")?;
    check("a large program", &node.unwrap_or(own))
}
