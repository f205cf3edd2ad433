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
