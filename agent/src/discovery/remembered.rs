//! What was found out about files, as long as they are the same.
//!
//! In: a file's identity and its path now. Out: what was found out about it before, or anew. An
//! inode's number is given to another file once its own is gone, and a file may be written to in
//! place: so its size and the time of its last change must be those of before, or places of probes
//! would be those of another program.

use super::files::regular;
use super::mapping::FileId;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What files of the same identity differ in: seconds and nanoseconds of the last change, size.
type Stamp = [u64; 3];

/// What was found out about files.
pub struct Remembered<T> {
    files: HashMap<FileId, (Stamp, T)>,
    most: usize,
}

impl<T: Clone> Remembered<T> {
    /// Nothing yet; at most of so many files.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            files: HashMap::new(),
            most,
        }
    }

    /// What `look` finds, or found, in the file that is `id` and is at `path` now.
    ///
    /// # Errors
    /// When it cannot be opened, or is no regular file.
    pub fn look(
        &mut self,
        id: FileId,
        path: &Path,
        look: impl FnOnce(File) -> T,
    ) -> Result<T, String> {
        let shown = path.display();
        let file = regular(path).map_err(|error| format!("{shown}: {error}"))?;
        let status = file.metadata();
        let status = status.map_err(|error| format!("{shown}: {error}"))?;
        let [seconds, nanos] = [status.ctime(), status.ctime_nsec()].map(i64::cast_unsigned);
        let stamp = [seconds, nanos, status.size()];
        match self.files.get(&id) {
            Some((known, found)) if *known == stamp => return Ok(found.clone()),
            Some(_) => {}
            None if self.files.len() >= self.most => self.files.clear(),
            None => {}
        }
        let found = look(file);
        self.files.insert(id, (stamp, found.clone()));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn text(mut file: File) -> String {
        let mut text = String::new();
        file.read_to_string(&mut text).map(|_| text).unwrap()
    }

    #[test]
    fn a_file_is_looked_at_again_when_it_changed() {
        let mut remembered = Remembered::new(2);
        let id = |inode| FileId {
            device: (1, 2),
            inode,
        };
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"one").unwrap();
        let path = file.path().to_owned();
        assert_eq!(remembered.look(id(1), &path, text).unwrap(), "one");
        let again = remembered.look(id(1), &path, |_| panic!("it is known"));
        assert_eq!(again.unwrap(), "one");
        file.write_all(b" and two").unwrap();
        assert_eq!(remembered.look(id(1), &path, text).unwrap(), "one and two");
        // Another file of the same number.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "other").unwrap();
        assert_eq!(remembered.look(id(1), &path, text).unwrap(), "other");
        for number in 2..10 {
            remembered.look(id(number), &path, text).unwrap();
            assert!(remembered.files.len() <= 2);
        }
        assert!(
            remembered
                .look(id(1), Path::new("/dev/zero"), text)
                .is_err()
        );
    }
}
