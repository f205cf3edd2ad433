//! Recorded traffic of one connection as readable text.
//!
//! ```text
//! shows: one request and its answer
//! server: nginx/1.22.1
//! client: curl/7.88.1
//! command: curl -s http://127.0.0.1:8080/
//!
//! 0 > "GET / HTTP/1.1\r\n"
//! . > "\r\n"
//! 180 < "HTTP/1.1 200 OK\r\n"
//! . < "Content-Length: 5000\r\n\r\n"
//! . < gap 5000
//! 210 > close
//! ```
//!
//! `>` goes from client to server. The number is the time in microseconds since the first call;
//! `.` continues the call before. `gap` is a number of bytes that were moved and not kept.

use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Which way bytes go on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From client to server.
    Request,
    /// From server to client.
    Answer,
}

/// What a call moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Bytes that were seen.
    Bytes(Vec<u8>),
    /// So many that were not.
    Gap(u64),
    /// No more come this way.
    Close,
}

/// One call, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Microseconds since the first.
    pub at: u64,
    /// Which way.
    pub way: Way,
    /// What it moved.
    pub what: What,
}

/// The traffic of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Where it is from: key and value of each header line.
    pub provenance: Vec<(String, String)>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// Longest run of bytes on one line of a file.
const LONGEST_LINE: usize = 80;

/// Headers that every file must have.
const DEMANDED: [&str; 4] = ["shows", "server", "client", "command"];

impl Traffic {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no traffic", path.display()))
    }

    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<Self> {
        let (head, body) = text
            .split_once("\n\n")
            .context("no empty line behind the provenance")?;
        let mut traffic = Self::default();
        for line in head.lines() {
            let (key, value) = line
                .split_once(": ")
                .with_context(|| format!("`{line}` is no `key: value`"))?;
            traffic.provenance.push((key.to_owned(), value.to_owned()));
        }
        for key in DEMANDED {
            if !traffic.provenance.iter().any(|(found, _)| found == key) {
                bail!("the provenance does not say `{key}`");
            }
        }
        for line in body.lines() {
            traffic
                .line(line)
                .with_context(|| format!("in line `{line}`"))?;
        }
        Ok(traffic)
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let mut words = line.splitn(3, ' ');
        let (Some(at), Some(way), Some(what)) = (words.next(), words.next(), words.next()) else {
            bail!("fewer than three words");
        };
        let way = match way {
            ">" => Way::Request,
            "<" => Way::Answer,
            _ => bail!("neither `>` nor `<`"),
        };
        let what = if what == "close" {
            What::Close
        } else if let Some(missing) = what.strip_prefix("gap ") {
            What::Gap(missing.parse()?)
        } else {
            What::Bytes(unescape(what)?)
        };
        let before = self.events.last_mut();
        match (at, before) {
            (".", None) => bail!("nothing to continue"),
            (".", Some(before)) => {
                let at = before.at;
                match (&mut before.what, what) {
                    (What::Bytes(bytes), What::Bytes(more)) if before.way == way => {
                        bytes.extend(more);
                    }
                    (_, what) => self.events.push(Event { at, way, what }),
                }
            }
            (at, before) => {
                let at = at.parse()?;
                if before.is_some_and(|before| before.at > at) {
                    bail!("time runs backwards");
                }
                self.events.push(Event { at, way, what });
            }
        }
        Ok(())
    }

    /// The text of a file.
    #[must_use]
    pub fn print(&self) -> String {
        let mut out = String::new();
        for (key, value) in &self.provenance {
            let _ = writeln!(out, "{key}: {value}");
        }
        out.push('\n');
        let mut before = None;
        for event in &self.events {
            let way = match event.way {
                Way::Request => '>',
                Way::Answer => '<',
            };
            // A gap belongs to the call whose head was kept.
            let continues =
                matches!(event.what, What::Gap(_)) && before == Some((event.at, event.way));
            let mut at = if continues {
                ".".to_owned()
            } else {
                event.at.to_string()
            };
            before = Some((event.at, event.way));
            match &event.what {
                What::Close => {
                    let _ = writeln!(out, "{at} {way} close");
                }
                What::Gap(missing) => {
                    let _ = writeln!(out, "{at} {way} gap {missing}");
                }
                What::Bytes(bytes) => {
                    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
                    for line in lines.flat_map(|line| line.chunks(LONGEST_LINE)) {
                        let _ = writeln!(out, "{at} {way} \"{}\"", line.escape_ascii());
                        ".".clone_into(&mut at);
                    }
                }
            }
        }
        out
    }

    /// All files in a folder, sorted.
    pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)
            .with_context(|| format!("cannot list {}", folder.display()))?
        {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "traffic")
            {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

/// The folder of a protocol's traffic.
#[must_use]
pub fn folder(protocol: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("traffic")
        .join(protocol)
}

fn unescape(text: &str) -> Result<Vec<u8>> {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .context("bytes stand in double quotes")?;
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next().context("nothing behind a backslash")? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = [bytes.next(), bytes.next()].map(|digit| digit.unwrap_or(b'?'));
                u8::from_str_radix(std::str::from_utf8(&digits)?, 16)?
            }
            other @ (b'\\' | b'"' | b'\'') => other,
            other => bail!("unknown escape `\\{}`", char::from(other)),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() -> Result<()> {
        let event = |at, way, what| Event { at, way, what };
        let traffic = Traffic {
            provenance: DEMANDED
                .map(|key| (key.to_owned(), "x".to_owned()))
                .to_vec(),
            events: vec![
                event(
                    0,
                    Way::Request,
                    What::Bytes(b"a \"b\"\r\n\\\x00\xff'\n".to_vec()),
                ),
                event(0, Way::Request, What::Gap(7)),
                event(5, Way::Answer, What::Bytes(vec![b'x'; 200])),
                event(5, Way::Answer, What::Bytes(vec![b'y'; 3])),
                event(9, Way::Answer, What::Close),
            ],
        };
        assert_eq!(Traffic::parse(&traffic.print())?, traffic);
        Ok(())
    }

    #[test]
    fn faults_are_told() {
        let check = |body: &str, expected: &str| {
            let text = format!("shows: a\nserver: b\nclient: c\ncommand: d\n\n{body}\n");
            let told = Traffic::parse(&text).map_err(|error| format!("{error:#}"));
            assert_eq!(told, Err(format!("in line `{body}`: {expected}")));
        };
        check("0 >", "fewer than three words");
        check("0 = close", "neither `>` nor `<`");
        check(". > close", "nothing to continue");
        check("0 > x", "bytes stand in double quotes");
        check("0 > \"\\q\"", "unknown escape `\\q`");
    }
}
