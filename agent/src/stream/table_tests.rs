//! What goes into the table, what comes out, in words.

use super::*;
use crate::record::Endpoint;
use Direction::{Received, Sent};

const CONN: ConnId = ConnId(7);
const LIMITS: Limits = Limits {
    connections: 4,
    held: 3,
    held_bytes: 64,
    patience: 100,
    haste: 10,
    idle: 1000,
};

fn info(conn: ConnId, unix: bool) -> Opened {
    let end = |port| match unix {
        true => Endpoint::Unix(u64::from(port)),
        false => Endpoint::Inet([127, 0, 0, 1].into(), port),
    };
    Opened {
        conn,
        at: 0,
        inode: 1,
        local: end(80),
        remote: end(5000),
        client: false,
        fresh: true,
        plain: None,
        netns: 1,
        offsets: [100, 200],
        path: None,
    }
}

/// What happens to the table.
#[derive(Clone, Copy)]
enum Step {
    Open(u64),
    /// The process connected it.
    Connect(u64),
    OpenUnix(u64),
    /// Direction, offset, opposite, bytes, bytes that were moved.
    Move(Direction, u64, u64, &'static str, u32),
    /// On another connection.
    On(u64, Direction, u64, u64, &'static str),
    /// Directions that ended and offsets behind the last bytes.
    End([bool; 2], [u64; 2]),
    /// Both directions, while so many bytes may still be read.
    Reset([u64; 2], u32),
    Exit(u32),
    Lost(Nanos),
    Tick(Nanos),
    Expire(Nanos),
}
use Step::{Connect, End, Exit, Expire, Lost, Move, On, Open, OpenUnix, Reset, Tick};

const TASK: Task = Task { tgid: 1, tid: 1 };

/// Time goes on by one with each step; `told` has a word for each piece.
fn run(steps: &[Step]) -> (String, Table<()>) {
    let mut table = Table::new(LIMITS);
    let mut told = Vec::new();
    let mut tell = |info: &Arc<Opened>, _: &mut (), piece: Piece<'_>| {
        let arrow = |direction| if direction == Sent { '<' } else { '>' };
        let word = match piece {
            Piece::Bytes {
                direction,
                bytes,
                moment,
                ..
            } => {
                let text = String::from_utf8_lossy(bytes);
                format!("{}{text}@{}", arrow(direction), moment.offset)
            }
            Piece::Gap {
                direction,
                missing,
                moment,
            } => {
                format!("{}gap{missing}@{}", arrow(direction), moment.offset)
            }
            Piece::Waiting { .. } => "wait".to_owned(),
            Piece::End { direction, moment } => {
                format!("{}end@{}", arrow(direction), moment.offset)
            }
            Piece::Forgotten { .. } => "gone".to_owned(),
            Piece::Torn { direction, .. } => format!("{}torn", arrow(direction)),
        };
        let other = if info.conn == CONN {
            String::new()
        } else {
            format!("{}:", info.conn.0)
        };
        told.push(format!("{other}{word}"));
    };
    for (at, step) in steps.iter().enumerate() {
        let at = at as Nanos;
        let chunk = |conn, direction, offset, opposite, text: &'static str, len| Chunk {
            conn,
            direction,
            offset,
            opposite,
            fiber: 0,
            len,
            sequenced: true,
            unreadable: false,
            bytes: text.as_bytes(),
        };
        match *step {
            Open(conn) => table.opened(at, TASK, info(ConnId(conn), false), &mut tell),
            Connect(conn) => {
                let client = true;
                let info = info(ConnId(conn), false);
                table.opened(at, TASK, Opened { client, ..info }, &mut tell);
            }
            OpenUnix(conn) => table.opened(at, TASK, info(ConnId(conn), true), &mut tell),
            Move(direction, offset, opposite, text, len) => {
                let chunk = chunk(CONN, direction, offset, opposite, text, len);
                table.chunk(at, TASK, &chunk, &mut tell);
            }
            On(conn, direction, offset, opposite, text) => {
                let len = text.len() as u32;
                let chunk = chunk(ConnId(conn), direction, offset, opposite, text, len);
                table.chunk(at, TASK, &chunk, &mut tell);
            }
            End(directions, offsets) => {
                let ended = Ended {
                    conn: CONN,
                    offsets,
                    unread: 0,
                    directions,
                };
                table.ended(at, TASK, &ended, &mut tell);
            }
            Reset(offsets, unread) => {
                let ended = Ended {
                    conn: CONN,
                    offsets,
                    unread,
                    directions: [true; 2],
                };
                table.ended(at, TASK, &ended, &mut tell);
            }
            Exit(tgid) => table.exited(at, tgid, &mut tell),
            Lost(at) => table.lost(at),
            Tick(now) => table.tick(now, &mut tell),
            Expire(now) => table.expire(now, &mut tell),
        }
    }
    (told.join(" "), table)
}

fn check(steps: &[Step], expected: &str) -> Counts {
    let (told, table) = run(steps);
    assert_eq!(told, expected);
    table.counts
}

#[test]
fn bytes_in_order_pass_at_once() {
    let counts = check(
        &[
            Open(7),
            Move(Received, 200, 100, "ask", 3),
            Move(Sent, 100, 203, "tell", 4),
            Move(Received, 203, 104, "more", 4),
        ],
        ">ask@200 <tell@100 >more@203",
    );
    assert_eq!(counts, Counts::default());
}

#[test]
fn an_answer_waits_for_its_request() {
    check(
        &[
            Open(7),
            Move(Sent, 100, 203, "tell", 4),
            Move(Received, 203, 104, "next", 4),
            Move(Received, 200, 100, "ask", 3),
        ],
        // The next request came after the answer, which waits for the first.
        "wait wait >ask@200 <tell@100 >next@203",
    );
}

#[test]
fn unseen_bytes_are_gaps_of_known_size() {
    let cut = [
        Open(7),
        Move(Received, 200, 100, "he", 10),
        Move(Received, 210, 100, "x", 1),
    ];
    check(&cut, ">he@200 >gap8@202 >x@210");
    let unseen = [Open(7), Move(Received, 200, 100, "", 10)];
    check(&unseen, ">gap10@200");
    let lost = [Open(7), Move(Received, 230, 100, "x", 1)];
    assert_eq!(check(&lost, ">gap30@200 >x@230").gap_bytes, 30);
}

#[test]
fn bytes_that_come_twice_tear() {
    let steps = [
        Open(7),
        Move(Received, 200, 100, "abcdef", 6),
        Move(Received, 203, 100, "defghi", 6),
        Move(Received, 209, 100, "j", 1),
    ];
    assert_eq!(check(&steps, ">abcdef@200 >torn >j@209").torn, 1);
}

#[test]
fn patience_ends() {
    let held = || {
        vec![
            Open(7),
            Move(Sent, 100, 203, "a", 1),
            Move(Sent, 101, 205, "b", 1),
        ]
    };
    let mut steps = held();
    steps.push(Tick(101));
    check(&steps, "wait wait");
    let mut steps = held();
    steps.push(Tick(103));
    let counts = check(&steps, "wait wait >gap3@200 <a@100 >gap2@203 <b@101");
    assert_eq!((counts.impatient, counts.gap_bytes), (2, 5));
}

/// Two threads move bytes at once, and each reports that the other has.
#[test]
fn what_waits_for_each_other_is_not_waited_for() {
    let by = |steps: &[Step], told| {
        let counts = check(steps, told);
        assert_eq!((counts.impatient, counts.gap_bytes, counts.torn), (0, 0, 0));
    };
    let answer = Move(Sent, 100, 203, "answer", 6);
    let ask = Move(Received, 200, 106, "ask", 3);
    by(&[Open(7), answer, ask], "wait >ask@200 <answer@100");
    by(&[Open(7), ask, answer], "wait >ask@200 <answer@100");
    // In the midst of a long call, and a third that came behind both.
    let early = Move(Received, 200, 103, "ask", 3);
    let more = Move(Received, 203, 106, "more", 4);
    let late = Move(Sent, 100, 207, "answer", 6);
    let told = "wait wait >ask@200 >more@203 <answer@100";
    by(&[Open(7), early, more, late], told);
    // Who connected asks: what it has received answers that.
    let told = "8:wait 8:wait 8:<late@100 8:>a@200 8:>sk@201";
    let client = [
        Connect(8),
        On(8, Received, 200, 104, "a"),
        On(8, Received, 201, 104, "sk"),
        On(8, Sent, 100, 203, "late"),
    ];
    by(&client, told);
    // What is missing is waited for all the same.
    let beyond = Move(Received, 200, 108, "ask", 3);
    by(&[Open(7), answer, beyond], "wait wait");
    let behind = Move(Received, 203, 106, "more", 4);
    by(
        &[Open(7), Move(Sent, 100, 207, "answer", 6), behind],
        "wait wait",
    );
}

#[test]
fn what_may_be_lost_is_not_waited_for_long() {
    let steps = |lost| {
        [
            Open(7),
            Move(Sent, 100, 203, "a", 1),
            Lost(lost),
            Tick(LOSSY + 13),
        ]
    };
    check(&steps(LOSSY), "wait >gap3@200 <a@100");
    let mut late = steps(0);
    late[3] = Tick(99);
    check(&late, "wait >gap3@200 <a@100");
    // That was soon after a loss.
    let [open, moved, _, tick] = late;
    check(&[open, moved, tick], "wait");
}

#[test]
fn a_direction_that_never_came_is_not_waited_for_long() {
    let steps = [
        Open(7),
        Move(Sent, 100, 203, "a", 1),
        Tick(103),
        Move(Sent, 101, 205, "b", 1),
        Tick(104),
    ];
    check(&steps, "wait >gap3@200 <a@100 wait >gap2@203 <b@101");
}

#[test]
fn few_chunks_and_bytes_wait() {
    let many = [
        Open(7),
        Move(Sent, 100, 201, "a", 1),
        Move(Sent, 101, 202, "b", 1),
        Move(Sent, 102, 203, "c", 1),
        Move(Sent, 103, 204, "d", 1),
    ];
    check(&many, "wait wait wait >gap1@200 <a@100 wait");
    let long = "................................................................+";
    let large = [Open(7), Move(Sent, 100, 201, long, 65)];
    let (told, table) = run(&large);
    assert_eq!(told, format!(">gap1@200 <{long}@100"));
    assert_eq!(table.held_bytes(), 0);
}

#[test]
fn what_waits_comes_before_the_end() {
    let steps = [
        Open(7),
        Move(Sent, 100, 203, "a", 1),
        Move(Sent, 101, 205, "b", 1),
        End([true; 2], [102, 205]),
        Tick(200),
    ];
    let (told, table) = run(&steps);
    assert_eq!(
        told,
        "wait wait >gap3@200 <a@100 >gap2@203 <b@101 <end@102 >end@205 gone"
    );
    assert!(table.is_empty() && table.held_bytes() == 0);
}

#[test]
fn lost_last_bytes_are_a_gap_before_the_end() {
    let steps = [
        Open(7),
        Move(Received, 200, 100, "ask", 3),
        End([true; 2], [150, 203]),
        Tick(103),
    ];
    assert_eq!(
        check(&steps, ">ask@200 <gap50@100 <end@150 >end@203 gone").gap_bytes,
        50
    );
}

/// The other side closes while a call that sends to it is still under way.
#[test]
fn last_bytes_may_be_reported_behind_the_end() {
    let steps = [
        Open(7),
        Move(Received, 200, 100, "ask", 3),
        End([true; 2], [106, 203]),
        Move(Sent, 100, 203, "answer", 6),
        Tick(103),
    ];
    let told = ">ask@200 <answer@100 <end@106 >end@203 gone";
    assert_eq!(check(&steps, told).gap_bytes, 0);
}

/// The peer has reset the connection, and the process reads what had arrived, or it does not.
#[test]
fn what_had_arrived_may_be_read_behind_the_end() {
    let asked = [
        Open(7),
        Move(Sent, 100, 200, "ask", 3),
        Reset([103, 200], 6),
    ];
    let read = [Move(Received, 200, 103, "answer", 6), Tick(103)];
    let told = "<ask@100 >answer@200 <end@103 >end@206 gone";
    check(&[&asked[..], &read].concat(), told);
    let told = "<ask@100 <end@103 >end@200 gone";
    assert_eq!(
        check(&[&asked[..], &[Tick(103)]].concat(), told).gap_bytes,
        0
    );
}

#[test]
fn a_half_may_end_alone_and_once() {
    check(
        &[
            Open(7),
            End([false, true], [100, 200]),
            End([false, true], [100, 200]),
            Move(Sent, 100, 200, "late", 4),
            End([true, true], [104, 200]),
            Move(Sent, 104, 200, "unknown", 7),
        ],
        ">end@200 <late@100 <end@104 gone",
    );
}

#[test]
fn a_second_announcement_changes_nothing() {
    check(
        &[
            Open(7),
            Move(Received, 200, 100, "ask", 3),
            Open(7),
            Move(Received, 203, 100, "more", 4),
        ],
        ">ask@200 >more@203",
    );
}

#[test]
fn the_connection_unused_for_longest_makes_room() {
    let steps = [
        Open(1),
        Open(7),
        Open(3),
        Open(4),
        On(1, Received, 200, 100, "x"),
        // Known: no room is needed.
        Open(3),
        Open(5),
        Move(Received, 200, 100, "unknown", 7),
    ];
    let (told, table) = run(&steps);
    assert_eq!(told, "1:>x@200 gone");
    assert_eq!(
        (table.len(), table.counts.evicted, table.counts.unknown),
        (4, 1, 1)
    );
}

#[test]
fn idle_connections_are_forgotten_not_ended() {
    let steps = [Open(7), Open(1), Expire(1000), Expire(1001), Expire(1002)];
    check(&steps, "gone 1:gone");
}

#[test]
fn an_exit_ends_unix_sockets_only() {
    let steps = [Open(1), OpenUnix(7), OpenUnix(2), Exit(2), Exit(1)];
    let (told, table) = run(&steps);
    assert_eq!(told, "2:<end@100 2:>end@200 2:gone <end@100 >end@200 gone");
    assert_eq!(table.len(), 1);
}

#[test]
fn a_table_without_room_holds_one() {
    let mut table: Table<()> = Table::new(Limits {
        connections: 0,
        ..LIMITS
    });
    for conn in 0..3 {
        table.opened(0, TASK, info(ConnId(conn), false), &mut |_, (), _| {});
        assert_eq!(table.len(), 1);
    }
}

#[test]
fn the_waiting_list_does_not_grow() {
    let mut table: Table<()> = Table::new(LIMITS);
    let mut each = |_: &Arc<Opened>, (): &mut (), _: Piece<'_>| {};
    table.opened(0, TASK, info(CONN, false), &mut each);
    let (mut sent, mut received) = (100, 200);
    for at in 0..1000 {
        let moved = |direction, offset, opposite| Chunk {
            conn: CONN,
            direction,
            offset,
            opposite,
            fiber: 0,
            len: 1,
            sequenced: true,
            unreadable: false,
            bytes: b"x",
        };
        let (answer, request) = (
            moved(Sent, sent, received + 1),
            moved(Received, received, sent),
        );
        table.chunk(at, TASK, &answer, &mut each);
        table.chunk(at, TASK, &request, &mut each);
        sent += 1;
        received += 1;
    }
    assert_eq!((table.waiting.len(), table.counts), (1, Counts::default()));
}
