//! The machine that a guest runs on: its size in, the qemu command that boots it out.

use std::path::Path;
use std::process::Command;

/// What all machines share. One thread for all processors is faster and steadier than one each
/// under emulation; string instructions are emulated byte by byte, so the guest is told it has
/// no fast ones.
const ALWAYS: [&str; 11] = [
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    "-display",
    "none",
    "-serial",
    "stdio",
    "-accel",
    "tcg,thread=single",
    "-cpu",
    "max,-erms,-fsrm",
];
/// Kernel parameters: quiet, a panic ends the guest, and nothing that costs time for safety that
/// a throw-away guest needs not. Without address randomisation translations are kept longer.
const PARAMETERS: &str = "console=ttyS0 quiet loglevel=3 panic=-1 oops=panic nokaslr norandmaps \
                          mitigations=off cryptomgr.notests tsc=reliable no_timer_check \
                          random.trust_cpu=on rdinit=/init";

/// A guest's machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub(crate) processors: u32,
    /// As qemu reads it.
    pub(crate) memory: &'static str,
    /// The guest's clock goes on by one nanosecond with each instruction, so that times repeat
    /// whatever else the host does. Some ten times slower; for one processor.
    pub(crate) counts_instructions: bool,
}

impl Machine {
    /// Boots `image` with `initrd`; it ends after `seconds` at the latest. The guest's serial
    /// port is the command's output.
    pub(crate) fn command(&self, image: &Path, initrd: &Path, seconds: u32) -> Command {
        let mut command = Command::new("timeout");
        command
            .args([&seconds.to_string(), "qemu-system-x86_64"])
            .args(ALWAYS)
            .args(["-m", self.memory, "-smp", &self.processors.to_string()])
            .arg("-kernel")
            .arg(image)
            .arg("-initrd")
            .arg(initrd)
            .args(["-append", PARAMETERS]);
        if self.counts_instructions {
            // asleep the clock goes on in real time: else a wait would let it race ahead
            command.args(["-icount", "shift=0,sleep=on"]);
        }
        command
    }
}
