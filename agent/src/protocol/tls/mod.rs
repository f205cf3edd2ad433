//! TLS as it crosses the wire: records, and the part of the handshake that is in the clear.
//!
//! In: bytes of a connection. Out: a [`Handshake`], reported as it becomes known, and when nothing
//! more is to be learnt the connection is opaque: ciphertext is not copied. Memory: the two hellos
//! until they are complete, bounded. Not here: plaintext, which never crosses the wire; SSL 2 and
//! its form of the hello, which nobody sends any more; DTLS and QUIC.
//!
//! A connection that is older than what is seen of it is known by a record of data at the start of
//! a call, and is opaque at once.

mod handshake;
mod hello;
mod names;

pub use handshake::{ClientHello, Failure, Handshake, ServerHello, Stage};

use super::exchange::{Moment, Report, Role};
use super::{Conversation, Limits, Progress, Protocol, Verdict};
use crate::record::Direction;

/// Bytes of a record's head: type, version, length.
const HEAD: usize = 5;
/// Bytes of a handshake message's head: type, length.
const MESSAGE: usize = 4;
/// Most bytes of a record that is not encrypted (RFC 8446, 5.1).
const PLAIN: u16 = 1 << 14;
/// Most bytes of one that is (RFC 5246, 6.2.3).
const ENCRYPTED: u16 = PLAIN + 2048;
/// Fewest bytes of an encrypted record: an authentication tag, and what it authenticates.
const TAGGED: u16 = 17;
/// Bytes of an encrypted alert in TLS 1.3: two, the type, a tag of 16. No message of a handshake
/// is as short.
const ENCRYPTED_ALERT: u16 = 19;

// Types of records.
const CHANGE_CIPHER: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

// Types of handshake messages.
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// From here on what follows the hellos is encrypted.
const TLS_1_3: u16 = 0x0304;

/// TLS.
pub struct Tls;

impl Protocol for Tls {
    fn name(&self) -> &'static str {
        "tls"
    }

    fn probe(&self, direction: Direction, bytes: &[u8]) -> Verdict {
        if is_data(bytes) {
            return Verdict::Opaque;
        }
        // The head of the record, that of the message, and the version in it.
        let fits = |at: usize, byte: u8| match at {
            0 => byte == HANDSHAKE || byte == DATA,
            1 | 9 => byte == 3,
            2 | 10 => byte <= 4,
            3 => u16::from(byte) <= ENCRYPTED >> 8,
            5 => byte == CLIENT_HELLO,
            6 => byte == 0,
            _ => true,
        };
        let hello = bytes.first() != Some(&DATA) || bytes.len() < HEAD;
        if !hello
            || !bytes
                .iter()
                .take(11)
                .enumerate()
                .all(|(at, byte)| fits(at, *byte))
        {
            return Verdict::No;
        }
        if bytes.len() < 11 {
            return Verdict::More;
        }
        Verdict::Yes(match direction {
            Direction::Received => Role::Server,
            Direction::Sent => Role::Client,
        })
    }

    fn open(&self, role: Role, limits: Limits) -> Box<dyn Conversation> {
        Box::new(Connection {
            role,
            limits,
            start: None,
            known: None,
            halves: [Half::default(), Half::default()],
        })
    }
}

/// A record of an application's data at the start of a call.
fn is_data(bytes: &[u8]) -> bool {
    let Some(&[DATA, 3, 1..=3, high, low]) = bytes.get(..HEAD) else {
        return false;
    };
    (TAGGED..=ENCRYPTED).contains(&u16::from_be_bytes([high, low]))
}

/// The record that a direction is in.
#[derive(Clone, Copy, Default)]
struct Record {
    kind: u8,
    len: u16,
    left: u16,
}

impl Record {
    /// From a head; `None` when it is none.
    fn parse(head: [u8; HEAD]) -> Option<Self> {
        let [kind @ CHANGE_CIPHER..=DATA, 3, 0..=4, high, low] = head else {
            return None;
        };
        let len = u16::from_be_bytes([high, low]);
        let empty = len == 0 && kind != DATA;
        (len <= ENCRYPTED && !empty).then_some(Self {
            kind,
            len,
            left: len,
        })
    }
}

/// One direction.
#[derive(Default)]
struct Half {
    record: Record,
    /// Bytes of the hello that is awaited, as far as they came.
    gathered: Vec<u8>,
    /// First byte of an alert.
    level: Option<u8>,
    /// Its hello is known, or will not be.
    greeted: bool,
    /// From here on handshake and alerts are encrypted (to TLS 1.2).
    encrypted: bool,
    /// It said that its handshake is over (to TLS 1.2).
    finished: bool,
}

/// One connection.
struct Connection {
    role: Role,
    limits: Limits,
    /// First byte of the client's hello.
    start: Option<Moment>,
    /// Since the client's hello.
    known: Option<Handshake>,
    /// Of the client, of the server.
    halves: [Half; 2],
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Connection {
    const fn half(&self, direction: Direction) -> usize {
        match (self.role, direction) {
            (Role::Server, Direction::Received) | (Role::Client, Direction::Sent) => CLIENT,
            _ => SERVER,
        }
    }

    fn is_over(&self) -> bool {
        self.known.as_ref().is_some_and(Handshake::is_over)
    }

    /// The version that is spoken, once it is known.
    fn version(&self) -> Option<u16> {
        Some(self.known.as_ref()?.server.as_ref()?.version)
    }

    fn reach(&mut self, stage: Stage, out: &mut Vec<Report>) {
        if let Some(known) = &mut self.known
            && !known.is_over()
        {
            known.stage = stage;
            out.push(Report::Secured(Box::new(known.clone())));
        }
    }

    /// A record begins at `moment`.
    fn begin(&mut self, half: usize, record: Record, moment: Moment, out: &mut Vec<Report>) {
        self.halves[half].record = record;
        if half == CLIENT {
            self.start.get_or_insert(moment);
        }
        let version = self.version();
        match (record.kind, version) {
            (CHANGE_CIPHER, Some(..TLS_1_3)) => self.halves[half].encrypted = true,
            (HANDSHAKE, Some(..TLS_1_3)) if self.halves[half].encrypted => {
                self.halves[half].finished = true;
                if self.halves.iter().all(|half| half.finished) {
                    self.reach(Stage::Established(moment), out);
                }
            }
            // What a server sends it sends behind its handshake; a client may be early.
            (DATA, Some(..TLS_1_3)) if half == SERVER => {
                self.reach(Stage::Established(moment), out);
            }
            (DATA, Some(TLS_1_3..)) if half == CLIENT => self.client_ends(record, moment, out),
            _ => {}
        }
    }

    /// The first encrypted record of a client behind the server's hello (TLS 1.3): the end of its
    /// handshake, or why there is none. What it sends early comes before in most cases, and never
    /// is an alert.
    fn client_ends(&mut self, record: Record, moment: Moment, out: &mut Vec<Report>) {
        let early = self
            .known
            .as_ref()
            .is_some_and(|known| known.client.early_data);
        if record.len == ENCRYPTED_ALERT && !early {
            self.reach(Stage::Failed(Failure::EncryptedAlert, moment), out);
        } else {
            self.reach(Stage::Established(moment), out);
        }
    }

    /// Content of the record that `half` is in, the last byte of it at `last`.
    fn content(
        &mut self,
        half: usize,
        bytes: &[u8],
        last: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        let taken = Progress::Took(bytes.len());
        let this = &mut self.halves[half];
        match this.record.kind {
            ALERT if this.record.len == 2 => {
                for byte in bytes {
                    match self.halves[half].level.take() {
                        Some(level) => self.alert(level, *byte, last, out),
                        None => self.halves[half].level = Some(*byte),
                    }
                }
                taken
            }
            HANDSHAKE if !this.greeted => {
                this.gathered.extend(bytes);
                self.messages(half, out).unwrap_or(taken)
            }
            _ => taken,
        }
    }

    /// What was gathered may be a whole hello. Answers what is to become of the connection where
    /// that is not to go on.
    fn messages(&mut self, half: usize, out: &mut Vec<Report>) -> Option<Progress> {
        let gathered = &self.halves[half].gathered;
        let &[kind, high, middle, low, ..] = gathered.as_slice() else {
            return None;
        };
        let len = u32::from_be_bytes([0, high, middle, low]) as usize;
        if kind != [CLIENT_HELLO, SERVER_HELLO][half] {
            return Some(Progress::Lost);
        }
        if len > self.limits.head {
            out.push(Report::Dropped("tls_hello_too_long"));
            return Some(Progress::Opaque);
        }
        let body = gathered.get(MESSAGE..MESSAGE + len)?;
        let offered = self
            .known
            .as_ref()
            .map_or(&[][..], |known| &known.client.session_id);
        let read = match half {
            CLIENT => hello::client(body).map(Hello::Client),
            _ => hello::server(body, offered).map(Hello::Server),
        };
        let Some(read) = read else {
            out.push(Report::Dropped("tls_hello_malformed"));
            return Some(Progress::Opaque);
        };
        self.halves[half].gathered = Vec::new();
        self.greet(half, read, out);
        None
    }

    fn greet(&mut self, half: usize, read: Hello, out: &mut Vec<Report>) {
        match (read, &mut self.known) {
            (Hello::Client(client), None) => {
                self.halves[half].greeted = true;
                self.known = Some(Handshake {
                    role: self.role,
                    start: self.start.unwrap_or_default(),
                    client,
                    server: None,
                    retried: false,
                    stage: Stage::Offered,
                });
                self.reach(Stage::Offered, out);
            }
            (Hello::Server(hello::Answer::Retry), Some(known)) => known.retried = true,
            (Hello::Server(hello::Answer::Hello(server)), Some(known)) => {
                self.halves[half].greeted = true;
                known.server = Some(server);
                self.reach(Stage::Chosen, out);
            }
            (Hello::Client(_) | Hello::Server(_), _) => {}
        }
    }

    /// An alert in the clear. Those of the lower level are told and the handshake goes on, but for
    /// the end of the connection.
    fn alert(&mut self, level: u8, number: u8, moment: Moment, out: &mut Vec<Report>) {
        const WARNING: u8 = 1;
        const CLOSE: u8 = 0;
        if level == WARNING && number != CLOSE && self.version() < Some(TLS_1_3) {
            return;
        }
        self.reach(Stage::Failed(Failure::Alert(number), moment), out);
    }
}

enum Hello {
    Client(ClientHello),
    Server(hello::Answer),
}

impl Conversation for Connection {
    fn feed(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        moment: Moment,
        last: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        if self.is_over() {
            return Progress::Opaque;
        }
        let half = self.half(direction);
        let left = self.halves[half].record.left;
        if left == 0 {
            let Some(head) = bytes.first_chunk::<HEAD>() else {
                return Progress::Want;
            };
            let Some(record) = Record::parse(*head) else {
                if half == SERVER && self.version().is_none() && self.known.is_some() {
                    self.reach(Stage::Failed(Failure::NotTls, moment), out);
                    return Progress::Opaque;
                }
                return Progress::Lost;
            };
            self.begin(half, record, moment, out);
            return Progress::Took(HEAD);
        }
        let taken = bytes.len().min(usize::from(left));
        let content = bytes.get(..taken).unwrap_or(bytes);
        let behind = Moment {
            offset: moment.offset.saturating_add(taken as u64).saturating_sub(1),
            ..last
        };
        self.halves[half].record.left = left.saturating_sub(taken as u16);
        self.content(half, content, behind, out)
    }

    fn gap(
        &mut self,
        direction: Direction,
        missing: u64,
        _moment: Moment,
        _out: &mut Vec<Report>,
    ) -> Progress {
        if self.is_over() {
            return Progress::Opaque;
        }
        let half = self.half(direction);
        let this = &mut self.halves[half];
        if !this.greeted && (this.record.left == 0 || this.record.kind == HANDSHAKE) {
            // A hello that was not seen: without the client's it cannot be told what this is.
            return if half == CLIENT {
                Progress::Lost
            } else {
                Progress::Opaque
            };
        }
        this.level = None;
        if this.record.left == 0 {
            // The next call begins with a record, most likely; else sync is lost there.
            return Progress::Took(usize::try_from(missing).unwrap_or(usize::MAX));
        }
        let bridged = u64::from(this.record.left).min(missing);
        this.record.left -= bridged as u16;
        Progress::Took(bridged as usize)
    }

    fn end(&mut self, _direction: Direction, moment: Moment, out: &mut Vec<Report>) {
        self.reach(Stage::Failed(Failure::Closed, moment), out);
    }

    fn abandon(&mut self, _moment: Moment, _out: &mut Vec<Report>) {}

    fn skippable(&self, direction: Direction) -> u64 {
        let half = &self.halves[self.half(direction)];
        let awaited = !half.greeted && half.record.kind == HANDSHAKE;
        let told = half.record.kind == ALERT;
        if awaited || told {
            0
        } else {
            u64::from(half.record.left)
        }
    }

    fn at_boundary(&self, direction: Direction) -> bool {
        self.halves[self.half(direction)].record.left == 0
    }
}

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
