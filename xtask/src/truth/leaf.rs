//! The upstream that all services call: keep-alive HTTP/1.1, one thread a connection. How long an
//! answer takes depends on its path alone, so answers come out of order and the same in each run.
//! Each path that is asked for is printed: how many calls there were is not left to guessing.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// The longest usual delay, ms.
const LONGEST_MS: u64 = 20;
/// How long `/slow/` takes: longer than any service waits.
const SLOW: Duration = Duration::from_millis(400);
/// The longest line of a request's head, and the most lines, that are read.
const LONGEST_LINE: u64 = 16 * 1024;
const MOST_LINES: usize = 200;
/// Paths remembered as having failed once; far more than one run asks for.
const REMEMBERED: usize = 1 << 16;

/// Paths under `/flaky/` that have failed once.
type Failed = Arc<Mutex<HashSet<String>>>;

/// Serves at a local port until it is killed.
///
/// # Errors
/// When the port cannot be had.
pub(crate) fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .with_context(|| format!("cannot listen on port {port}"))?;
    println!("listening on {port}");
    let failed = Failed::default();
    for stream in listener.incoming().flatten() {
        let failed = Arc::clone(&failed);
        std::thread::spawn(move || connection(stream, &failed));
    }
    Ok(())
}

fn connection(stream: TcpStream, failed: &Failed) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(path) = request(&mut reader) {
        println!("{path}");
        std::thread::sleep(delay(&path));
        let status = status(&path, failed);
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"
        );
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The path of the next request; bodies are not expected.
fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let first = line(reader)?;
    for _ in 0..MOST_LINES {
        if line(reader)?.is_empty() {
            return first.split(' ').nth(1).map(str::to_owned);
        }
    }
    None
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    use std::io::Read;
    let mut line = String::new();
    let read = reader
        .by_ref()
        .take(LONGEST_LINE)
        .read_line(&mut line)
        .ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

fn delay(path: &str) -> Duration {
    if path.starts_with("/slow/") {
        return SLOW;
    }
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    Duration::from_millis(hasher.finish() % (LONGEST_MS + 1))
}

fn status(path: &str, failed: &Failed) -> &'static str {
    if !path.starts_with("/flaky/") {
        return "200 OK";
    }
    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.len() >= REMEMBERED {
        failed.clear();
    }
    if failed.insert(path.to_owned()) {
        "503 Service Unavailable"
    } else {
        "200 OK"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fails_once_for_each_flaky_path() {
        let failed = Failed::default();
        let check = |path, want: &str| assert!(status(path, &failed).starts_with(want), "{path}");
        check("/leaf/a/1", "200");
        check("/flaky/a/1", "503");
        check("/flaky/b/1", "503");
        check("/flaky/a/1", "200");
    }

    #[test]
    fn delays_depend_on_the_path_alone() {
        assert_eq!(delay("/leaf/a/1"), delay("/leaf/a/1"));
        assert_eq!(delay("/slow/a/1"), SLOW);
        let delays: HashSet<Duration> = (0..100).map(|n| delay(&format!("/leaf/{n}/1"))).collect();
        assert!(delays.len() > 5 && delays.iter().all(|delay| *delay < SLOW));
    }
}
