//! Records that rustls seals and opens: which connection they cross, and what they carry.
//!
//! rustls is linked into programs, and what is called by name there is a cipher's way to seal or
//! open one record of one direction, by one key: an object whose records are numbered from 0. How a
//! message is laid out is the compiler's choice, so nothing is believed that is not confirmed: before
//! a record to be opened stands its head, with its length; a record that was sealed is as much longer
//! as its version of TLS makes it, and begins with room for its head.
//!
//! The connection of a key is found by sealed bytes themselves, 16 at least that no two records
//! share. Of what is opened: the thread has received them last, where a record begins or where the
//! call's bytes do. Of what was sealed: the first record of a key is what the thread sends next. Until
//! then bytes are reported as of the key, and joined when it is found. A key with other numbers than
//! its last ones is another one at its address.
//!
//! Not here: what records say. Handshakes, alerts and keys are told by their content type alone.

use agent_common::conn::{RECEIVED, SENT};
use agent_common::loss::Loss;
use agent_common::record::{JOINED, Joined, PLAIN_FRESH};
use agent_common::watch::RUSTLS;
use rules::rules::{Layout, layout};

use crate::emit::{emit, header, lost};
use crate::kernel::{read_user, task_id};
use crate::maps::{
    Moving, RECORD_WORDS, RECORDS_READ, RUSTLS_FRESH, RUSTLS_THREADS, RustlsThread, SESSION_FRESH,
    SESSION_KEY, SESSIONS, Session, TLS_KEYS, TlsKey,
};
use crate::probes::fiber::in_process;
use crate::probes::plain::{self, Moved};
use crate::probes::{socket_io, tls};

/// Bytes of a record's head.
const HEAD: u64 = 5;
/// Bytes of a record that are compared.
const COMPARED: u64 = 8 * RECORD_WORDS as u64;
/// What the shortest sealed record carries, its tag; and the longest (RFC 5246).
const SHORTEST: u64 = 16;
const LONGEST: u64 = 16 * 1024 + 2048;
/// Bytes of the nonce in a record of TLS 1.2 with GCM.
const NONCE: u64 = 8;
/// Content type of application data.
const APPLICATION_DATA: u64 = 0x17;
/// Buffers of a call that are looked through for a record.
const BUFFERS: u64 = 4;
/// Pieces of a message whose bytes are copied.
const PIECES: u64 = 8;
/// Marks the id of a connection where else the address of an object stands.
const OF_CONNECTION: u64 = 1 << 63;

/// How a record begins, or what stands where one was received.
type Words = [u64; RECORD_WORDS];

/// A connection on which bytes were moved.
pub struct Carrier {
    pub sk: u64,
    pub conn: u64,
    pub fd: u64,
}

/// A version of TLS, by what its records add.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The tag; with GCM a nonce, too.
    Tls12,
    /// The content type and the tag; padding behind.
    Tls13,
}

impl Version {
    /// May a record of `plain` bytes be `sealed` bytes long?
    #[inline(always)]
    fn fits(self, plain: u64, sealed: u64) -> bool {
        match self {
            Self::Tls12 => sealed == plain + NONCE + SHORTEST || sealed == plain + SHORTEST,
            Self::Tls13 => sealed == plain + 17,
        }
    }
}

/// The arguments of a call: `seal` or `open` of `object`.
pub struct Arguments {
    /// Stack pointer at its beginning.
    pub stack: u64,
    /// Where it writes what it answers.
    pub out: u64,
    pub object: u64,
    pub message: u64,
    pub seq: u64,
}

/// The `watch::*` bits of the current process, which calls rustls; `None` when it is not watched.
#[inline(always)]
pub fn watched() -> Option<u32> {
    tls::uses(RUSTLS)
}

#[inline(always)]
fn known_thread() -> Option<&'static mut RustlsThread> {
    let found = RUSTLS_THREADS.get_ptr_mut(task_id())?;
    // SAFETY: a live map value that only its own thread writes.
    Some(unsafe { &mut *found })
}

#[inline(always)]
fn thread() -> Option<&'static mut RustlsThread> {
    if let Some(known) = known_thread() {
        return Some(known);
    }
    let fresh = RUSTLS_FRESH.get_ptr(0)?;
    // SAFETY: a map value that nobody writes.
    let _ = RUSTLS_THREADS.insert(task_id(), unsafe { &*fresh }, 0);
    known_thread()
}

/// The current thread has moved bytes in `direction`. A function of its own, as there are many ways
/// through it.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn rustls_moved(direction: u64) -> u32 {
    let Some(moving) = Moving::of(direction) else {
        return 0;
    };
    let (call, len) = (&moving.call, moving.len);
    let carrier = Carrier {
        sk: moving.sk,
        conn: moving.conn,
        fd: call.args[0],
    };
    let done = if direction == u64::from(SENT) {
        sent(&carrier, socket_io::vector(call))
    } else {
        received(&carrier, socket_io::first_byte(call), len, layout(call.nr))
    };
    done.map_or(0, |()| 1)
}

/// The current thread has received `len` bytes at `address` on `carrier`, by a call whose buffers
/// are laid out as `layout`.
#[inline(always)]
fn received(carrier: &Carrier, address: u64, len: u32, layout: Layout) -> Option<()> {
    let thread = thread()?;
    thread.conn = 0;
    thread.at = 0;
    let len = u64::from(len);
    if address == 0 || len < COMPARED {
        return None;
    }
    thread.first = read_user(address)?;
    thread.sk = carrier.sk;
    thread.fd = carrier.fd;
    thread.at = address;
    // Of several buffers the first is known to have so much.
    let whole = matches!(layout, Layout::Buffer);
    thread.end = address.wrapping_add(if whole { len } else { COMPARED });
    remember(thread, address);
    thread.conn = carrier.conn;
    Some(())
}

/// The current thread has sent on `carrier` what stands in `buffers`: where they are listed, and how
/// many there are, or the only one and 0. If that is a record whose key waits for its connection,
/// that is it.
#[inline(always)]
fn sent(carrier: &Carrier, buffers: (u64, u64)) -> Option<()> {
    let thread = known_thread()?;
    if thread.made == 0 {
        return None;
    }
    let object = thread.made;
    thread.made = 0;
    let (list, count) = buffers;
    let mut i = 0;
    while i < BUFFERS {
        if i != 0 && i >= count {
            return None;
        }
        let base = if count == 0 {
            list
        } else {
            read_user(list.wrapping_add(i * 16))?
        };
        let bytes: [u64; 2] = read_user(base.wrapping_add(HEAD))?;
        if bytes[0] == thread.sealed[0] && bytes[1] == thread.sealed[1] {
            break;
        }
        i += 1;
    }
    if i == BUFFERS {
        return None;
    }
    let found = TLS_KEYS.get_ptr_mut(in_process(object))?;
    // SAFETY: a live map value; rustls lets one thread at a time use a key.
    bind(unsafe { &mut *found }, object, SENT as u16, carrier);
    Some(())
}

/// A record is to be opened: `fn decrypt(&mut self, InboundOpaqueMessage, seq)`.
#[inline(always)]
pub fn opens(call: &Arguments) -> Option<()> {
    let thread = thread()?;
    thread.stack = 0;
    let Some(record) = opaque_message(call.message) else {
        lost(Loss::Record);
        return None;
    };
    let here = is_received(thread, &record).unwrap_or(false);
    thread.proven = u64::from(here);
    thread.kind = u64::from(record.kind);
    thread.buffer = record.payload;
    thread.len = record.len;
    thread.out = call.out;
    thread.object = call.object;
    thread.seq = call.seq;
    thread.stack = call.stack;
    Some(())
}

/// A record, as it stands behind its head.
struct Record {
    kind: u8,
    payload: u64,
    len: u64,
}

/// A message to be opened: an address and a length, before or behind the rest.
#[inline(always)]
fn opaque_message(message: u64) -> Option<Record> {
    let words: [u64; 3] = read_user(message)?;
    match record(words[0], words[1]) {
        Some(record) => Some(record),
        None => record(words[1], words[2]),
    }
}

#[inline(always)]
fn record(payload: u64, len: u64) -> Option<Record> {
    if !(SHORTEST..=LONGEST).contains(&len) {
        return None;
    }
    // The record goes on behind its head: there are as many bytes.
    let (kind, told) = head(read_user(payload.wrapping_sub(HEAD))?)?;
    if told != len {
        return None;
    }
    Some(Record { kind, payload, len })
}

/// Content type and length of the record whose head is at the beginning of `word`.
#[inline(always)]
fn head(word: u64) -> Option<(u8, u64)> {
    let [kind, major, _, high, low, ..] = word.to_le_bytes();
    // change_cipher_spec, alert, handshake, application_data.
    if !(0x14..=0x17).contains(&kind) || major != 3 {
        return None;
    }
    Some((kind, u64::from(high) << 8 | u64::from(low)))
}

#[inline(always)]
fn same(one: &Words, other: &Words) -> bool {
    one[0] == other[0] && one[1] == other[1] && one[2] == other[2]
}

/// Is `record` of what `thread` has received last? rustls moves to the front of its buffer what it
/// has not opened yet, so beginnings are compared wherever they are. A record that began in an earlier
/// reading is known by the bytes of the last one, which stand where they were put.
#[inline(always)]
fn is_received(thread: &mut RustlsThread, record: &Record) -> Option<bool> {
    if thread.conn == 0 {
        return None;
    }
    let start = record.payload.wrapping_sub(HEAD);
    let end = record.payload.wrapping_add(record.len);
    let begins: Words = read_user(start)?;
    let mut i = 0;
    while i < RECORDS_READ {
        if same(&begins, &thread.heads[i]) {
            return Some(true);
        }
        i += 1;
    }
    let at = thread.at;
    if at <= start || at.wrapping_add(COMPARED) > end {
        return None;
    }
    let there: Words = read_user(at)?;
    if !same(&there, &thread.first) {
        return None;
    }
    thread.at = 0;
    remember(thread, end);
    Some(true)
}

/// Remembers how the records begin that `thread` has received from `place` on.
#[inline(always)]
fn remember(thread: &mut RustlsThread, place: u64) {
    let mut place = place;
    let mut i = 0;
    while i < RECORDS_READ {
        let mut begins = [0; RECORD_WORDS];
        if place.wrapping_add(COMPARED) <= thread.end {
            begins = read_user(place).unwrap_or(begins);
        }
        thread.heads[i] = begins;
        place = match head(begins[0]) {
            Some((_, len)) => place.wrapping_add(HEAD + len),
            None => u64::MAX / 2,
        };
        i += 1;
    }
}

/// The call that began at `stack` on the current thread returns.
#[inline(always)]
fn returned(stack: u64) -> Option<&'static mut RustlsThread> {
    let thread = known_thread()?;
    if thread.stack != stack {
        return None;
    }
    thread.stack = 0;
    Some(thread)
}

/// The call of [`opens`] that began at `stack` returns: the plain bytes stand where the record did.
#[inline(always)]
pub fn opened(stack: u64, version: Version, watch: u32) -> Option<()> {
    let thread = returned(stack)?;
    let Some(Plain { kind, address, len }) = plain_message(thread, version) else {
        lost(Loss::Record);
        return None;
    };
    let key = key(thread)?;
    if thread.proven != 0 {
        let carrier = Carrier {
            sk: thread.sk,
            conn: thread.conn,
            fd: thread.fd,
        };
        bind(key, thread.object, RECEIVED as u16, &carrier);
    }
    if kind != APPLICATION_DATA || len == 0 {
        return None;
    }
    let session = session_of(key, thread.object)?;
    let fiber = tls::fiber_of(session, RECEIVED as u16, watch);
    plain::moved(
        session,
        &Moved {
            direction: RECEIVED as u16,
            buffer: address,
            len: len as u32,
            fiber,
        },
    );
    Some(())
}

/// What a record carries.
struct Plain {
    kind: u64,
    address: u64,
    len: u64,
}

/// What `decrypt` answered: where the record was, or behind its nonce, and a length that fits.
#[inline(always)]
fn plain_message(thread: &RustlsThread, version: Version) -> Option<Plain> {
    let words: [u64; 4] = read_user(thread.out)?;
    let mut i = 0;
    while i < 3 {
        let (address, len) = (words[i], words[i + 1]);
        let skipped = address.wrapping_sub(thread.buffer);
        if len <= LONGEST && (skipped == 0 || skipped == NONCE) {
            return plain_record(thread, version, address, len);
        }
        i += 1;
    }
    None
}

#[inline(always)]
fn plain_record(thread: &RustlsThread, version: Version, address: u64, len: u64) -> Option<Plain> {
    let moved = address != thread.buffer;
    let kind = match version {
        Version::Tls12 if version.fits(len, thread.len) => {
            if moved && len + NONCE + SHORTEST != thread.len {
                return None;
            }
            thread.kind
        }
        // The content type follows, then padding.
        Version::Tls13 if !moved && len + 17 <= thread.len => {
            u64::from(read_user::<u8>(address.wrapping_add(len))?)
        }
        _ => return None,
    };
    Some(Plain { kind, address, len })
}

/// A record is to be sealed: `fn encrypt(&mut self, OutboundPlainMessage, seq)`.
#[inline(always)]
pub fn seals(call: &Arguments) -> Option<()> {
    let thread = thread()?;
    thread.stack = 0;
    let words: [u64; 5] = read_user(call.message)?;
    let (kind, [a, b, c, d]) = if let Some(kind) = content_type(words[4]) {
        (kind, [words[0], words[1], words[2], words[3]])
    } else if let Some(kind) = content_type(words[0]) {
        (kind, [words[1], words[2], words[3], words[4]])
    } else {
        lost(Loss::Record);
        return None;
    };
    thread.kind = kind;
    if a == 0 {
        // One piece: its address and length.
        thread.buffer = b;
        thread.len = c;
    } else {
        // A list, how many, from and to which byte.
        thread.buffer = 0;
        thread.pieces = a;
        thread.count = b;
        thread.start = c;
        thread.len = d.wrapping_sub(c);
    }
    thread.out = call.out;
    thread.object = call.object;
    thread.seq = call.seq;
    thread.stack = call.stack;
    Some(())
}

/// The content type in the word of a message that holds it and the version of TLS, each by its place
/// among rustls's: which of them comes first is the compiler's choice. No word can be read both ways.
#[inline(always)]
fn content_type(word: u64) -> Option<u64> {
    let is_version = |version: u64| version == 4 || version == 5;
    let kind = if is_version(word & 0xffff) {
        word >> 32 & 0xff
    } else if is_version(word >> 16 & 0xffff) {
        word & 0xff
    } else {
        return None;
    };
    // change_cipher_spec, alert, handshake, application_data.
    if kind > 3 { None } else { Some(kind + 0x14) }
}

/// The call of [`seals`] that began at `stack` returns.
#[inline(always)]
pub fn sealed(stack: u64, version: Version, watch: u32) -> Option<()> {
    let thread = returned(stack)?;
    let Some(made) = opaque_record(thread, version) else {
        lost(Loss::Record);
        return None;
    };
    let key = key(thread)?;
    // Of several the first is sent first.
    if key.conn == 0 && (thread.made != thread.object || thread.seq == 0) {
        thread.made = thread.object;
        thread.sealed = made;
    }
    if thread.kind != APPLICATION_DATA || thread.len == 0 {
        return None;
    }
    let session = session_of(key, thread.object)?;
    let fiber = tls::fiber_of(session, SENT as u16, watch);
    let mut moved = Moved {
        direction: SENT as u16,
        buffer: thread.buffer,
        len: thread.len as u32,
        fiber,
    };
    if thread.buffer != 0 {
        plain::moved(session, &moved);
        return None;
    }
    let (start, end) = (thread.start, thread.start.wrapping_add(thread.len));
    let mut passed = 0;
    let mut i = 0;
    while i < PIECES {
        if i >= thread.count || passed >= end {
            break;
        }
        let [address, len]: [u64; 2] = read_user(thread.pieces.wrapping_add(i * 16))?;
        let behind = passed + (len & 0xffff_ffff);
        let from = if start > passed { start } else { passed };
        let to = if end < behind { end } else { behind };
        if from < to {
            moved.buffer = address.wrapping_add(from - passed);
            moved.len = (to - from) as u32;
            plain::moved(session, &moved);
        }
        passed = behind;
        i += 1;
    }
    let from = if start > passed { start } else { passed };
    if from < end {
        moved.buffer = 0;
        moved.len = (end - from) as u32;
        plain::moved(session, &moved);
    }
    Some(())
}

/// The first sealed bytes of the record that `encrypt` answered: an address and a length that fits,
/// and there, before them, nothing yet where the head is to be.
#[inline(always)]
fn opaque_record(thread: &RustlsThread, version: Version) -> Option<[u64; 2]> {
    let words: [u64; 4] = read_user(thread.out)?;
    if thread.len > LONGEST {
        return None;
    }
    let mut i = 0;
    while i < 3 {
        let (address, len) = (words[i], words[i + 1]);
        if len >= HEAD && version.fits(thread.len, len - HEAD) {
            if let Some([0, 0, 0, 0, 0]) = read_user::<[u8; HEAD as usize]>(address) {
                return read_user(address.wrapping_add(HEAD));
            }
        }
        i += 1;
    }
    None
}

/// The key of the call that `thread` was in. One whose records were numbered otherwise is over.
#[inline(always)]
fn key(thread: &RustlsThread) -> Option<&'static mut TlsKey> {
    let place = in_process(thread.object);
    if let Some(found) = TLS_KEYS.get_ptr_mut(place) {
        // SAFETY: a live map value; rustls lets one thread at a time use a key.
        let known = unsafe { &mut *found };
        if thread.seq != 0 && known.next == thread.seq {
            known.next = thread.seq + 1;
            return Some(known);
        }
    }
    plain::over(thread.object);
    let fresh = thread.seq == 0;
    let made = TlsKey {
        conn: 0,
        sk: 0,
        next: thread.seq.wrapping_add(1),
        fd: 0,
        flags: if fresh { u32::from(SESSION_FRESH) } else { 0 },
    };
    let _ = TLS_KEYS.insert(place, made, 0);
    let found = TLS_KEYS.get_ptr_mut(place)?;
    // SAFETY: as above.
    Some(unsafe { &mut *found })
}

/// The session of the connection of `key`, the one at `object`; while that is not known the key's own.
#[inline(always)]
fn session_of(key: &mut TlsKey, object: u64) -> Option<&'static mut Session> {
    let fresh = key.flags as u16 & SESSION_FRESH;
    if key.conn == 0 {
        return plain::session_or(object, fresh | SESSION_KEY);
    }
    // Should the session be forgotten, the next one has no beginning.
    key.flags = 0;
    let session = plain::session_or(key.conn | OF_CONNECTION, fresh)?;
    plain::carried(session, key.conn, key.sk, u64::from(key.fd));
    Some(session)
}

/// The key at `object`, which moves bytes in `direction`, is one of `carrier`.
#[inline(always)]
fn bind(key: &mut TlsKey, object: u64, direction: u16, carrier: &Carrier) -> Option<()> {
    if key.conn == carrier.conn {
        return None;
    }
    key.conn = carrier.conn;
    key.sk = carrier.sk;
    key.fd = carrier.fd as u32;
    let place = in_process(object);
    // SAFETY: a map value read once.
    let own = *unsafe { SESSIONS.get(place) }?;
    let _ = SESSIONS.remove(place);
    if own.flags & SESSION_KEY == 0 {
        return None;
    }
    let session = session_of(key, object)?;
    let side = if direction == SENT as u16 { 0 } else { 1 };
    emit(&Joined {
        header: header(JOINED, size_of::<Joined>()),
        key: own.id,
        session: session.id,
        conn: carrier.conn,
        offset: session.next[side],
        opposite: session.next[1 - side],
        flags: if session.flags & SESSION_FRESH != 0 {
            u32::from(PLAIN_FRESH)
        } else {
            0
        },
        reserved: 0,
    });
    session.next[side] += own.next[side];
    Some(())
}
