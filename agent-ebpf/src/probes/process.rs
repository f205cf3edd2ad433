//! Processes and threads begin and end. A child is watched from the instant it exists.

use agent_common::loss::Loss;
use agent_common::record::{
    COMMAND_BYTES, EXECUTED, EXITED, Executed, Exited, LEFT, SPAWNED, Spawned,
};
use agent_common::runtime::NODE;
use agent_common::watch::{FIBERS, IGNORE, TLS, WATCH};

use crate::emit::{emit, emit_now, header, lost};
use crate::kernel::{copy_user, offset, opaque, read, setting, task_id, tgid};
use crate::maps::{NODE_THREADS, RUNTIMES, WATCHED};

/// `child` was made by `parent`.
#[inline(always)]
pub fn forked(parent: u64, child: u64) -> Option<()> {
    let maker: u32 = read(parent, offset!(task_tgid))?;
    // SAFETY: a map value read once.
    let flags = *unsafe { WATCHED.get(maker) }?;
    if flags & WATCH == 0 {
        return None;
    }
    let child_tgid: u32 = read(child, offset!(task_tgid))?;
    let child_tid: u32 = read(child, offset!(task_pid))?;
    if child_tgid != maker {
        inherit(maker, child_tgid, flags);
    }
    emit(&Spawned {
        header: header(SPAWNED, size_of::<Spawned>()),
        child_tgid,
        child_tid,
    });
    Some(())
}

/// Process `child` is a copy of `maker`: watched like it, its tasks are named like its.
#[inline(always)]
fn inherit(maker: u32, child: u32, mut flags: u32) {
    // SAFETY: a map value, copied as it is; user space replaces it rarely.
    if let Some(runtime) = unsafe { RUNTIMES.get(maker) } {
        if runtime.kind == NODE {
            // Its probes are those of one process.
            flags &= !FIBERS;
        } else {
            let _ = RUNTIMES.insert(child, runtime, 0);
        }
    }
    if WATCHED.insert(child, flags, 0).is_err() {
        lost(Loss::WatchFull);
    }
}

/// The current task started a program.
#[inline(always)]
pub fn executed(task: u64) -> Option<()> {
    let process = tgid();
    if process == setting!(own_tgid) {
        return None;
    }
    // SAFETY: a map value read once.
    let known = unsafe { WATCHED.get(process) }.copied();
    let fresh = match known {
        Some(flags) if flags & IGNORE != 0 => return None,
        Some(flags) => {
            if flags & (FIBERS | TLS) != 0 {
                // Another program: its tasks are named differently, or not at all.
                let _ = WATCHED.insert(process, flags & !(FIBERS | TLS), 0);
                let _ = RUNTIMES.remove(process);
            }
            0
        }
        None if setting!(watch_new) == 0 => return None,
        None => {
            if WATCHED.insert(process, WATCH, 0).is_err() {
                lost(Loss::WatchFull);
            }
            1
        }
    };
    let mut record = Executed {
        header: header(EXECUTED, size_of::<Executed>()),
        comm: read(task, offset!(task_comm)).unwrap_or([0; 16]),
        command: [0; COMMAND_BYTES],
        command_len: 0,
        fresh,
    };
    command_line(task, &mut record);
    emit_now(&record);
    Some(())
}

/// Copies the head of the arguments, which `exec` has just laid on the new stack.
#[inline(always)]
fn command_line(task: u64, record: &mut Executed) -> Option<()> {
    let memory: u64 = read(task, offset!(task_mm))?;
    let start: u64 = read(memory, offset!(mm_arg_start))?;
    let end: u64 = read(memory, offset!(mm_arg_end))?;
    let len = end.checked_sub(start)?;
    let len = opaque(if len > COMMAND_BYTES as u64 {
        COMMAND_BYTES as u64
    } else {
        len
    });
    if len > COMMAND_BYTES as u64 || !copy_user(record.command.as_mut_ptr(), len, start) {
        return None;
    }
    record.command_len = len as u32;
    Some(())
}

/// A thread ended; with the last one its process does.
#[inline(always)]
pub fn exited(task: u64) -> Option<()> {
    let process = tgid();
    // SAFETY: a map value read once.
    let flags = *unsafe { WATCHED.get(process) }?;
    // The next thread of this number has nothing to do with it.
    let _ = NODE_THREADS.remove(task_id() as u32);
    let signal: u64 = read(task, offset!(task_signal))?;
    if read::<i32>(signal, offset!(signal_live))? != 0 {
        if flags & WATCH != 0 {
            emit(&Exited {
                header: header(LEFT, size_of::<Exited>()),
            });
        }
        return None;
    }
    let _ = WATCHED.remove(process);
    let _ = RUNTIMES.remove(process);
    emit(&Exited {
        header: header(EXITED, size_of::<Exited>()),
    });
    Some(())
}
