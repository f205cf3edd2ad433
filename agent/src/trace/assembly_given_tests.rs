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
