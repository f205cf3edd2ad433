use super::*;
use crate::record::{Endpoint, Opened};
use crate::stream::Piece;
use crate::stream::table::Limits;
use agent_common::record::FIBER_EVENT;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const CARRIER: ConnId = ConnId(1);
const SESSION: ConnId = ConnId(2);
const TASK: Task = Task { tgid: 7, tid: 7 };
const NUMBER: [u8; 32] = [9; 32];

/// Layers over a table that hold one connection.
struct Fixture {
    layers: Layers,
    table: Table<()>,
    seen: Vec<String>,
    infos: Vec<Arc<Opened>>,
}

impl Fixture {
    fn new(fresh: bool) -> Self {
        let mut fixture = Self {
            layers: Layers::new(),
            table: Table::new(Limits::default()),
            seen: Vec::new(),
            infos: Vec::new(),
        };
        let end = |port| Endpoint::Inet(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let info = Opened {
            conn: CARRIER,
            at: 0,
            inode: 1,
            local: end(1),
            remote: end(2),
            client: true,
            fresh,
            plain: None,
            netns: 0,
            offsets: [500, 600],
            path: None,
        };
        fixture.table.opened(0, TASK, info, &mut |_, (), _| {});
        fixture
    }

    fn with<R>(
        &mut self,
        run: impl FnOnce(&mut Layers, &mut Table<()>, &mut Each<'_, ()>) -> R,
    ) -> R {
        let Self {
            layers,
            table,
            seen,
            infos,
        } = self;
        run(layers, table, &mut |info, (), piece| {
            infos.push(Arc::clone(info));
            seen.push(match piece {
                Piece::Bytes {
                    direction,
                    bytes,
                    moment,
                    ..
                } => {
                    let text = String::from_utf8_lossy(bytes);
                    format!("{direction:?} {text} by {}", moment.fiber)
                }
                Piece::Gap { missing, .. } => format!("gap {missing}"),
                Piece::End { direction, .. } => format!("end {direction:?}"),
                Piece::Forgotten { .. } => "forgotten".to_owned(),
                Piece::Waiting { .. } => "waiting".to_owned(),
                Piece::Torn { .. } => "torn".to_owned(),
            });
        })
    }

    fn plain(&mut self, carrier: Option<ConnId>, text: &'static str, how: How) -> Covered {
        self.plain_of(SESSION, carrier, text, how)
    }

    fn plain_of(
        &mut self,
        conn: ConnId,
        carrier: Option<ConnId>,
        text: &'static str,
        how: How,
    ) -> Covered {
        let plain = Plain {
            carrier,
            fresh: how.fresh,
            key: false,
            chunk: Chunk {
                conn,
                direction: how.direction,
                offset: how.offset,
                opposite: how.opposite,
                fiber: how.fiber,
                len: text.len() as u32,
                sequenced: false,
                unreadable: false,
                bytes: text.as_bytes(),
            },
        };
        self.with(|layers, table, each| layers.plain(10, TASK, &plain, table, each))
    }

    fn hello(&mut self, direction: Direction, fiber: u64) {
        self.hello_on(CARRIER, direction, fiber);
    }

    fn hello_on(&mut self, conn: ConnId, direction: Direction, fiber: u64) {
        self.layers.greeted(&Hello {
            conn,
            client: direction == Direction::Sent,
            task: TASK,
            fiber,
            random: NUMBER,
        });
    }

    fn raw(&mut self, conn: ConnId, direction: Direction, fiber: u64, bytes: &[u8]) {
        let chunk = Chunk {
            conn,
            direction,
            offset: 500,
            opposite: 600,
            fiber,
            len: bytes.len() as u32,
            sequenced: true,
            unreadable: false,
            bytes,
        };
        self.layers.carried(TASK, &chunk);
    }

    fn secured(&mut self, task: Task, random: [u8; 32]) -> Covered {
        let secured = Secured {
            session: SESSION,
            random,
        };
        self.with(|layers, table, each| layers.secured(5, task, &secured, table, each))
    }

    fn tick(&mut self, now: Nanos) {
        self.with(|layers, table, each| layers.tick(now, table, each));
    }
}

#[derive(Clone, Copy)]
struct How {
    direction: Direction,
    offset: u64,
    opposite: u64,
    fiber: u64,
    fresh: bool,
}

const FIRST: How = How {
    direction: Direction::Sent,
    offset: 0,
    opposite: 0,
    fiber: 0,
    fresh: true,
};

#[test]
fn a_session_is_a_connection_of_its_own_that_ends_with_its_carrier() {
    let mut fixture = Fixture::new(true);
    assert_eq!(fixture.plain(Some(CARRIER), "ask", FIRST), Some(CARRIER));
    let answer = How {
        direction: Direction::Received,
        opposite: 3,
        ..FIRST
    };
    assert_eq!(fixture.plain(Some(CARRIER), "answer", answer), None);
    let ended = Ended {
        conn: CARRIER,
        offsets: [900, 900],
        unread: 0,
        directions: [true; 2],
    };
    fixture.layers.ended(20, TASK, &ended);
    fixture.tick(20 + LINGER - 1);
    assert_eq!(fixture.seen, ["Sent ask by 0", "Received answer by 0"]);
    fixture.tick(20 + LINGER);
    assert_eq!(fixture.seen[2..], ["end Sent", "end Received", "forgotten"]);
    let info = &fixture.infos[0];
    assert_eq!((info.conn, info.fresh), (SESSION, true));
    let carrier = Carrier {
        conn: CARRIER,
        began: [500, 600],
    };
    assert_eq!((info.plain, info.offsets), (Some(carrier), [0, 0]));
    // What another CPU reports even later is of a session that is over.
    fixture.plain(Some(CARRIER), "late", FIRST);
    assert_eq!(
        fixture.layers.counts,
        Counts {
            bound: 1,
            unbound: 1
        }
    );
}

/// Bytes of a key, and what joins them to the session.
fn by_key(fixture: &mut Fixture, key: ConnId, texts: &[&'static str], how: How) -> Covered {
    let mut offset = 0;
    for text in texts {
        let plain = Plain {
            carrier: None,
            fresh: true,
            key: true,
            chunk: Chunk {
                conn: key,
                direction: how.direction,
                offset,
                opposite: 0,
                fiber: 0,
                len: text.len() as u32,
                sequenced: false,
                unreadable: false,
                bytes: text.as_bytes(),
            },
        };
        offset += text.len() as u64;
        let found = fixture.with(|layers, table, each| layers.plain(10, TASK, &plain, table, each));
        assert_eq!(found, None);
    }
    let joined = Joined {
        key,
        session: SESSION,
        carrier: CARRIER,
        offset: how.offset,
        opposite: how.opposite,
        fresh: how.fresh,
    };
    fixture.with(|layers, table, each| layers.joined(&joined, table, each))
}

#[test]
fn keys_are_parts_of_one_session() {
    let (one, other) = (ConnId(8), ConnId(9));
    let mut fixture = Fixture::new(true);
    let covered = by_key(&mut fixture, one, &["ask", "s"], FIRST);
    assert_eq!(covered, Some(CARRIER));
    let answer = How {
        direction: Direction::Received,
        opposite: 4,
        ..FIRST
    };
    assert_eq!(fixture.plain(Some(CARRIER), "answer", answer), None);
    // Other keys of the same direction.
    let next = How {
        offset: 4,
        opposite: 6,
        ..FIRST
    };
    assert_eq!(by_key(&mut fixture, other, &["more"], next), None);
    let expected = [
        "Sent ask by 0",
        "Sent s by 0",
        "Received answer by 0",
        "Sent more by 0",
    ];
    assert_eq!(fixture.seen, expected);
    let info = &fixture.infos[0];
    assert_eq!((info.conn, info.fresh), (SESSION, true));
    assert_eq!(fixture.layers.counts.unbound, 0);
    assert_eq!(fixture.layers.sizes()[2], ("plain_held_bytes", 0));
}

/// Whose connection is not found in time is given up, and what is told of it later is nothing.
#[test]
fn a_key_does_not_wait_for_ever() {
    let mut fixture = Fixture::new(true);
    let key = ConnId(8);
    let plain = Plain {
        carrier: None,
        fresh: true,
        key: true,
        chunk: Chunk {
            conn: key,
            direction: Direction::Sent,
            offset: 0,
            opposite: 0,
            fiber: 0,
            len: 3,
            sequenced: false,
            unreadable: false,
            bytes: b"ask",
        },
    };
    // Nor is it looked for by lengths.
    fixture.raw(CARRIER, Direction::Sent, 0, &[0; 3 + 22]);
    fixture.with(|layers, table, each| layers.plain(10, TASK, &plain, table, each));
    fixture.tick(10 + PATIENCE);
    assert_eq!(fixture.layers.counts.unbound, 1);
    assert_eq!(by_key(&mut fixture, key, &[], FIRST), None);
    assert!(fixture.seen.is_empty());
    assert_eq!(fixture.layers.sizes()[2], ("plain_held_bytes", 0));
}

#[test]
fn a_session_of_unknown_beginning_counts_for_itself() {
    let mut fixture = Fixture::new(false);
    fixture.plain(Some(CARRIER), "ask", FIRST);
    assert!(!fixture.infos[0].fresh);
}

#[test]
fn a_session_is_found_by_its_client_hello() {
    for (task, random, found) in [
        (TASK, NUMBER, Some(CARRIER)),
        (TASK, [8; 32], None),
        (Task { tgid: 8, tid: 8 }, NUMBER, None),
    ] {
        // Whichever comes first.
        let mut fixture = Fixture::new(true);
        fixture.hello(Direction::Sent, 0);
        assert_eq!(fixture.secured(task, random), None);
        assert_eq!(fixture.plain(None, "one", FIRST), found);
        let mut fixture = Fixture::new(true);
        fixture.hello(Direction::Received, 0);
        assert_eq!(fixture.plain(None, "one", FIRST), None);
        let next = How { offset: 3, ..FIRST };
        assert_eq!(fixture.plain(None, "two", next), None);
        assert!(fixture.seen.is_empty());
        assert_eq!(fixture.secured(task, random), found);
        let waited = ["Sent one by 0", "Sent two by 0"];
        assert_eq!(fixture.seen, waited[..if found.is_some() { 2 } else { 0 }]);
    }
}

/// A callback within a session's call may have moved the records of another one.
#[test]
fn a_client_hello_holds_against_system_calls() {
    let other = ConnId(4);
    let mut fixture = Fixture::new(true);
    let info = Opened {
        conn: other,
        ..Opened::clone(fixture.table.info(CARRIER).unwrap())
    };
    fixture.table.opened(0, TASK, info, &mut |_, (), _| {});
    fixture.hello(Direction::Received, 0);
    fixture.secured(TASK, NUMBER);
    assert_eq!(fixture.plain(Some(other), "one", FIRST), Some(CARRIER));
    // And who has none of its own takes nobody's connection.
    let third = ConnId(5);
    assert_eq!(fixture.plain_of(third, Some(CARRIER), "x", FIRST), None);
    assert_eq!(
        fixture.plain_of(third, Some(other), "x", FIRST),
        Some(other)
    );
}

/// What it gives follows the reading of 22 bytes more, three times after it was first heard of.
#[test]
fn an_old_session_is_found_by_lengths() {
    let mut fixture = Fixture::new(false);
    for (number, bound) in [None, None, None, Some(CARRIER)].into_iter().enumerate() {
        fixture.raw(CARRIER, Direction::Received, 0, &[23; 3 + 22]);
        let how = How {
            direction: Direction::Received,
            offset: 700 + 3 * number as u64,
            opposite: 900,
            fresh: false,
            ..FIRST
        };
        assert_eq!(fixture.plain(None, "ask", how), bound);
        // What was before is given up.
        if number == 0 {
            fixture.tick(10 + PATIENCE);
        }
    }
    let said = ["Received ask by 0"; 3];
    assert_eq!(fixture.seen, said);
    assert!(!fixture.infos[0].fresh);
    assert_eq!(
        fixture.layers.counts,
        Counts {
            bound: 1,
            unbound: 1
        }
    );
}

/// A process that asks itself has both ends, with the same ClientHello.
#[test]
fn both_ends_in_one_process_are_told_apart_or_not_at_all() {
    let other = ConnId(4);
    for (carrier, bound) in [
        (Some(CARRIER), Some(CARRIER)),
        (Some(other), Some(other)),
        (None, None),
    ] {
        let mut fixture = Fixture::new(true);
        let info = Opened {
            conn: other,
            ..Opened::clone(fixture.table.info(CARRIER).unwrap())
        };
        fixture.table.opened(0, TASK, info, &mut |_, (), _| {});
        fixture.hello(Direction::Sent, 0);
        fixture.hello_on(other, Direction::Received, 0);
        fixture.secured(TASK, NUMBER);
        assert_eq!(fixture.plain(carrier, "one", FIRST), bound);
    }
}

#[test]
fn what_is_never_bound_is_given_up() {
    let mut fixture = Fixture::new(true);
    for offset in 0..2 * HELD as u64 {
        fixture.plain(None, "x", How { offset, ..FIRST });
    }
    let held = fixture.layers.sizes()[2];
    assert_eq!(held, ("plain_held_bytes", HELD));
    fixture.tick(10 + PATIENCE);
    assert_eq!(fixture.layers.sizes()[2].1, 0);
    assert_eq!(fixture.layers.counts.unbound, 2 * HELD as u64);
    fixture.hello(Direction::Sent, 0);
    assert_eq!(fixture.secured(TASK, NUMBER), None);
    fixture.layers.expire(0, &fixture.table);
    assert_eq!(fixture.layers.sizes()[0].1, 0);
}

#[test]
fn another_session_of_a_connection_ends_the_one_before() {
    let mut fixture = Fixture::new(true);
    fixture.plain(Some(CARRIER), "one", FIRST);
    let secured = Secured {
        session: ConnId(3),
        random: NUMBER,
    };
    fixture.hello(Direction::Sent, 0);
    fixture.with(|layers, table, each| layers.secured(9, TASK, &secured, table, each));
    let id = ConnId(3);
    fixture.plain_of(id, None, "two", FIRST);
    let ends = ["end Sent", "end Received", "forgotten", "Sent two by 0"];
    assert_eq!(fixture.seen[1..], ends);
}

#[test]
fn whoever_connected_speaks_first_behind_the_handshake() {
    let asker = FIBER_EVENT | 5;
    let event = FIBER_EVENT | FIBER_ANSWER | 6;
    let other = FIBER_EVENT | FIBER_ANSWER | 7;
    for (direction, fiber, opposite, speaker) in [
        (Direction::Sent, event, 0, asker),
        (Direction::Sent, other, 0, other),
        (Direction::Sent, event, 1, event),
        // The server's side.
        (Direction::Received, event, 0, event),
    ] {
        let mut fixture = Fixture::new(true);
        fixture.hello(direction, asker);
        fixture.raw(CARRIER, direction.opposite(), event, b"");
        let how = How {
            fiber,
            opposite,
            ..FIRST
        };
        fixture.plain(Some(CARRIER), "ask", how);
        // What the other side has said is not seen: it goes on without.
        let later = 2 * Limits::default().patience;
        fixture.with(|_, table, each| table.tick(later, each));
        let said = format!("Sent ask by {speaker}");
        assert!(fixture.seen.contains(&said), "{:?}", fixture.seen);
    }
}
