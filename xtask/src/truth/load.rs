//! The client: the requests of a plan over so many kept connections at once, or that many at once over a few
//! that they share. Only statuses are looked at. Connections that the server closes are opened anew.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};

use super::plan::Plan;
use super::shared;

/// The longest that one answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How often a request is sent again that found its kept connection closed.
const TRIES: usize = 3;
/// Failures that are told; the others are counted.
const TOLD: usize = 3;

/// Connections that requests share.
const SHARED: usize = 2;

/// What requests go over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Over {
    /// Connections of HTTP/1, each of one request at a time.
    #[default]
    Kept,
    /// Connections of HTTP/2 in the clear, for such requests.
    Shared(shared::Request),
}

/// Sends all requests of a plan from `many` threads.
///
/// # Errors
/// When any was not answered with 200.
pub(super) fn send(port: u16, over: Over, plan: &Plan, many: usize) -> Result<()> {
    let next = AtomicUsize::new(0);
    let many = many.max(1);
    let connections = match over {
        Over::Kept => Vec::new(),
        Over::Shared(request) => (0..many.min(SHARED))
            .map(|_| shared::Connection::open(port, request))
            .collect::<io::Result<_>>()?,
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..many)
            .map(|number| {
                let (next, shared) = (&next, connections.get(number % SHARED));
                scope.spawn(move || worker(port, plan, next, shared))
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_default())
            .collect()
    });
    if failures.is_empty() {
        return Ok(());
    }
    let told: Vec<&str> = failures.iter().take(TOLD).map(String::as_str).collect();
    bail!(
        "{} of {} requests failed: {}",
        failures.len(),
        plan.count,
        told.join("; ")
    )
}

fn worker(
    port: u16,
    plan: &Plan,
    next: &AtomicUsize,
    shared: Option<&shared::Connection>,
) -> Vec<String> {
    let mut failures = Vec::new();
    let mut kept = None;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.count {
            return failures;
        }
        let path = plan.path(number);
        let answer = match shared {
            Some(connection) => connection.ask(&path),
            None => ask(port, &path, &mut kept),
        };
        match answer {
            Ok(200) => {}
            Ok(status) => failures.push(format!("{path}: {status}")),
            Err(error) => failures.push(format!("{path}: {error}")),
        }
    }
}

fn ask(port: u16, path: &str, kept: &mut Option<Connection>) -> io::Result<u16> {
    let mut last = None;
    for _ in 0..TRIES {
        let old = kept.take();
        let fresh = old.is_none();
        let mut connection = old.map_or_else(|| Connection::open(port), Ok)?;
        match connection.get(port, path) {
            Ok(status) => {
                *kept = connection.open.then_some(connection);
                return Ok(status);
            }
            // the server closed it before it saw the request
            Err(error) if !fresh && !connection.answering => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::NotConnected.into()))
}

struct Connection {
    reader: BufReader<TcpStream>,
    /// The server keeps it open.
    open: bool,
    /// The answer has begun.
    answering: bool,
}

impl Connection {
    fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            reader: BufReader::new(stream),
            open: true,
            answering: false,
        })
    }

    fn get(&mut self, port: u16, path: &str) -> io::Result<u16> {
        self.answering = false;
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        self.reader.get_mut().write_all(head.as_bytes())?;
        let first = self.line()?;
        self.answering = true;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {first:?}")))?;
        self.open = first.starts_with("HTTP/1.1");
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
        match (chunked, length) {
            (true, _) => while self.chunk()? {},
            (false, Some(length)) => self.skip(length)?,
            (false, None) => {
                self.open = false;
                io::copy(&mut self.reader, &mut io::sink())?;
            }
        }
        Ok(status)
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
        let size = u64::from_str_radix(size.split(';').next().unwrap_or_default(), 16)
            .map_err(|error| io::Error::other(format!("chunk {size:?}: {error}")))?;
        self.skip(size)?;
        self.line()?;
        Ok(size > 0)
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let read = io::copy(&mut self.reader.by_ref().take(length), &mut io::sink())?;
        if read < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}
