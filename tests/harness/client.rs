//! A small HTTP/1.1 client that notes when it asked and when it was answered.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An answer may take this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Path and query.
    pub target: String,
    /// Status of the answer.
    pub status: u16,
    /// Before the first byte was sent, wall clock in ns.
    pub start: u64,
    /// After the last byte was read, wall clock in ns.
    pub end: u64,
}

/// A connection.
pub struct Http {
    port: u16,
    reader: BufReader<TcpStream>,
    /// The server keeps the connection open.
    pub open: bool,
}

impl Http {
    /// Connects to a local port.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            port,
            reader: BufReader::new(stream),
            open: true,
        })
    }

    /// Sends a request without waiting for its answer. `headers` are whole lines.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn ask(&mut self, method: &str, target: &str, headers: &str) -> io::Result<()> {
        let port = self.port;
        let head = format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n");
        self.reader.get_mut().write_all(head.as_bytes())
    }

    /// Reads an answer to its end; answers its status.
    ///
    /// # Errors
    /// When the connection ends before the answer does, or it is no HTTP.
    pub fn answer(&mut self, method: &str) -> io::Result<u16> {
        let status = self.line()?;
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let code: u16 = code.ok_or_else(|| io::Error::other(format!("no status: {status:?}")))?;
        self.open = status.starts_with("HTTP/1.1");
        let (mut length, mut chunked) = (None, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            match (name, value.trim()) {
                ("content-length", value) => length = value.parse::<u64>().ok(),
                ("transfer-encoding", "chunked") => chunked = true,
                ("connection", "close") => self.open = false,
                _ => {}
            }
        }
        if method == "HEAD" || matches!(code, 204 | 304) {
            return Ok(code);
        }
        match (chunked, length) {
            (true, _) => while self.chunk()? {},
            (false, Some(length)) => self.skip(length)?,
            (false, None) => {
                self.open = false;
                io::copy(&mut self.reader, &mut io::sink())?;
            }
        }
        Ok(code)
    }

    /// One GET and its answer.
    ///
    /// # Errors
    /// When the connection ends before the answer does.
    pub fn get(&mut self, target: &str) -> io::Result<Sent> {
        let start = wall();
        self.ask("GET", target, "")?;
        let status = self.answer("GET")?;
        Ok(Sent {
            target: target.to_owned(),
            status,
            start,
            end: wall(),
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn chunk(&mut self) -> io::Result<bool> {
        let size = self.line()?;
        let size = u64::from_str_radix(size.split(';').next().unwrap_or(""), 16)
            .map_err(|error| io::Error::other(format!("chunk {size:?}: {error}")))?;
        self.skip(size)?;
        self.line()?;
        Ok(size > 0)
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let read = io::copy(&mut self.reader.by_ref().take(length), &mut io::sink())?;
        if read < length {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(())
        }
    }
}

/// Sends each target over a connection of its own.
///
/// # Panics
/// When one is not answered.
#[must_use]
pub fn anew(port: u16, targets: &[String]) -> Vec<Sent> {
    let one = |target: &String| {
        let start = wall();
        let mut sent = Http::connect(port)
            .and_then(|mut http| http.get(target))
            .expect(target);
        sent.start = start;
        sent
    };
    targets.iter().map(one).collect()
}

/// Sends all targets over one connection, or as many as the server insists on.
///
/// # Panics
/// When one is not answered.
#[must_use]
pub fn keep_alive(port: u16, targets: &[String]) -> Vec<Sent> {
    let mut http = Http::connect(port).expect("the service listens");
    let mut all = Vec::new();
    for target in targets {
        if !http.open {
            http = Http::connect(port).expect("the service listens");
        }
        all.push(http.get(target).expect(target));
    }
    all
}

/// Sends all targets from `threads` threads, each with a kept connection.
///
/// # Panics
/// When one is not answered.
#[must_use]
pub fn concurrently(port: u16, targets: &[String], threads: usize) -> Vec<Sent> {
    let share = targets.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let work = targets
            .chunks(share)
            .map(|part| scope.spawn(move || keep_alive(port, part)));
        let running: Vec<_> = work.collect();
        running
            .into_iter()
            .flat_map(|one| one.join().expect("a client ends well"))
            .collect()
    })
}

/// Sends all targets over one connection, `depth` at a time without waiting.
///
/// # Panics
/// When one is not answered.
#[must_use]
pub fn pipelined(port: u16, targets: &[String], depth: usize) -> Vec<Sent> {
    let mut http = Http::connect(port).expect("the service listens");
    let mut all = Vec::new();
    for group in targets.chunks(depth) {
        let start = wall();
        let line =
            |target: &String| format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        let bytes: String = group.iter().map(line).collect();
        http.reader
            .get_mut()
            .write_all(bytes.as_bytes())
            .expect("the connection is open");
        for target in group {
            let status = http.answer("GET").expect(target);
            all.push(Sent {
                target: target.clone(),
                status,
                start,
                end: wall(),
            });
        }
    }
    all
}

/// The wall clock, ns since 1970.
///
/// # Panics
/// Never in this century.
#[must_use]
pub fn wall() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    u64::try_from(since.as_nanos()).expect("64 bits reach far")
}
