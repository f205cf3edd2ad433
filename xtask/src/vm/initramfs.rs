//! An initramfs: files come in, the cpio archive that a kernel unpacks goes out ("newc": one
//! header of hexadecimal fields before each file, everything aligned to four bytes).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace;

/// File types and permissions.
const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;
/// The device numbers of the console.
const CONSOLE: (u32, u32) = (5, 1);
/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// An archive that is being written.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    inode: u32,
    /// Names of [`Archive::host_file`] and their folders, and of [`Archive::once`].
    placed: BTreeSet<PathBuf>,
}

impl Archive {
    /// Adds a folder; its parent must be there.
    pub(crate) fn directory(&mut self, name: &str) {
        self.entry(name, DIRECTORY, 0, (0, 0), &[]);
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, FILE, 0, (0, 0), content);
    }

    /// Adds a file that can be started.
    pub(crate) fn program(&mut self, name: &str, content: &[u8]) {
        self.entry(name, PROGRAM, 0, (0, 0), content);
    }

    /// Adds a file that can be started, if it was not added so before.
    pub(crate) fn once(&mut self, name: &str, content: &[u8]) {
        if self.placed.insert(PathBuf::from(name)) {
            self.program(name, content);
        }
    }

    /// Adds the console's device: the first process's input and output.
    pub(crate) fn console(&mut self, name: &str) {
        self.entry(name, CHARACTER_DEVICE, 0, CONSOLE, &[]);
    }

    /// The whole archive.
    fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, 0, (0, 0), &[]);
        self.bytes
    }

    /// Adds a file of this machine under its own path, once, with the folders above it. What a
    /// link points to comes in its place. Its time stays: interpreters compare it with that of
    /// what they compiled.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn host_file(&mut self, path: &Path) -> Result<()> {
        if self.placed.contains(path) {
            return Ok(());
        }
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        for dir in above {
            let name = dir.strip_prefix("/").unwrap_or(dir);
            if !name.as_os_str().is_empty() && self.placed.insert(dir.to_owned()) {
                self.directory(&name.to_string_lossy());
            }
        }
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let meta = fs::metadata(path)?;
        let name = path.strip_prefix("/").unwrap_or(path).to_string_lossy();
        let mode = if meta.permissions().mode() & 0o111 == 0 {
            FILE
        } else {
            PROGRAM
        };
        let time = u32::try_from(meta.mtime()).unwrap_or(0);
        self.entry(&name, mode, time, (0, 0), &content);
        self.placed.insert(path.to_owned());
        Ok(())
    }

    /// Writes the whole archive as `target/xtask/vm/NAME`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(self, name: &str) -> Result<PathBuf> {
        let path = workspace::kept().join("vm").join(name);
        fs::write(&path, self.finish())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn entry(&mut self, name: &str, mode: u32, time: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        let links = 1;
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        let (major, minor) = device;
        self.bytes.extend(b"070701");
        // inode, mode, uid, gid, links, time, size, device of the file system (2), own (2),
        // length of the name, checksum
        let fields = [
            self.inode, mode, 0, 0, links, time, size, 0, 0, major, minor, name_size, 0,
        ];
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_a_kernel_reads() {
        let mut archive = Archive::default();
        archive.directory("bin");
        archive.file("bin/a", b"hello");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let second = text.match_indices("070701").nth(1).map_or(0, |(at, _)| at);
        assert_eq!(second % 4, 0);
        // field 7 is the size, field 12 the length of the name with its end
        assert_eq!(&text[second + 6 + 6 * 8..second + 6 + 7 * 8], "00000005");
        assert_eq!(&text[second + 6 + 11 * 8..second + 6 + 12 * 8], "00000006");
        assert!(text.contains("bin/a\0hello\0\0\0"), "{text:?}");
        assert!(text.trim_end_matches('\0').ends_with(TRAILER));
    }
}
