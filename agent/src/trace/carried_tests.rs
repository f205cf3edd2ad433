//! Calls of virtual threads, and of what they have others do, by the places where those lie.

use super::*;
use agent_common::record::{FIBER_OBJECT, FIBER_THREAD, FIBER_VIRTUAL};

const fn carried(number: u64) -> u64 {
    FIBER_THREAD | FIBER_VIRTUAL | number
}

/// Virtual thread `number` has just moved bytes.
const fn moved(from: u64, number: u64) -> Step {
    Step::Allocates(from, 90, Allocator::Carries(carried(number)))
}

const fn waits(from: u64) -> Step {
    Step::Allocates(from, 90, Allocator::Yielded)
}

/// A call of virtual thread `number`, which lies at `place`.
const fn lies(number: u64, place: u64) -> Step {
    Made(carried(number), FIBER_OBJECT | place)
}

fn by(end: End, number: u64) -> Step {
    Ask(end.on(carried(number)))
}

#[test]
fn a_virtual_thread_calls_for_the_request_that_it_has_read() {
    let steps = [
        by(server(1, 1, 100), 1),
        by(server(2, 2, 100), 2),
        by(client(3, 3, 100), 2),
        by(client(4, 4, 101), 1),
        // Nobody knows what it was made for.
        by(client(5, 5, 100), 3),
        Answered(3),
        Answered(4),
        Answered(5),
        Wrote(1, carried(1)),
        Wrote(2, carried(2)),
        Due(900),
    ];
    let told = "[5] [1 4<1:thread] [2 3<2:thread]";
    assert_eq!(check(&steps, told).refused.iter().sum::<u64>(), 1);
}

/// Threads 1 and 2 read a request each; 1 makes thread 3, and an object, and waits; `then` they
/// answer.
fn fans_out(then: [Step; 2], expected: &str) {
    let steps = [
        waits(1),
        by(server(1, 1, 100), 1),
        moved(10, 1),
        waits(30),
        by(server(2, 2, 100), 2),
        moved(40, 2),
        lies(3, 20),
        by(client(3, 3, 101), 3),
        Answered(3),
        Ask(client(4, 4, 102).on(FIBER_OBJECT | 25)),
        Answered(4),
        then[0],
        then[1],
        // It goes on behind the answer.
        by(client(5, 5, 101), 3),
        Answered(5),
        Due(900),
    ];
    check(&steps, expected);
}

#[test]
fn whom_it_makes_calls_for_the_same_if_it_is_there_to_the_end() {
    let wrote = |conn, fiber| Wrote(conn, carried(fiber));
    let told = "[1 3<1:task 4<1:task 5<1:task] [2]";
    fans_out([wrote(1, 1), wrote(2, 2)], told);
    // Another one wrote the answer, or nobody knows who did: it may have ended before.
    let told = "[1] [3] [4] [2] [5]";
    fans_out([wrote(1, 2), wrote(2, 2)], told);
    fans_out([wrote(1, 0), wrote(2, 2)], told);
}

/// Between its reports nobody else was carried there.
#[test]
fn whom_it_makes_between_two_reports_is_its_own_at_once() {
    let steps = |next| {
        [
            waits(1),
            by(server(1, 1, 100), 1),
            by(server(2, 2, 101), 2),
            moved(10, 1),
            moved(30, next),
            lies(3, 20),
            by(client(3, 3, 101), 3),
            Answered(3),
            // The answer is somebody else's.
            Answered(1),
            Answered(2),
            Due(900),
        ]
    };
    check(&steps(1), "[1 3<1:task] [2]");
    check(&steps(2), "[3] [1] [2]");
}

#[test]
fn without_the_probe_nobody_is_known_to_have_made_it() {
    let steps = [
        by(server(1, 1, 100), 1),
        moved(10, 1),
        moved(30, 1),
        lies(3, 20),
        by(client(3, 3, 101), 3),
        Answered(3),
        Wrote(1, carried(1)),
        Due(900),
    ];
    check(&steps, "[3] [1]");
}
