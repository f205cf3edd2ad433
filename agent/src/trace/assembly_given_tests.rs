//! Tasks that are given requests of others to write, and threads that are made for one.

use super::*;

/// A connection of a client is a task of its own, which writes for whoever gave it a request.
#[test]
fn a_task_that_was_given_a_request_writes_it_for_the_giver() {
    let steps = [
        Ask(server(1, 1, 100).on(1)),
        Ask(server(2, 2, 100).on(2)),
        // The first request made the connection.
        Made(50, 1),
        Gave(50, 1),
        Ask(client(3, 3, 100).on(50)),
        Answered(3),
        Gave(50, 2),
        Ask(client(4, 4, 100).on(50)),
        Answered(4),
        Answered(1),
        Answered(2),
        Due(900),
    ];
    check(&steps, "[1 3<1:task] [2 4<2:task]");
}

#[test]
fn a_task_that_several_woke_writes_for_nobody() {
    for gave in [vec![1, 2], vec![]] {
        let mut steps = vec![
            Ask(server(1, 1, 100).on(1)),
            Ask(server(2, 2, 100).on(2)),
            Made(50, 1),
            Gave(50, 1),
            Ask(client(3, 3, 100).on(50)),
            Answered(3),
        ];
        steps.extend(gave.into_iter().map(|by| Gave(50, by)));
        steps.extend([
            Ask(client(4, 4, 100).on(50)),
            Answered(4),
            Answered(1),
            Answered(2),
            Due(900),
        ]);
        assert_eq!(check(&steps, "[4] [1 3<1:task] [2]").refused[1], 1);
    }
}

/// A task that handles a request of its own is not moved by who wakes it.
#[test]
fn a_task_that_reads_requests_works_for_itself() {
    let steps = [
        Ask(server(1, 1, 100).on(1)),
        Ask(server(2, 2, 100).on(2)),
        Gave(2, 1),
        Ask(client(3, 3, 100).on(2)),
        Answered(3),
        Answered(1),
        Answered(2),
        Due(900),
    ];
    check(&steps, "[1] [2 3<2:task]");
}

#[test]
fn a_thread_that_ends_before_the_answer_worked_for_its_makers_request() {
    let steps = [
        Ask(server(1, 1, 100)),
        Ask(server(2, 2, 101)),
        Born(102, 100),
        Born(103, 102),
        Ask(client(3, 3, 102)),
        Ask(client(4, 4, 103)),
        Answered(3),
        Answered(4),
        Left(103),
        Left(102),
        Answered(1),
        Answered(2),
        Due(900),
    ];
    check(&steps, "[1 3<1:thread 4<1:thread] [2]");
}

/// It may be one of a pool, and have worked for another request already.
#[test]
fn a_thread_that_outlives_the_answer_is_not_believed() {
    let steps = [
        Ask(server(1, 1, 100)),
        Ask(server(2, 2, 101)),
        Born(102, 100),
        Ask(client(3, 3, 102)),
        Answered(3),
        Answered(1),
        Left(102),
        Answered(2),
        Due(900),
    ];
    assert_eq!(check(&steps, "[1] [3] [2]").refused[1], 1);
}

/// Threads that a runtime has for its own, whatever thread of the kernel each runs on.
#[test]
fn threads_of_a_runtime_are_no_different() {
    let thread = |number| agent_common::record::FIBER_THREAD | number;
    let steps = [
        Ask(server(1, 1, 100).on(thread(1))),
        Ask(server(2, 2, 100).on(thread(2))),
        Made(thread(3), thread(1)),
        Made(thread(4), thread(2)),
        Ask(client(3, 3, 100).on(thread(3))),
        Ask(client(4, 4, 100).on(thread(4))),
        Ask(client(5, 5, 100).on(thread(1))),
        Ask(client(6, 6, 100).on(thread(9))),
        Answered(3),
        Answered(4),
        Answered(5),
        Answered(6),
        Over(thread(3)),
        By(1, thread(1)),
        // It outlives the answer.
        By(2, thread(2)),
        Over(thread(4)),
        Due(900),
    ];
    let told = "[6] [1 3<1:thread 5<1:thread] [4] [2]";
    assert_eq!(check(&steps, told).refused[1], 1);
}

/// The number of an ended thread is another's, which nobody made for a request.
#[test]
fn a_thread_with_a_used_number_is_another() {
    let steps = [
        Ask(server(1, 1, 100)),
        Born(102, 100),
        Left(102),
        Born(102, 104),
        Ask(client(3, 3, 102)),
        Answered(3),
        Left(102),
        Answered(1),
        Due(900),
    ];
    check(&steps, "[3] [1]");
}
