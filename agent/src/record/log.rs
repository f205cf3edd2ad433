//! The record log: what `weft record` writes and `weft replay` reads.
//!
//! Everything that enters the pipeline, in order, so that a replay gives the same traces on any
//! machine: the records as the kernel side wrote them, the identities of processes, the clock.
//! Layout: 8 bytes of magic, 4 of record layout, then frames of a kind (1 byte), a length (4
//! bytes, little endian) and as many bytes. The file may come from anywhere: lengths are bounded
//! and a cut file ends at its last whole frame.

use super::Nanos;
use super::decode::TIME;
use agent_common::record::{CHUNK_BYTES, LAYOUT};
use std::io::{self, Read, Write};

const MAGIC: &[u8; 8] = b"weftlog\n";
/// Longest frame: a service's JSON is the longest, records are bounded by a chunk.
const FRAME: usize = CHUNK_BYTES + 256 * 1024;

const RECORD: u8 = 1;
const SERVICE: u8 = 2;
const CLOCK: u8 = 3;
const TICK: u8 = 4;
const UNWATCHED: u8 = 5;
const LOST: u8 = 6;

/// One frame of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Bytes of a record, for [`super::decode::decode`].
    Record(&'a [u8]),
    /// A process's identity: its tgid and its service as JSON.
    Service(u32, &'a [u8]),
    /// Wall time minus monotonic time, ns.
    Clock(i64),
    /// Time went on.
    Tick(Nanos),
    /// A process is not watched after all: its tgid.
    Unwatched(u32),
    /// Records were lost before this time.
    Lost(Nanos),
}

/// Writes a log.
pub struct Writer<W: Write>(W);

impl<W: Write> Writer<W> {
    /// Starts a log.
    ///
    /// # Errors
    /// When the head cannot be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&LAYOUT.to_le_bytes())?;
        Ok(Self(out))
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        match frame {
            Frame::Record(bytes) => self.frame(RECORD, &[bytes]),
            Frame::Service(tgid, json) => self.frame(SERVICE, &[&tgid.to_le_bytes(), json]),
            Frame::Clock(offset) => self.frame(CLOCK, &[&offset.to_le_bytes()]),
            Frame::Tick(now) => self.frame(TICK, &[&now.to_le_bytes()]),
            Frame::Unwatched(tgid) => self.frame(UNWATCHED, &[&tgid.to_le_bytes()]),
            Frame::Lost(at) => self.frame(LOST, &[&at.to_le_bytes()]),
        }
    }

    fn frame(&mut self, kind: u8, parts: &[&[u8]]) -> io::Result<()> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > FRAME {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "frame too long",
            ));
        }
        self.0.write_all(&[kind])?;
        self.0.write_all(&(len as u32).to_le_bytes())?;
        parts.iter().try_for_each(|part| self.0.write_all(part))
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Some other file.
    #[error("this is no weft record log")]
    Magic,
    /// Of another build.
    #[error(
        "the log has record layout {found}, this weft reads {LAYOUT}\nhint: replay it with the version that recorded it"
    )]
    Layout {
        /// What the file says.
        found: u32,
    },
    /// A frame that cannot be.
    #[error("the log is damaged at byte {0}")]
    Damaged(u64),
}

/// Reads a log.
pub struct Reader<R: Read> {
    input: R,
    buffer: Vec<u8>,
    position: u64,
}

impl<R: Read> Reader<R> {
    /// Checks the head of a log.
    ///
    /// # Errors
    /// When it is no log of this layout.
    pub fn new(mut input: R) -> Result<Self, Error> {
        let mut head = [0; 12];
        input
            .read_exact(&mut head)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Error::Magic,
                _ => Error::Io(error),
            })?;
        if head[..8] != MAGIC[..] {
            return Err(Error::Magic);
        }
        let found = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if found != LAYOUT {
            return Err(Error::Layout { found });
        }
        Ok(Self {
            input,
            buffer: Vec::new(),
            position: 12,
        })
    }

    /// The next frame; `None` at the end, also when the last frame is cut.
    ///
    /// # Errors
    /// When reading fails or a frame cannot be.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Error> {
        let mut head = [0; 5];
        if !fill(&mut self.input, &mut head)? {
            return Ok(None);
        }
        let len = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if len > FRAME {
            return Err(Error::Damaged(self.position));
        }
        self.buffer.resize(len, 0);
        if !fill(&mut self.input, &mut self.buffer)? {
            return Ok(None);
        }
        let damaged = Error::Damaged(self.position);
        self.position += 5 + len as u64;
        let bytes = self.buffer.as_slice();
        let frame = match head[0] {
            RECORD => Frame::Record(bytes),
            SERVICE => match bytes.split_first_chunk::<4>() {
                Some((tgid, json)) => Frame::Service(u32::from_le_bytes(*tgid), json),
                None => return Err(damaged),
            },
            CLOCK => Frame::Clock(i64::from_le_bytes(bytes.try_into().map_err(|_| damaged)?)),
            TICK => match bytes.try_into().map(u64::from_le_bytes) {
                Ok(now) if now <= TIME => Frame::Tick(now),
                _ => return Err(damaged),
            },
            LOST => match bytes.try_into().map(u64::from_le_bytes) {
                Ok(at) => Frame::Lost(at),
                Err(_) => return Err(damaged),
            },
            UNWATCHED => match bytes.try_into().map(u32::from_le_bytes) {
                Ok(tgid) => Frame::Unwatched(tgid),
                Err(_) => return Err(damaged),
            },
            _ => return Err(damaged),
        };
        Ok(Some(frame))
    }
}

/// Fills `buffer`; false when the input ends before.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame<'static>> {
        vec![
            Frame::Clock(-5),
            Frame::Record(b"some record"),
            Frame::Service(42, b"{}"),
            Frame::Unwatched(43),
            Frame::Tick(99),
            Frame::Lost(7),
        ]
    }

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).unwrap();
        for frame in frames() {
            writer.write(&frame).unwrap();
        }
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = written();
        let mut reader = Reader::new(bytes.as_slice()).unwrap();
        for frame in frames() {
            assert_eq!(reader.next_frame().unwrap(), Some(frame));
        }
        assert_eq!(reader.next_frame().unwrap(), None);
    }

    #[test]
    fn any_prefix_and_any_flipped_byte_ends_cleanly() {
        let whole = written();
        let read = |bytes: &[u8]| {
            let Ok(mut reader) = Reader::new(bytes) else {
                return 0;
            };
            let mut count = 0;
            while let Ok(Some(_)) = reader.next_frame() {
                count += 1;
            }
            count
        };
        for end in 0..whole.len() {
            assert!(read(&whole[..end]) < frames().len());
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            assert!(read(&bytes) <= frames().len() * 2);
        }
    }

    #[test]
    fn another_layout_is_told() {
        let mut bytes = written();
        bytes[8] = 0xfe;
        assert!(matches!(
            Reader::new(bytes.as_slice()),
            Err(Error::Layout { found: 0xfe })
        ));
    }
}
