//! A service that takes its time, in the process of the test: the requests of who calls it overlap
//! for sure.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// How long each answer takes.
const DELAY: Duration = Duration::from_millis(5);

/// Starts it, for the rest of the test; answers its port.
///
/// # Panics
/// When the host has no port left.
#[must_use]
pub fn slow() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(&stream));
        }
    });
    port
}

/// Answers until the other side has enough.
fn answer(mut stream: &TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    loop {
        while !lines.next()?.ok()?.is_empty() {}
        thread::sleep(DELAY);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
            .ok()?;
    }
}
