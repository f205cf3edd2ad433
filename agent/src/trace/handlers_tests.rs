use super::*;

/// A thread of process 1.
fn thread(tid: u32) -> Handler {
    Handler {
        task: Task { tgid: 1, tid },
        fiber: 0,
    }
}

/// A task of process 1 on its only thread.
fn fiber(fiber: u64) -> Handler {
    Handler { fiber, ..thread(1) }
}

/// Requests that were read by these, in order; the third and later ends are by number.
fn handling(readers: &[Handler]) -> Handlers {
    let mut handlers = Handlers::default();
    for (i, reader) in readers.iter().enumerate() {
        let number = i as u64 + 1;
        handlers.begin(NodeId(number as u32), span(number), number, *reader);
    }
    handlers
}

fn span(number: u64) -> SpanId {
    SpanId(number.to_be_bytes())
}

fn check(handlers: &Handlers, who: Handler, expected: Result<u32, Option<Refusal>>) {
    let found = handlers.current(who, Threading::Bound);
    let expected = match expected {
        Ok(node) => {
            let evidence = [Evidence::Thread, Evidence::Task][usize::from(who.fiber != 0)];
            Ok(Current::Handling(
                NodeId(node),
                span(u64::from(node)),
                evidence,
            ))
        }
        Err(Some(refusal)) => Err(refusal),
        Err(None) if who.fiber != 0 && !handlers.processes.is_empty() => Ok(Current::Later),
        Err(None) => Ok(Current::None),
    };
    assert_eq!(found, expected, "{who:?}");
}

#[test]
fn a_thread_handles_what_it_read() {
    let mut handlers = handling(&[thread(1), thread(2)]);
    check(&handlers, thread(1), Ok(1));
    check(&handlers, thread(2), Ok(2));
    check(&handlers, thread(3), Err(None));
    handlers.finish(NodeId(1), 1, thread(1));
    check(&handlers, thread(1), Err(None));
}

#[test]
fn an_event_loop_is_believed_only_with_one_request() {
    for one in [thread(1), fiber(7)] {
        let mut handlers = handling(&[one, one]);
        check(&handlers, one, Err(Some(Refusal::Ambiguous)));
        handlers.finish(NodeId(1), 1, one);
        check(&handlers, one, Ok(2));
        handlers.begin(NodeId(3), span(3), 3, thread(2));
        check(&handlers, one, Err(Some(Refusal::Ambiguous)));
    }
}

#[test]
fn a_thread_says_nothing_of_a_request_that_lasts() {
    let mut handlers = handling(&[thread(1), fiber(10)]);
    handlers.last(NodeId(1));
    handlers.last(NodeId(2));
    check(&handlers, thread(1), Err(Some(Refusal::Ambiguous)));
    check(&handlers, fiber(10), Ok(2));
    // Another request of that thread is not alone, whatever happens on the connection.
    handlers.begin(NodeId(3), span(3), 3, thread(1));
    check(&handlers, thread(1), Err(Some(Refusal::Ambiguous)));
    handlers.finish(NodeId(3), 3, thread(1));
    handlers.finish(NodeId(1), 1, thread(1));
    handlers.begin(NodeId(1), span(1), 4, thread(2));
    check(&handlers, thread(2), Ok(1));
}

#[test]
fn tasks_are_told_apart_on_one_thread() {
    let handlers = handling(&[fiber(10), fiber(20)]);
    check(&handlers, fiber(20), Ok(2));
    check(&handlers, fiber(30), Err(None));
    check(&handlers, thread(1), Err(None));
    assert_eq!(
        handlers.current(thread(1), Threading::Migrating),
        Err(Refusal::Migrating)
    );
    assert_eq!(
        handlers.current(thread(1), Threading::Unknown),
        Err(Refusal::UnknownRuntime)
    );
}

#[test]
fn a_new_task_works_for_its_makers_request() {
    let mut handlers = handling(&[fiber(10), fiber(20)]);
    handlers.made(1, 11, 10, 5);
    handlers.made(1, 12, 11, 6);
    check(&handlers, fiber(12), Ok(1));
    // The identity is reused by a task of somebody else.
    handlers.made(1, 12, 20, 7);
    check(&handlers, fiber(12), Ok(2));
    handlers.made(1, 12, 99, 8);
    check(&handlers, fiber(12), Err(None));
    // What a task was made for does not change with what its maker does next.
    handlers.finish(NodeId(1), 1, fiber(10));
    handlers.begin(NodeId(3), span(3), 3, fiber(10));
    check(&handlers, fiber(11), Ok(1));
}

/// The record of an answer was lost: the request stays open, but not in the heir of its task's
/// identity.
#[test]
fn a_new_task_handles_nothing_of_whoever_had_its_identity() {
    let mut handlers = handling(&[fiber(10), fiber(20)]);
    handlers.made(1, 10, 20, 5);
    check(&handlers, fiber(10), Ok(2));
    handlers.made(1, 20, 99, 6);
    check(&handlers, fiber(20), Err(None));
}

#[test]
fn a_task_that_receives_bytes_serves_their_request() {
    let mut handlers = handling(&[fiber(10), fiber(20)]);
    handlers.serve(fiber(30), (NodeId(2), span(2)), 5);
    check(&handlers, fiber(30), Ok(2));
    // One that handles a request of its own says so itself.
    handlers.serve(fiber(10), (NodeId(2), span(2)), 5);
    check(&handlers, fiber(10), Ok(1));
}

#[test]
fn what_is_doubted_is_nobodys_parent() {
    let mut handlers = handling(&[thread(1), thread(2)]);
    handlers.doubt(thread(1));
    check(&handlers, thread(1), Err(Some(Refusal::Ambiguous)));
    check(&handlers, thread(2), Ok(2));
    handlers.finish(NodeId(1), 1, thread(1));
    handlers.begin(NodeId(3), span(3), 3, thread(1));
    check(&handlers, thread(1), Ok(3));
}

#[test]
fn idle_event_loops_are_bounded() {
    let mut handlers = Handlers::default();
    for tid in 0..100_000 {
        handlers.begin(NodeId(1), span(1), 1, thread(tid));
        handlers.begin(NodeId(2), span(2), 2, thread(tid));
        handlers.finish(NodeId(1), 1, thread(tid));
        handlers.finish(NodeId(2), 2, thread(tid));
    }
    assert!(handlers.units.len() <= 2 * IDLE_LOOPS);
}

#[test]
fn nothing_stays_behind() {
    let mut handlers = handling(&[thread(1), fiber(2)]);
    handlers.finish(NodeId(1), 1, thread(1));
    handlers.doubt_node(NodeId(2));
    handlers.made(1, 5, 2, 0);
    handlers.exited(1);
    assert!(handlers.is_clear() && handlers.fibers.is_empty());
}
