//! Leases on probed files: who wants to write to one waits until its probes are gone.
//!
//! In: a path. Out: whether a writer waits. A probe is an instruction of a file by its offset, and
//! the kernel puts it there for whoever runs the file next: had the file been written to in place
//! meanwhile (`cp new program`), the probe would stand in the middle of other code and end the
//! program. Programs that run cannot be written to, those that nobody runs can, and libraries at
//! any time. Replaced files (`mv`, package managers) are other files and no matter.
//!
//! A lease (`fcntl_locking(2)`) is granted on files of the agent's own user and, with
//! `CAP_LEASE`, on all, where the file system has leases. It ends with the agent.
#![expect(unsafe_code, reason = "fcntl(2) is called directly")]

use crate::discovery::files::regular;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// `asm-generic/fcntl.h`: which signal tells of a writer.
const F_SETSIG: libc::c_int = 10;

/// Nobody writes to a file before this is dropped.
pub struct Lease(File);

impl Lease {
    /// On the file at `path`.
    ///
    /// # Errors
    /// When the file is another user's, is being written to, or its file system has no leases.
    pub fn take(path: &Path) -> io::Result<Self> {
        let lease = Self(regular(path)?);
        // Writers are looked for, not told of by SIGIO, which would end the agent: this signal is
        // ignored unless somebody asks for it.
        lease.control(F_SETSIG, libc::SIGURG)?;
        lease.control(libc::F_SETLEASE, libc::F_RDLCK)?;
        Ok(lease)
    }

    /// Somebody waits to write. After some 45 seconds the kernel waits no longer.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !matches!(self.control(libc::F_GETLEASE, 0), Ok(libc::F_RDLCK))
    }

    fn control(&self, command: libc::c_int, argument: libc::c_int) -> io::Result<libc::c_int> {
        // SAFETY: the descriptor is open, and none of these commands takes a pointer.
        let answer = unsafe { libc::fcntl(self.0.as_raw_fd(), command, argument) };
        if answer < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::sync::mpsc::sync_channel;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_writer_waits() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.into_temp_path();
        let lease = Lease::take(&path).unwrap();
        drop(File::open(&path).unwrap());
        assert!(!lease.is_wanted(), "readers are no matter");
        let (sender, receiver) = sync_channel(1);
        let writer = thread::spawn({
            let path = path.to_owned();
            move || {
                let opened = OpenOptions::new().write(true).open(path);
                sender.send(opened.is_ok()).unwrap();
            }
        });
        while !lease.is_wanted() {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(receiver.try_recv().is_err(), "it is not open yet");
        drop(lease);
        assert!(receiver.recv().unwrap());
        writer.join().unwrap();
    }

    #[test]
    fn what_is_written_to_gives_no_lease() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Lease::take(file.path()).is_err());
        assert!(Lease::take(Path::new("/dev/null")).is_err());
    }
}
