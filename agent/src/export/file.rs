//! A file of traces: OTLP JSON, one request per line, bounded by rotation.
//!
//! In: works of the queue. Out: lines that the collector's OTLP JSON file receiver reads. Not
//! here: the JSON itself ([`super::otlp::json`]).

use crate::config::Invalid;
use crate::export::otlp::json;
use crate::export::{Delivery, Exporter, Failure, Work};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Exporter into a file.
pub struct JsonFile {
    out: Out,
}

enum Out {
    Stdout(io::Stdout),
    File(Rotating),
}

/// A file that is moved away when it is full; one old one is kept.
struct Rotating {
    path: PathBuf,
    file: File,
    written: u64,
    most: u64,
}

impl JsonFile {
    /// Appends to the file at `path`, `-` for standard output. At `most` bytes the file is moved
    /// to `PATH.1` and begun anew, so the disk holds twice that at most.
    pub fn open(path: &Path, most: u64) -> Result<Self, Invalid> {
        if path == Path::new("-") {
            let out = Out::Stdout(io::stdout());
            return Ok(Self { out });
        }
        let file = append(path).map_err(|error| {
            Invalid::new(
                format!("export.file.path = \"{}\"", path.display()),
                format!("the file cannot be opened: {error}"),
                "its folder must exist and be writable for the agent",
            )
        })?;
        let written = file.metadata().map_or(0, |metadata| metadata.len());
        let path = path.to_owned();
        Ok(Self {
            out: Out::File(Rotating {
                path,
                file,
                written,
                most,
            }),
        })
    }

    fn write(&mut self, work: &mut Work) -> Result<(), Failure> {
        let mut line = json::line(&work.batches).map_err(Failure::Final)?;
        line.push('\n');
        let written = match &mut self.out {
            Out::Stdout(out) => out.write_all(line.as_bytes()).and_then(|()| out.flush()),
            Out::File(file) => file.write(line.as_bytes()),
        };
        match (written, &self.out) {
            (Ok(()), _) => {
                work.delivered = work.len();
                Ok(())
            }
            (Err(error), Out::Stdout(_)) if error.kind() == ErrorKind::BrokenPipe => {
                Err(Failure::Closed)
            }
            // A full disk may be emptied: it is tried again, within the queue's bounds.
            (Err(error), Out::File(file)) => Err(Failure::Retry(format!(
                "{} cannot be written: {error}",
                file.path.display()
            ))),
            (Err(error), Out::Stdout(_)) => {
                Err(Failure::Final(format!("standard output: {error}")))
            }
        }
    }
}

impl Rotating {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.written > 0 && self.written.saturating_add(length) > self.most {
            self.rotate()?;
        }
        let result = self.file.write_all(line);
        if result.is_err() {
            // Half a line would spoil the next.
            let _ = self.file.set_len(self.written);
            return result;
        }
        self.written = self.written.saturating_add(length);
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        std::fs::rename(&self.path, old)?;
        self.file = append(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Exporter for JsonFile {
    fn name(&self) -> &'static str {
        "file"
    }

    fn export<'a>(&'a mut self, work: &'a mut Work) -> Delivery<'a> {
        Box::pin(async { self.write(work) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::Batch;
    use crate::metadata::{Runtime, Service};
    use crate::protocol::exchange::Role;
    use crate::span::{Span, SpanId, Status, TraceId};
    use std::sync::Arc;

    fn batch(spans: u8) -> Batch {
        let service = Arc::new(Service {
            name: "s".to_owned(),
            tgid: 1,
            runtime: Runtime::Native,
            resource: Vec::new(),
        });
        let span = |id| Span {
            trace: TraceId([1; 16]),
            id: SpanId([id; 8]),
            parent: None,
            state: None,
            sampled: true,
            role: Role::Server,
            name: "GET \n/".to_owned(),
            start: 0,
            end: 1,
            status: Status::Unset,
            attributes: Vec::new(),
            service: Arc::clone(&service),
        };
        (1..=spans).map(span).collect()
    }

    fn lines(path: &Path) -> usize {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for line in text.lines() {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(object.get("resourceSpans").is_some(), "{line}");
        }
        text.lines().count()
    }

    /// Writes as many batches; how many lines are in the file and in the old one.
    fn check(most: u64, batches: usize, expected: (usize, usize)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces.jsonl");
        for _ in 0..batches {
            // Opened anew each time: what is there is kept and counts.
            let mut file = JsonFile::open(&path, most).unwrap();
            let mut work = Work::new(vec![batch(2)]);
            file.write(&mut work).unwrap();
            assert_eq!((work.delivered, work.open()), (2, 0));
        }
        let found = (lines(&path), lines(&folder.path().join("traces.jsonl.1")));
        assert_eq!(found, expected, "{most} bytes, {batches} batches");
        assert!(std::fs::read_dir(folder.path()).unwrap().count() <= 2);
    }

    #[test]
    fn files_are_bounded() {
        check(1_000_000, 3, (3, 0));
        check(1, 1, (1, 0));
        check(1, 5, (1, 1));
        check(2_500, 5, (1, 2));
    }

    #[test]
    fn a_full_disk_is_worth_another_try() {
        // Every write to this device fails as on a full disk.
        let mut file = JsonFile::open(Path::new("/dev/full"), 1_000).unwrap();
        let failure = file.write(&mut Work::new(vec![batch(1)])).unwrap_err();
        assert!(matches!(failure, Failure::Retry(_)), "{failure}");
    }

    #[test]
    fn a_folder_that_is_not_there() {
        let invalid = JsonFile::open(Path::new("/nowhere/x"), 1).err().unwrap();
        assert_eq!(
            invalid.to_string(),
            "export.file.path = \"/nowhere/x\": the file cannot be opened: No such file or \
             directory (os error 2)\nhint: its folder must exist and be writable for the agent"
        );
    }
}
