//! The client over HTTP/2 in the clear: many requests at once share a few connections, of which both ends
//! begin at once (prior knowledge). As little of RFC 9113 as that takes: fields are sent as they are, answers
//! are small.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::load::PATIENCE;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// GET, without a body.
    Get,
    /// A call of gRPC, with an empty message.
    Call,
}

/// Types and flags of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `:status: 200`, as RFC 7541 numbers it: every server sends it so.
const OK: u8 = 0x88;
/// A message of gRPC that is empty: not compressed, no bytes.
const MESSAGE: [u8; 5] = [0; 5];

/// How a stream ended.
type Outcome = Result<u16, String>;

/// Requests that wait, and the next one's stream.
struct Open {
    writer: TcpStream,
    next: u32,
    waiting: HashMap<u32, SyncSender<Outcome>>,
    /// Why no more come.
    over: Option<String>,
}

/// One connection.
pub(super) struct Connection {
    open: Arc<Mutex<Open>>,
    request: Request,
}

impl Connection {
    /// Connects, and reads answers until the other end is gone.
    ///
    /// # Errors
    /// When nobody listens.
    pub(super) fn open(port: u16, request: Request) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let reader = stream.try_clone()?;
        let mut writer = stream;
        writer.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())?;
        let open = Arc::new(Mutex::new(Open {
            writer,
            next: 1,
            waiting: HashMap::new(),
            over: None,
        }));
        let answers = Arc::clone(&open);
        std::thread::spawn(move || {
            let why = match listen(reader, request, &answers) {
                Ok(()) => "the connection ended".to_owned(),
                Err(error) => error.to_string(),
            };
            end(&answers, &why);
        });
        Ok(Self { open, request })
    }

    /// Asks for `path`, and waits for the answer's status; other requests may share the connection meanwhile.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn ask(&self, path: &str) -> io::Result<u16> {
        let answer = self.send(path)?;
        match answer.recv_timeout(PATIENCE) {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(why)) => Err(io::Error::other(why)),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn send(&self, path: &str) -> io::Result<Receiver<Outcome>> {
        let mut open = lock(&self.open);
        if let Some(why) = &open.over {
            return Err(io::Error::other(why.clone()));
        }
        let stream = open.next;
        open.next += 2;
        let (sender, receiver) = sync_channel(1);
        open.waiting.insert(stream, sender);
        open.writer.write_all(&ask(stream, self.request, path))?;
        Ok(receiver)
    }
}

impl Drop for Connection {
    /// Ends the thread that reads, too.
    fn drop(&mut self) {
        let _ = lock(&self.open).writer.shutdown(std::net::Shutdown::Both);
    }
}

fn lock(open: &Mutex<Open>) -> std::sync::MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody is answered any more.
fn end(open: &Mutex<Open>, why: &str) {
    let mut open = lock(open);
    open.over = Some(why.to_owned());
    for (_, waits) in open.waiting.drain() {
        let _ = waits.send(Err(why.to_owned()));
    }
}

/// The frames of a request.
fn ask(stream: u32, request: Request, path: &str) -> Vec<u8> {
    let (method, more): (u8, &[(&str, &str)]) = match request {
        Request::Get => (0x82, &[]),
        Request::Call => (
            0x83,
            &[("content-type", "application/grpc"), ("te", "trailers")],
        ),
    };
    // `:method` and `:scheme: http` by their numbers, `:path` and `:authority` by those of their names
    let mut block = vec![method, 0x86, 0x04];
    put(&mut block, path);
    block.push(0x01);
    put(&mut block, "127.0.0.1");
    for (name, value) in more {
        block.push(0x00);
        put(&mut block, name);
        put(&mut block, value);
    }
    match request {
        Request::Get => frame(HEADERS, END_HEADERS | END_STREAM, stream, &block),
        Request::Call => {
            let data = frame(DATA, END_STREAM, stream, &MESSAGE);
            [frame(HEADERS, END_HEADERS, stream, &block), data].concat()
        }
    }
}

/// A text of at most 126 bytes, as it is.
fn put(block: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(126)];
    block.push(u8::try_from(text.len()).unwrap_or_default());
    block.extend_from_slice(text);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len())
        .unwrap_or_default()
        .to_be_bytes();
    let head = [len[1], len[2], len[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// Reads frames to the end.
fn listen(mut reader: TcpStream, request: Request, open: &Mutex<Open>) -> io::Result<()> {
    let mut statuses: HashMap<u32, u16> = HashMap::new();
    loop {
        let mut head = [0; 9];
        reader.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        reader.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes(stream);
        match kind {
            SETTINGS if flags & ACK == 0 => answer(open, &frame(SETTINGS, ACK, 0, &[]))?,
            PING if flags & ACK == 0 => answer(open, &frame(PING, ACK, 0, &payload))?,
            GO_AWAY => return Err(io::Error::other("the server goes away")),
            HEADERS => {
                // A call that failed ends with its head.
                let failed = request == Request::Call && flags & END_STREAM != 0;
                let ok = payload.first() == Some(&OK) && !failed;
                statuses.entry(stream).or_insert(if ok { 200 } else { 0 });
            }
            _ => {}
        }
        if kind == RESET {
            finish(open, stream, Err("the server reset it".to_owned()));
        } else if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            finish(open, stream, Ok(statuses.remove(&stream).unwrap_or(0)));
        }
    }
}

fn answer(open: &Mutex<Open>, bytes: &[u8]) -> io::Result<()> {
    lock(open).writer.write_all(bytes)
}

fn finish(open: &Mutex<Open>, stream: u32, outcome: Outcome) {
    let waits = lock(open).waiting.remove(&stream);
    if let Some(waits) = waits {
        let _ = waits.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn requests_are_frames() {
        let get = ask(3, Request::Get, "/a");
        let want = [
            &[
                0, 0, 17, 1, 5, 0, 0, 0, 3, 0x82, 0x86, 4, 2, b'/', b'a', 1, 9,
            ][..],
            b"127.0.0.1",
        ];
        assert_eq!(get, want.concat());
        let call = ask(5, Request::Call, "/a/b");
        assert!(call.ends_with(&[0, 0, 5, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0]));
    }

    /// The server answers what it has read with these bytes. What becomes of the request?
    fn check(request: Request, answer: &[u8], want: Result<u16, ()>) -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let connection = Connection::open(listener.local_addr()?.port(), request)?;
        let (mut server, _) = listener.accept()?;
        let asked = connection.send("/a")?;
        server.write_all(answer)?;
        // Not closed: what it has not read would reset the connection.
        server.shutdown(std::net::Shutdown::Write)?;
        let outcome = asked.recv().map_err(io::Error::other)?.map_err(|_| ());
        assert_eq!(outcome, want, "{answer:?}");
        Ok(())
    }

    #[test]
    fn statuses_come_with_the_end_of_their_streams() -> io::Result<()> {
        let settings = frame(SETTINGS, 0, 0, &[]);
        let head = |flags| frame(HEADERS, END_HEADERS | flags, 1, &[OK]);
        let body = frame(DATA, END_STREAM, 1, b"done");
        let get = |answer: &[u8], want| check(Request::Get, answer, want);
        get(&[settings, head(0), body].concat(), Ok(200))?;
        get(&head(END_STREAM), Ok(200))?;
        let missing = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x8d]);
        get(&missing, Ok(0))?;
        get(&frame(RESET, 0, 1, &[0; 4]), Err(()))?;
        get(&frame(GO_AWAY, 0, 0, &[0; 8]), Err(()))?;
        get(&head(0), Err(()))?;
        let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x40]);
        check(Request::Call, &[head(0), trailers].concat(), Ok(200))?;
        check(Request::Call, &head(END_STREAM), Ok(0))
    }
}
