//! Requests read by events of a loop, and the calls that continue them.

use super::*;

/// An event of a loop.
const fn event(number: u64) -> u64 {
    number | agent_common::record::FIBER_EVENT
}

#[test]
fn what_continues_an_event_works_for_what_it_brought() {
    let steps = [
        Ask(server(1, 1, 100).on(event(1))),
        Ask(server(2, 2, 100).on(event(2))),
        Ask(client(3, 3, 100).on(event(1))),
        // More of the first request.
        Heard(1, event(3)),
        Ask(client(4, 4, 100).on(event(3))),
        Ask(client(5, 5, 100).on(event(2))),
        // By none that is known.
        Ask(client(6, 6, 100)),
        Answered(3),
        Answered(4),
        Answered(5),
        Answered(6),
        By(1, event(9)),
        By(2, event(9)),
        Due(900),
    ];
    let told = "[6] [1 3<1:task 4<1:task] [2 5<2:task]";
    assert_eq!(check(&steps, told).refused[1], 1);
}

/// What waits in a queue for the end of a call goes on when its answer is read.
#[test]
fn the_event_of_an_answer_is_for_its_asker_only_when_nobody_else_waits() {
    let alone = [
        Ask(server(1, 1, 100).on(event(1))),
        Ask(client(2, 2, 100).on(event(1))),
        By(2, event(3)),
        Ask(client(4, 4, 100).on(event(3))),
        Answered(4),
        By(1, event(5)),
        Due(900),
    ];
    check(&alone, "[1 2<1:task 4<1:task]");
    let queued = [
        Ask(server(1, 1, 100).on(event(1))),
        Ask(server(6, 6, 100).on(event(6))),
        Ask(client(2, 2, 100).on(event(1))),
        By(2, event(3)),
        Ask(client(4, 4, 100).on(event(3))),
        // Both by the same event: that tells nothing either.
        By(1, event(3)),
        Answered(4),
        By(6, event(7)),
        Due(900),
    ];
    assert_eq!(check(&queued, "[1 2<1:task] [4] [6]").refused[0], 1);
}

#[test]
fn an_event_that_brought_several_requests_is_for_none() {
    let steps = [
        Ask(server(1, 1, 100).on(event(1))),
        Ask(server(2, 2, 100).on(event(1))),
        Ask(client(3, 3, 100).on(event(1))),
        Answered(3),
        By(1, event(8)),
        By(2, event(8)),
        Due(900),
    ];
    assert_eq!(check(&steps, "[3] [1] [2]").refused[0], 1);
}

/// An event is never another's: what goes on after the answer is still for its request.
#[test]
fn an_event_outlives_its_request() {
    let steps = [
        Ask(server(1, 1, 100).on(event(1))),
        By(1, event(1)),
        Ask(server(2, 2, 100).on(event(2))),
        Ask(client(3, 3, 100).on(event(1))),
        Answered(3),
        By(2, event(2)),
        Due(900),
    ];
    check(&steps, "[1 3<1:task] [2]");
}
