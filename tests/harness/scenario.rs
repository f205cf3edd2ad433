//! Records made of arbitrary bytes, for fuzzing, random tests and benches.
//!
//! In: bytes of a fuzzer or a random generator. They decide about connections with one or both
//! ends watched, requests, answers, lost and late records, ends, identities and nonsense. Out:
//! frames, and properties that panic where they do not hold.

use crate::recording::{Owned, Run, options, run};
use agent_common::conn::{
    Address, FAMILY_INET, FAMILY_UNIX, RECEIVED, ROLE_CLIENT, ROLE_UNKNOWN, SENT, UNIX_PATH,
};
use agent_common::record as raw;
use weft::pipeline::Options;
use weft::protocol;
use weft::record::{Direction, Event, Nanos};
use weft::stream::Piece;
use weft::stream::table::{self, Table};
use weft::trace::assembly;
use zerocopy::IntoBytes;

/// Most frames that one input makes.
const MOST_FRAMES: usize = 2048;
/// Connections that are in use at once.
const SLOTS: usize = 8;
/// Parts of messages beside whole requests and answers.
const PIECES: [&[u8]; 8] = [
    b"GET /part HTTP/1.1\r\nHo",
    b"st: a\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\
      rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\x00\x00\x02\x13\x01\x01\x00\x00\x00",
    b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// A seeded source of bytes, so that every run of a test is the same.
pub struct Noise(u64);

impl Noise {
    /// The bytes of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// So many bytes.
    #[must_use]
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.number() >> 24) as u8).collect()
    }
}

/// One connection, seen from its client (end 0) and its server (end 1).
#[derive(Clone, Copy)]
struct Slot {
    /// Number of the connection, 0 when it is not open.
    number: u64,
    /// Which ends are watched.
    watched: [bool; 2],
    unix: bool,
    /// Bytes so far from the client and from the server.
    moved: [u64; 2],
    /// Tasks at the ends.
    tasks: [(u32, u32); 2],
}

/// Makes frames of choices.
struct Maker {
    frames: Vec<Owned>,
    /// Records that come later than others that were made after them.
    late: Vec<Owned>,
    slots: [Slot; SLOTS],
    connections: u64,
    requests: u64,
    now: Nanos,
}

/// The frames that `data` decides about.
#[must_use]
pub fn frames(data: &[u8]) -> Vec<Owned> {
    let closed = Slot {
        number: 0,
        watched: [true; 2],
        unix: false,
        moved: [0; 2],
        tasks: [(1, 1), (2, 2)],
    };
    let mut maker = Maker {
        frames: Vec::new(),
        late: Vec::new(),
        slots: [closed; SLOTS],
        connections: 0,
        requests: 0,
        now: 1_000_000_000,
    };
    for choice in data.chunks_exact(3) {
        if maker.frames.len() >= MOST_FRAMES {
            break;
        }
        maker.step(choice[0], choice[1], choice[2]);
    }
    maker.frames.append(&mut maker.late);
    maker.frames
}

impl Maker {
    fn step(&mut self, what: u8, which: u8, how: u8) {
        self.now += 1 + u64::from(how) * 1000;
        let slot = usize::from(which) % SLOTS;
        match what % 16 {
            0..=4 => {
                self.requests += 1;
                let carried = if how & 32 == 0 {
                    String::new()
                } else {
                    format!("traceparent: 00-{:032x}-{:016x}-01\r\n", how, self.requests)
                };
                let head = format!(
                    "GET /r{} HTTP/1.1\r\nHost: a\r\n{carried}\r\n",
                    self.requests
                );
                self.message(slot, 0, head.as_bytes(), how);
            }
            5..=9 => {
                let body = "x".repeat(usize::from(how) * 8);
                let status = [200, 404, 500, 204][usize::from(how) & 3];
                let body = if status == 204 { "" } else { &body };
                let len = body.len();
                let head = format!("HTTP/1.1 {status} A\r\nContent-Length: {len}\r\n\r\n{body}");
                self.message(slot, 1, head.as_bytes(), how);
            }
            10 => {
                let piece = PIECES[usize::from(how) % PIECES.len()];
                self.message(slot, usize::from(how >> 7), piece, how);
            }
            11 => self.close(slot, how),
            12 => {
                self.frames.append(&mut self.late);
                self.now += u64::from(how) * 20_000_000;
                self.frames.push(Owned::Tick(self.now));
            }
            13 => self.process(u32::from(which % 6), how),
            14 => self.nonsense(which, how),
            _ => self.frames.append(&mut self.late),
        }
    }

    fn open(&mut self, slot: usize, how: u8) {
        self.connections += 1;
        let task = |seed: u8| {
            let tgid = 1 + u32::from(seed % 4);
            (tgid, tgid * 100 + u32::from(seed >> 2) % 3)
        };
        let made = Slot {
            number: self.connections,
            watched: [how & 3 != 1, how & 3 != 2],
            unix: how & 12 == 12,
            moved: [0; 2],
            tasks: [task(how), task(how.rotate_left(3))],
        };
        self.slots[slot] = made;
        for end in [0, 1] {
            if made.watched[end] && how & 240 != 240 {
                self.opened(&made, end);
            }
        }
    }

    fn opened(&mut self, slot: &Slot, end: usize) {
        let address = |port: u64| {
            let mut address = Address {
                port: port as u16,
                ..Address::default()
            };
            address.ip[..4].copy_from_slice(&[127, 0, 0, 1]);
            address
        };
        let ends = [address(10_000 + slot.number), address(80)];
        let inodes = [slot.number * 2 + 1, slot.number * 2 + 2];
        let start = self.start(slot);
        let opened = raw::Opened {
            header: self.header(raw::OPENED, slot.tasks[end]),
            conn: id(slot, end),
            inode: inodes[end],
            peer_inode: inodes[1 - end],
            sent: start + slot.moved[end],
            received: start + slot.moved[1 - end],
            local: ends[end],
            remote: ends[1 - end],
            family: if slot.unix { FAMILY_UNIX } else { FAMILY_INET },
            role: if end == 0 { ROLE_CLIENT } else { ROLE_UNKNOWN },
            fresh: 1,
            netns: 1,
            path: [0; UNIX_PATH],
            path_len: 0,
        };
        self.frames.push(Owned::Record(opened.as_bytes().to_vec()));
    }

    fn start(&self, slot: &Slot) -> u64 {
        if slot.unix {
            0
        } else {
            (1 << 32) + slot.number * 1000
        }
    }

    /// `bytes` go from `from` to the other end, perhaps in two calls.
    fn message(&mut self, slot: usize, from: usize, bytes: &[u8], how: u8) {
        if self.slots[slot].number == 0 {
            self.open(slot, how.wrapping_mul(37));
        }
        let parts = if how & 16 == 0 {
            vec![bytes]
        } else {
            let (head, rest) = bytes.split_at(usize::from(how) % bytes.len().max(1));
            vec![head, rest]
        };
        for (number, part) in parts.into_iter().enumerate() {
            if part.is_empty() {
                continue;
            }
            let moved = self.slots[slot];
            self.slots[slot].moved[from] += part.len() as u64;
            for (end, direction) in [(from, SENT), (1 - from, RECEIVED)] {
                self.now += 500;
                let record = self.chunk(&moved, end, from, direction, part, how);
                let lot = how.wrapping_add(number as u8 * 85 + end as u8 * 41);
                match lot % 32 {
                    _ if !moved.watched[end] => {}
                    0 => {}
                    1..=3 => self.late.push(Owned::Record(record)),
                    _ => self.frames.push(Owned::Record(record)),
                }
            }
        }
    }

    fn chunk(
        &self,
        slot: &Slot,
        end: usize,
        from: usize,
        direction: u8,
        part: &[u8],
        how: u8,
    ) -> Vec<u8> {
        let kept = if how & 192 == 192 {
            part.len().min(64)
        } else {
            part.len()
        };
        let start = self.start(slot);
        let chunk = raw::Chunk {
            header: self.header(raw::CHUNK, slot.tasks[end]),
            conn: id(slot, end),
            offset: start + slot.moved[from],
            opposite: start + slot.moved[1 - from],
            fiber: u64::from(how & 3),
            len: part.len() as u32,
            captured: kept as u32,
            direction: u16::from(direction),
            flags: raw::CHUNK_SEQUENCED | (raw::CHUNK_FIBER * u16::from(how >> 2 & 1)),
            syscall: 0,
        };
        let mut bytes = chunk.as_bytes().to_vec();
        bytes.extend(&part[..kept]);
        bytes
    }

    fn close(&mut self, slot: usize, how: u8) {
        let slot = &mut self.slots[slot];
        let closed = *slot;
        let which = match how % 4 {
            0 => raw::END_SENT,
            1 => raw::END_RECEIVED,
            _ => raw::END_BOTH,
        };
        if which == raw::END_BOTH {
            slot.number = 0;
        }
        if closed.number == 0 {
            return;
        }
        let start = self.start(&closed);
        for end in [0, 1] {
            let ended = raw::Ended {
                header: self.header(raw::ENDED, (0, 0)),
                conn: id(&closed, end),
                sent: start + closed.moved[end],
                received: start + closed.moved[1 - end],
                which,
                unread: 0,
            };
            if closed.watched[end] && how & 240 != 240 {
                self.frames.push(Owned::Record(ended.as_bytes().to_vec()));
            }
        }
    }

    fn process(&mut self, tgid: u32, how: u8) {
        match how % 4 {
            0 => {
                let exited = raw::Exited {
                    header: self.header(raw::EXITED, (tgid, tgid)),
                };
                self.frames.push(Owned::Record(exited.as_bytes().to_vec()));
            }
            1 => {
                let spawned = raw::Spawned {
                    header: self.header(raw::SPAWNED, (tgid, tgid)),
                    child_tgid: u32::from(how % 6),
                    child_tid: u32::from(how % 6),
                };
                self.frames.push(Owned::Record(spawned.as_bytes().to_vec()));
            }
            2 if how == 2 => self.frames.push(Owned::Unwatched(tgid)),
            _ => {
                let runtime = ["node", "python", "go", "rust"][usize::from(how >> 2) & 3];
                let json = format!(
                    "{{\"name\":\"s{tgid}\",\"tgid\":{tgid},\"runtime\":\"{runtime}\",\"resource\":[]}}"
                );
                self.frames.push(Owned::Service(tgid, json.into_bytes()));
            }
        }
    }

    /// Damages the last record, or repeats one.
    fn nonsense(&mut self, which: u8, how: u8) {
        let Some(Owned::Record(last)) = self.frames.last() else {
            return;
        };
        let mut bytes = last.clone();
        let at = usize::from(which) % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = how;
        }
        self.frames.push(Owned::Record(bytes));
    }

    fn header(&self, kind: u32, (tgid, tid): (u32, u32)) -> raw::Header {
        raw::Header {
            at: self.now,
            tgid,
            tid,
            kind,
            size: 0,
        }
    }
}

fn id(slot: &Slot, end: usize) -> u64 {
    slot.number * 2 + end as u64
}

/// Small bounds, so that short inputs reach them.
#[must_use]
pub fn small() -> Options {
    Options {
        table: table::Limits {
            connections: 12,
            held: 4,
            held_bytes: 4096,
            patience: 100_000_000,
            haste: 100_000_000,
            idle: 10_000_000_000,
        },
        protocol: protocol::Limits {
            head: 4096,
            pending: 8,
        },
        assembly: assembly::Limits {
            nodes: 32,
            ..assembly::Limits::default()
        },
        ..options()
    }
}

/// The whole pipeline: sound traces, bounds kept, the same twice, and nothing left in the end.
///
/// # Panics
/// When a property does not hold.
pub fn check_pipeline(frames: &[Owned]) {
    for options in [small(), options()] {
        let first = run(frames, options.clone());
        bounded(&first, &options);
        assert_eq!(first, run(frames, options), "a second replay differs");
    }
}

fn bounded(run: &Run, options: &Options) {
    let nodes = options.assembly.nodes;
    for (name, most) in &run.most {
        let bound = match *name {
            "connections" => options.table.connections,
            "held_bytes" => options.table.held_bytes,
            "unnamed" => 4096,
            "due" | "held" | "order" => 2 * nodes + 66,
            // Bounded by the processes and threads of the input, which are few.
            "handlers" | "processes" => 2 * nodes + 1024,
            _ => nodes,
        };
        assert!(*most <= bound, "{name}: {most} of {bound}");
    }
    for (name, left) in &run.left {
        assert!(
            *left == 0 || *name == "order" && *left <= 64,
            "{name}: {left} left behind: {:?}",
            run.left
        );
    }
}

/// The table alone: what comes out of each direction is contiguous, no direction runs ahead of
/// what it answers, bounds are kept, and nothing comes behind the end.
///
/// # Panics
/// When a property does not hold.
pub fn check_table(frames: &[Owned]) {
    let limits = small().table;
    let mut table: Table<Seen> = Table::new(limits);
    for frame in frames {
        if let Owned::Tick(now) = frame {
            let mut each =
                |info: &std::sync::Arc<weft::record::Opened>, seen: &mut Seen, piece: Piece<'_>| {
                    seen.begin(info.offsets);
                    seen.piece(&piece);
                };
            table.tick(*now, &mut each);
            table.expire(*now, &mut each);
        }
        let Some(record) = frame.record() else {
            continue;
        };
        let (at, task) = (record.at, record.task);
        let mut each =
            |info: &std::sync::Arc<weft::record::Opened>, seen: &mut Seen, piece: Piece<'_>| {
                seen.begin(info.offsets);
                seen.piece(&piece);
            };
        match record.event {
            Event::Opened(info) => table.opened(at, task, *info, &mut each),
            Event::Chunk(chunk) => table.chunk(at, task, &chunk, &mut each),
            Event::Ended(ended) => table.ended(at, task, &ended, &mut each),
            Event::Exited => table.exited(at, task.tgid, &mut each),
            Event::Spawned(_)
            | Event::Executed { .. }
            | Event::Linked { .. }
            | Event::Handed { .. }
            | Event::Plain(_)
            | Event::Secured(_)
            | Event::Joined(_)
            | Event::Called(_)
            | Event::Returned(_)
            | Event::Stream(_)
            | Event::Left
            | Event::Allocates { .. }
            | Event::Over { .. } => {}
        }
        assert!(table.len() <= limits.connections);
        assert!(table.held_bytes() <= limits.held_bytes);
    }
    let mut each = |_: &_, seen: &mut Seen, piece: Piece<'_>| seen.piece(&piece);
    table.expire(u64::MAX, &mut each);
    assert_eq!((table.len(), table.held_bytes()), (0, 0));
}

/// What came out of one connection.
#[derive(Default)]
struct Seen {
    /// Offsets behind what came, by direction; unknown until the first piece.
    next: Option<[u64; 2]>,
    torn: bool,
    over: bool,
}

impl Seen {
    fn begin(&mut self, offsets: [u64; 2]) {
        self.next.get_or_insert(offsets);
    }

    fn piece(&mut self, piece: &Piece<'_>) {
        assert!(!self.over, "a piece behind the end: {piece:?}");
        match *piece {
            Piece::Bytes {
                direction,
                bytes,
                moment,
                opposite,
                ..
            } => {
                assert!(!bytes.is_empty(), "no bytes");
                self.ordered(direction, opposite);
                self.advance(direction, moment.offset, bytes.len() as u64);
            }
            Piece::Gap {
                direction,
                missing,
                moment,
            } => {
                assert!(missing > 0, "a gap of nothing");
                self.advance(direction, moment.offset, missing);
            }
            Piece::Torn { .. } => self.torn = true,
            Piece::End { .. } | Piece::Waiting { .. } => {}
            Piece::Forgotten { .. } => self.over = true,
        }
    }

    fn ordered(&self, direction: Direction, opposite: u64) {
        if let Some(next) = self.next {
            let came = next[direction.opposite().index()];
            assert!(
                self.torn || opposite <= came,
                "ran ahead of the other direction"
            );
        }
    }

    fn advance(&mut self, direction: Direction, offset: u64, len: u64) {
        let Some(next) = &mut self.next else { return };
        let next = &mut next[direction.index()];
        assert!(self.torn || offset == *next, "not contiguous");
        *next = offset + len;
    }
}
