//! An initramfs: files come in, the cpio archive that a kernel unpacks goes out ("newc": one
//! header of hexadecimal fields before each file, everything aligned to four bytes).

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
pub(super) struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    /// Adds a folder; its parent must be there.
    pub(super) fn directory(&mut self, name: &str) {
        self.entry(name, DIRECTORY, (0, 0), &[]);
    }

    /// Adds a file.
    pub(super) fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, FILE, (0, 0), content);
    }

    /// Adds a file that can be started.
    pub(super) fn program(&mut self, name: &str, content: &[u8]) {
        self.entry(name, PROGRAM, (0, 0), content);
    }

    /// Adds the console's device: the first process's input and output.
    pub(super) fn console(&mut self, name: &str) {
        self.entry(name, CHARACTER_DEVICE, CONSOLE, &[]);
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        let links = 1;
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        let (major, minor) = device;
        self.bytes.extend(b"070701");
        // inode, mode, uid, gid, links, time, size, device of the file system (2), own (2),
        // length of the name, checksum
        let fields = [
            self.inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0,
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
