//! One HTTP request over a plain socket: the demo's own client, as simple as can be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

/// A service that does not answer by then is broken.
const LIMIT: Duration = Duration::from_secs(30);
/// The most of an answer that is read.
const LONGEST: u64 = 1 << 20;

/// Asks for a path and returns the status of the answer.
///
/// # Errors
/// When there is no answer, or one that is not HTTP.
pub(super) fn get(port: u16, path: &str) -> Result<u16> {
    let what = || format!("GET http://127.0.0.1:{port}{path}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).with_context(what)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    )
    .with_context(what)?;
    let mut answer = Vec::new();
    stream
        .take(LONGEST)
        .read_to_end(&mut answer)
        .with_context(what)?;
    status(&answer).with_context(|| format!("{}: the answer is not HTTP", what()))
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let text = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    text.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_status() {
        let check = |text: &str, want| assert_eq!(status(text.as_bytes()), want, "{text:?}");
        check("HTTP/1.1 200 OK\r\n\r\nx", Some(200));
        check("HTTP/1.0 500\r\n", Some(500));
        check("220 smtp\r\n", None);
        check("", None);
    }
}
