//! Streams of connections that a loop reads and writes: an event of it hears of one at a time.

use super::*;

/// An event of a loop.
const fn event(number: u64) -> u64 {
    number | agent_common::record::FIBER_EVENT
}

/// The event that read all streams.
const ALL: u64 = event(50);

/// A request that came with others.
fn read(conn: u64) -> Step {
    Ask(of_stream(server(conn, conn as u16, 100).on(ALL)))
}

/// A call on a stream, sent with others in nobody's name, or by an event.
fn sent(conn: u64, by: u64) -> Step {
    Ask(of_stream(client(conn, conn as u16, 100).on(by)))
}

fn of_stream(end: End) -> End {
    End {
        stream: Some(1),
        ..end
    }
}

/// A call by HTTP/1.
fn call(conn: u64, by: u64) -> Step {
    Ask(client(conn, conn as u16, 100).on(event(by)))
}

fn hears(conn: u64, by: u64) -> Step {
    Told(Of::Heard(ConnId(conn), 1), event(by))
}

fn asks(conn: u64, by: u64) -> Step {
    Told(Of::Asked(ConnId(conn), 1), event(by))
}

/// The event that brings the answer to call 5 answers this request.
fn answers(conn: u64) -> Step {
    Told(Of::Answered(ConnId(conn), 1), event(10))
}

/// The answers, and all leaves.
fn check_ended(steps: &[Step], ends: &[u64], expected: &str) -> Counts {
    let ends = ends.iter().map(|conn| Answered(*conn));
    let steps: Vec<Step> = steps
        .iter()
        .copied()
        .chain(ends)
        .chain([Due(5000)])
        .collect();
    check(&steps, expected)
}

#[test]
fn an_event_works_for_the_stream_that_it_hears_of() {
    for steps in [
        [read(1), read(2), hears(1, 7), hears(2, 8), call(3, 8)],
        [hears(1, 7), hears(2, 8), read(1), read(2), call(3, 8)],
        // More of the second one, such as its body.
        [read(1), read(2), hears(2, 8), hears(2, 9), call(3, 9)],
        [read(1), read(2), hears(2, 8), hears(2, 9), call(3, 8)],
    ] {
        check_ended(&steps, &[3, 1, 2], "[1] [2 3<2:task]");
    }
}

#[test]
fn the_event_that_read_all_streams_is_nobodys() {
    for steps in [
        vec![read(1), call(3, 50)],
        vec![read(1), hears(1, 7), call(3, 50)],
        // Nor is one that was told of another connection.
        vec![read(1), hears(4, 7), call(3, 7)],
        vec![read(1), sent(3, event(50))],
        vec![read(1), hears(1, 7), sent(3, event(7))],
        vec![read(1), hears(1, 7), sent(3, 0)],
    ] {
        let counts = check_ended(&steps, &[3, 1], "[3] [1]");
        assert_eq!(counts.joined, [0; 4]);
    }
}

#[test]
fn a_call_on_a_stream_is_for_who_asked_for_it() {
    let begun = [read(1), read(2), hears(1, 7), hears(2, 8)];
    for by in [0, ALL] {
        let steps = [&begun[..], &[asks(3, 8), sent(3, by)]].concat();
        check_ended(&steps, &[3, 1, 2], "[1] [2 3<2:task]");
    }
    // Nobody asked for this one.
    let steps = [&begun[..], &[asks(4, 8), sent(3, 0)]].concat();
    let counts = check_ended(&steps, &[3, 1, 2], "[3] [1] [2]");
    assert_eq!(counts.joined, [0; 4]);
}

/// Two requests have asked for a stream each, whose answers one event has read.
fn answered() -> Vec<Step> {
    vec![
        read(1),
        read(2),
        hears(1, 7),
        hears(2, 8),
        asks(3, 7),
        asks(4, 8),
        sent(3, 0),
        sent(4, 0),
        By(3, ALL),
        By(4, ALL),
    ]
}

/// As of an answer by HTTP/1, a callback may run there that another request has put into a queue.
#[test]
fn the_event_of_an_answer_may_be_for_its_request() {
    // Whoever made call 5 answers request 1, in the event that brings its answer.
    let steps = [
        &answered()[..],
        &[
            hears(3, 9),
            call(5, 9),
            By(5, event(10)),
            answers(1),
            By(1, 0),
        ],
    ]
    .concat();
    check_ended(&steps, &[2], "[1 3<1:task 5<1:task] [2 4<2:task]");
    // It answers the other request.
    let steps = [
        &answered()[..],
        &[
            hears(3, 9),
            call(5, 9),
            By(5, event(10)),
            answers(2),
            By(2, 0),
        ],
    ]
    .concat();
    let counts = check_ended(&steps, &[1], "[2 4<2:task] [5] [1 3<1:task]");
    assert_eq!(counts.refused[0], 1);
    // What the event that read both answers does is nobody's.
    let steps = [
        &answered()[..],
        &[call(5, 50), By(5, event(10)), answers(1), By(1, 0)],
    ]
    .concat();
    let counts = check_ended(&steps, &[2], "[1 3<1:task] [5] [2 4<2:task]");
    assert_eq!(counts.refused[1], 1);
}

/// The loop writes the answers of all streams: who answers one is told, and nobody else believed.
#[test]
fn who_writes_the_answer_of_a_stream_is_not_believed() {
    let begun = [hears(3, 9), call(5, 9), By(5, event(10))];
    for told in [vec![answers(2)], vec![]] {
        let steps = [answered(), begun.to_vec(), told, vec![By(1, event(10))]].concat();
        let counts = check_ended(&steps, &[2], "[5] [1 3<1:task] [2 4<2:task]");
        assert_eq!(counts.refused[0], 1);
    }
}

/// Probes name connections; that TLS sessions are upon them may be known later.
#[test]
fn what_was_told_of_a_connection_counts_for_the_session_on_it() {
    let mut world = World::new(LIMITS);
    let over = |conn: u64, end: End| {
        let carrier = crate::record::Carrier {
            conn: ConnId(conn),
            began: [0; 2],
        };
        let info = Opened::clone(&end.info());
        Arc::new(Opened {
            plain: Some(carrier),
            ..info
        })
    };
    let mut ask = |at: Nanos, told: Step, carrier: u64, end: End| {
        world.step(at, told);
        let end = of_stream(end.on(ALL));
        world.ask_over(&over(carrier, end), at + 1, Threading::Bound, end);
    };
    ask(0, hears(11, 7), 11, server(1, 1, 100));
    ask(2, asks(13, 7), 13, client(3, 3, 100));
    for (at, step) in [(4, Answered(3)), (5, Answered(1)), (6, Due(5000))] {
        world.step(at, step);
    }
    assert_eq!(world.told.join(" "), "[1 3<1:task]");
}
