//! Requests of shared connections, whose readers and writers say nothing.

use super::*;
use Threading::{Goroutines, Migrating, Unknown};

/// Task that reads all streams, and one that writes them.
const READER: u64 = 50;
const WRITER: u64 = 51;

/// A request that a process of goroutines reads, on stream 1 of a connection of its own.
fn read(conn: u64) -> Step {
    In(
        Goroutines,
        on_stream(server(conn, conn as u16, 100).on(READER)),
    )
}

/// A request that it writes.
fn write(conn: u64, fiber: u64) -> Step {
    In(
        Goroutines,
        on_stream(client(conn, conn as u16, 100).on(fiber)),
    )
}

/// A request on a connection that is nobody else's.
fn call(conn: u64, fiber: u64) -> Step {
    In(Goroutines, client(conn, conn as u16, 100).on(fiber))
}

fn on_stream(end: End) -> End {
    End {
        stream: Some(1),
        ..end
    }
}

fn handles(conn: u64, fiber: u64) -> Step {
    Told(Of::Served(ConnId(conn), 1), fiber)
}

fn asks(conn: u64, fiber: u64) -> Step {
    Told(Of::Asked(ConnId(conn), 1), fiber)
}

/// The answers to 3, 1 and 2, and all leaves.
fn ends(steps: &[Step]) -> Vec<Step> {
    let ends = [Answered(3), Answered(1), Answered(2), Due(5000)];
    steps.iter().copied().chain(ends).collect()
}

#[test]
fn who_was_told_to_handle_a_stream_does() {
    for steps in [
        [read(1), read(2), handles(1, 7), handles(2, 8), call(3, 8)],
        // Bytes before the request were late.
        [handles(1, 7), handles(2, 8), read(1), read(2), call(3, 8)],
    ] {
        check(&ends(&steps), "[1] [2 3<2:task]");
    }
}

#[test]
fn a_reader_is_not_believed() {
    for steps in [
        vec![read(1), call(3, READER)],
        // Nor is who it makes, or who is made by who it makes.
        vec![read(1), Made(9, READER), call(3, 9)],
        vec![read(1), Made(9, READER), Made(10, 9), call(3, 10)],
        // Told of another stream.
        vec![read(1), Made(9, READER), handles(4, 9), call(3, 9)],
    ] {
        check(&ends(&steps)[..steps.len() + 2], "");
        let mut steps = steps;
        steps.extend([Answered(1), Answered(3), Due(5000)]);
        assert_eq!(check(&steps, "[1] [3]").refused[1], 1);
    }
}

/// Whoever writes the answer writes those of others, too.
#[test]
fn a_writer_of_answers_is_not_believed() {
    let steps = [
        read(1),
        Made(9, WRITER),
        call(3, 9),
        By(1, WRITER),
        Answered(3),
        Due(5000),
    ];
    assert_eq!(check(&steps, "[1] [3]").refused[1], 1);
}

#[test]
fn tasks_that_a_handler_makes_work_for_it() {
    let steps = [
        read(1),
        read(2),
        Made(9, READER),
        handles(1, 9),
        Made(10, 9),
        call(3, 10),
    ];
    check(&ends(&steps), "[1 3<1:task] [2]");
    // After the answer, too.
    let steps = [
        read(1),
        handles(1, 9),
        Made(10, 9),
        Answered(1),
        call(3, 10),
        Answered(3),
        Due(5000),
    ];
    check(&steps, "[1 3<1:task]");
}

/// One of a pool handles one stream after the other, whether the first was answered or not.
#[test]
fn a_task_handles_what_it_was_told_last() {
    let steps = [read(1), read(2), handles(1, 7), handles(2, 7), call(3, 7)];
    check(&ends(&steps), "[1] [2 3<2:task]");
}

/// The bytes of the second stream are late.
#[test]
fn a_task_handles_nothing_of_what_it_was_told_before() {
    let steps = [read(1), handles(1, 7), handles(2, 7), call(3, 7), read(2)];
    assert_eq!(check(&ends(&steps), "[3] [1] [2]").refused[1], 1);
}

/// A request on a stream that the loop of a process reads, which is believed to be the one handler
/// of what it reads.
fn looped(conn: u64) -> Step {
    Ask(on_stream(server(conn, conn as u16, 100).on(READER)))
}

/// A loop asks another server, on behalf of this task.
fn passed_on(conn: u64, fiber: u64) -> Step {
    Ask(client(conn, conn as u16, 100).on(fiber))
}

#[test]
fn a_loop_serves_the_streams_that_it_tells() {
    let tells = |conn, fiber| [Made(fiber, 0), handles(conn, fiber)];
    let (one, other) = (tells(1, 7), tells(2, 8));
    let begun = [looped(1), looped(2)];
    for steps in [
        [&begun[..], &one, &other].concat(),
        // Bytes before the requests were late.
        [&one[..], &other, &begun].concat(),
    ] {
        for (fiber, expected) in [(7, "[1 3<1:task] [2]"), (8, "[1] [2 3<2:task]")] {
            let steps = [&steps[..], &[passed_on(3, fiber)]].concat();
            check(&ends(&steps), expected);
        }
        // Who was not told of is not believed.
        let steps = [&steps[..], &[passed_on(3, 9)]].concat();
        assert_eq!(check(&ends(&steps), "[1] [3] [2]").refused[1], 1);
    }
}

/// The address of a stream that is over is another's at once.
#[test]
fn a_stream_at_the_address_of_another_is_not_that_one() {
    let first = [looped(1), Made(7, 0), handles(1, 7)];
    let steps = [&first[..], &[Made(7, 0), passed_on(3, 7)]].concat();
    assert_eq!(check(&ends(&steps), "[3] [1]").refused[1], 1);
    let next = [looped(2), Made(7, 0), handles(2, 7), passed_on(3, 7)];
    check(&ends(&[&first[..], &next].concat()), "[1] [2 3<2:task]");
}

/// The record of a call comes when its task has gone on.
#[test]
fn a_call_from_before_is_not_of_the_next_stream() {
    let mut world = World::new(LIMITS);
    let steps = [
        (0, read(1)),
        (1, read(2)),
        (2, handles(1, 7)),
        (9, handles(2, 7)),
        (5, call(3, 7)),
    ];
    for (at, step) in steps {
        world.step(at, step);
    }
    assert_eq!(world.assembly.counts.refused[0], 1);
}

#[test]
fn who_was_told_to_ask_does() {
    let steps = [
        read(1),
        read(2),
        handles(1, 7),
        handles(2, 8),
        // Made while the second was handled.
        Made(WRITER, 8),
        asks(3, 7),
        write(3, WRITER),
    ];
    check(&ends(&steps), "[1 3<1:task] [2]");
}

#[test]
fn a_writer_is_not_believed() {
    for threading in [Goroutines, Unknown] {
        let steps = [
            read(1),
            read(2),
            handles(1, 7),
            Made(WRITER, 7),
            In(threading, on_stream(client(3, 3, 100).on(WRITER))),
        ];
        let counts = check(&ends(&steps), "[3] [1] [2]");
        assert_eq!(counts.refused[1], 1);
    }
}

/// In tokio nothing tells whose stream it is: the connection's task was made by the first who asked.
#[test]
fn a_task_of_a_connection_writes_for_all() {
    let write = |fiber| In(Migrating, on_stream(client(3, 3, 100).on(fiber)));
    let read = |conn, fiber| In(Migrating, server(conn, conn as u16, 100).on(fiber));
    let begun = [read(1, 7), read(2, 8), Made(WRITER, 7)];
    let by_another = [&begun[..], &[write(WRITER)]].concat();
    assert_eq!(check(&ends(&by_another), "[3] [1] [2]").refused[1], 1);
    // A task that handles a request itself may drive its connection, too.
    let by_itself = [&begun[..], &[write(8)]].concat();
    check(&ends(&by_itself), "[1] [2 3<2:task]");
}

/// A request that task `reader` of tokio's reads, on stream 1 of a connection of its own.
fn taken_in(conn: u64, reader: u64) -> Step {
    In(
        Migrating,
        on_stream(server(conn, conn as u16, 100).on(reader)),
    )
}

/// `fiber` holds stream 1 of the connection that `reader` reads, which made it.
fn holds(reader: u64, fiber: u64) -> [Step; 2] {
    [Made(fiber, reader), Told(Of::Taken(1, reader, 1), fiber)]
}

/// Another server is asked on a connection that is nobody else's.
fn asked_by(fiber: u64) -> Step {
    In(Migrating, client(3, 3, 100).on(fiber))
}

#[test]
fn who_holds_a_stream_handles_it() {
    let begun = [
        &[taken_in(1, READER), taken_in(2, WRITER)][..],
        &holds(READER, 7),
        &holds(WRITER, 8),
    ]
    .concat();
    for (more, by, expected) in [
        (None, 7, "[1 3<1:task] [2]"),
        (None, 8, "[1] [2 3<2:task]"),
        (Some(Made(9, 8)), 9, "[1] [2 3<2:task]"),
    ] {
        let steps = begun.iter().copied().chain(more).chain([asked_by(by)]);
        check(&ends(&steps.collect::<Vec<_>>()), expected);
    }
    // Whom the reader makes otherwise is nobody's.
    for by in [9, READER] {
        let steps = [&begun[..], &[Made(9, READER), asked_by(by)]].concat();
        refuses(&steps, 1);
    }
}

/// So many calls of these steps have no parent, once all is answered.
fn refuses(steps: &[Step], expected: u64) {
    let mut world = World::new(LIMITS);
    for (at, step) in (0..).zip(ends(steps)) {
        world.step(10 * at, step);
    }
    assert_eq!(world.assembly.counts.refused[1], expected);
    assert_eq!(world.assembly.counts.joined, [0; 4]);
}

/// What reads the body may be a task of its own, made before the one that answers, or behind it.
#[test]
fn all_who_hold_a_stream_work_for_it() {
    for by in [7, 9] {
        let steps = [
            &[taken_in(1, READER), taken_in(2, WRITER)][..],
            &holds(READER, 7),
            &holds(READER, 9),
            &[asked_by(by)],
        ]
        .concat();
        check(&ends(&steps), "[1 3<1:task] [2]");
    }
}

/// A server may read all connections in one task: then its number does not say which stream is meant.
#[test]
fn who_reads_several_connections_does_not_tell_streams() {
    let both = [taken_in(1, READER), taken_in(2, READER)];
    let one_by_one = [both[0], Answered(1), both[1]];
    for steps in [
        [&both[..], &holds(READER, 7), &[asked_by(7)]].concat(),
        [&one_by_one[..], &holds(READER, 7), &[asked_by(7)]].concat(),
        [&holds(READER, 7), &both[..], &[asked_by(7)]].concat(),
    ] {
        refuses(&steps, 1);
    }
}

/// Bytes before a request may be late; what was taken before it came was another's stream.
#[test]
fn a_stream_is_taken_when_it_has_come() {
    for (taken_at, refused) in [(5, 0), (3, 1)] {
        let mut world = World::new(LIMITS);
        world.step(taken_at, Told(Of::Taken(1, READER, 1), 7));
        world.step(4, taken_in(1, READER));
        for (at, step) in [(6, asked_by(7)), (7, Answered(1)), (8, Answered(3))] {
            world.step(at, step);
        }
        assert_eq!(world.assembly.counts.refused[1], refused, "{taken_at}");
    }
}

/// A goroutine that is made to write one request works for its maker.
#[test]
fn a_writer_of_one_stream_is_believed() {
    let steps = [
        read(1),
        read(2),
        handles(2, 8),
        Made(WRITER, 8),
        Told(Of::Writer(1, WRITER), WRITER),
        write(3, WRITER),
    ];
    check(&ends(&steps), "[1] [2 3<2:task]");
    // For that one only.
    let steps = [
        read(1),
        handles(1, 8),
        Made(WRITER, 8),
        Told(Of::Writer(1, WRITER), WRITER),
        write(3, WRITER),
        write(2, WRITER),
    ];
    let counts = check(&ends(&steps), "[1 3<1:task] [2]");
    assert_eq!(counts.refused[1], 1);
}
