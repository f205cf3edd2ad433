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

/// What waits in a queue for the end of a call goes on when its answer is read, also what another request
/// has left to be done behind its answer.
#[test]
fn the_event_of_an_answer_alone_does_not_tell_whose_call_is_made() {
    let alone = [
        Ask(server(1, 1, 100).on(event(1))),
        Ask(client(2, 2, 100).on(event(1))),
        By(2, event(3)),
        Ask(client(4, 4, 100).on(event(3))),
        By(4, event(5)),
        By(1, event(3)),
        Due(900),
    ];
    assert_eq!(check(&alone, "[4] [1 2<1:task]").refused[0], 1);
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

/// Requests 1 and 6 are open; the event 3 of an answer for request 1 makes call 4, whose answer event 5
/// brings. What then?
fn check_way(steps: &[Step], expected: &str, refused: u64) {
    let begin = [
        Ask(server(1, 1, 100).on(event(1))),
        Ask(server(6, 6, 100).on(event(6))),
        Ask(client(2, 2, 100).on(event(1))),
        By(2, event(3)),
        Ask(client(4, 4, 100).on(event(3))),
        By(4, event(5)),
    ];
    let steps = [&begin, steps, &[Due(5000)]].concat();
    assert_eq!(check(&steps, expected).refused[0], refused, "{expected}");
}

#[test]
fn a_call_is_for_the_request_whose_answer_its_own_answer_brings() {
    let one = || By(1, event(5));
    let other = || By(6, event(5));
    check_way(&[one(), By(6, event(7))], "[1 2<1:task 4<1:task] [6]", 0);
    check_way(&[one(), other()], "[1 2<1:task 4<1:task] [6]", 0);
    // Something else has brought the answer.
    check_way(&[By(1, event(7)), other()], "[4] [1 2<1:task] [6]", 1);
    check_way(&[By(1, event(3)), other()], "[4] [1 2<1:task] [6]", 1);
    // The call was another's, or it was made for both.
    check_way(&[other(), By(1, event(7))], "[6] [4] [1 2<1:task]", 1);
    check_way(&[other(), one()], "[6] [4] [1 2<1:task]", 1);
    check_way(&[Answered(1), other()], "[4] [1 2<1:task] [6]", 1);
}

/// Of two calls in a row the one in the middle may be of another that took turns with the request.
#[test]
fn a_call_behind_an_uncertain_one_is_refused() {
    let steps = [
        Ask(client(8, 8, 100).on(event(5))),
        By(8, event(9)),
        By(1, event(9)),
        By(6, event(10)),
    ];
    check_way(&steps, "[8] [4] [1 2<1:task] [6]", 2);
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
