//! Calls after the answer: of tasks that go on, and of threads that handle one request after the
//! other.

use super::*;

/// A task of the loop's thread, which names nobody itself.
const TASK: u64 = 40;

#[test]
fn a_task_that_was_made_for_a_request_goes_on_with_it() {
    let steps = [
        Ask(server(1, 1, 100)),
        Made(TASK, 0),
        By(1, TASK),
        Due(500),
        Ask(client(2, 2, 100).on(TASK)),
        Answered(2),
        Due(900),
    ];
    check(&steps, "[1] [2<1:task]");
}

/// It might have gone on to one of those that are open; once others have answered them all it has
/// not.
#[test]
fn with_others_open_their_answers_tell() {
    let steps = |by: [u64; 2]| {
        [
            Ask(server(1, 1, 100)),
            Made(TASK, 0),
            By(1, TASK),
            Ask(server(2, 2, 100)),
            Made(50, 0),
            Ask(server(3, 3, 100)),
            Made(60, 0),
            Ask(client(4, 4, 100).on(TASK)),
            Answered(4),
            By(2, by[0]),
            By(3, by[1]),
            Due(900),
        ]
    };
    check(&steps([50, 60]), "[1 4<1:task] [2] [3]");
    // It has gone on.
    check(&steps([50, TASK]), "[1] [2] [3 4<3:task]");
    // Who answered the third is not told.
    let told = "[1] [2] [4] [3]";
    assert_eq!(check(&steps([50, 0]), told).refused[1], 1);
}

#[test]
fn a_task_that_was_there_before_does_not() {
    let before = [
        Made(TASK, 0),
        Ask(server(1, 1, 100)),
        By(1, TASK),
        Ask(client(2, 2, 100).on(TASK)),
        Answered(2),
        Due(900),
    ];
    check(&before, "[1] [2]");
    let another = [
        Ask(server(1, 1, 100)),
        Made(TASK, 0),
        By(1, TASK),
        Made(TASK, 0),
        Ask(client(2, 2, 100).on(TASK)),
        Answered(2),
        Due(900),
    ];
    check(&another, "[1] [2]");
}

#[test]
fn a_thread_works_for_its_last_request_where_it_handles_one_after_the_other() {
    let read = |conn| In(Threading::OneByOne, server(conn, conn as u16, 100));
    let call = |conn| In(Threading::OneByOne, client(conn, conn as u16, 100));
    let steps = [
        read(1),
        Answered(1),
        Due(500),
        call(2),
        Answered(2),
        read(3),
        call(4),
        Answered(4),
        Answered(3),
        call(5),
        Answered(5),
        // Another thread.
        In(Threading::OneByOne, client(6, 6, 101)),
        Answered(6),
        Due(900),
        Exit(1),
        call(7),
        Answered(7),
        Due(1800),
    ];
    let told = "[1] [2<1:thread] [3 4<3:thread 5<3:thread] [6] [7]";
    check(&steps, told);
}

#[test]
fn after_a_loss_it_is_not_believed() {
    let steps = [
        In(Threading::OneByOne, server(1, 1, 100)),
        Answered(1),
        Lost,
        In(Threading::OneByOne, client(2, 2, 100)),
        Answered(2),
        Due(900),
    ];
    check(&steps, "[1] [2]");
}

/// Who still holds its context goes without the bit.
#[test]
fn a_task_that_is_surely_the_same_outlives_its_request() {
    let context = 0xc000_1000;
    let while_open = agent_common::runtime::WHILE_OPEN | context;
    let steps = [
        Ask(server(1, 1, 100).on(1)),
        Made(while_open, 1),
        Ask(client(2, 2, 100).on(context)),
        Answered(2),
        Answered(1),
        Due(500),
        Ask(client(3, 3, 100).on(context)),
        Answered(3),
        Due(900),
    ];
    check(&steps, "[1 2<1:task] [3<1:task]");
}
