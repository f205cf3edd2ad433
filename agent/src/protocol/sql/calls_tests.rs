use super::*;

const TASK: Task = Task { tgid: 1, tid: 2 };

fn called(call: u64, by: u64, depth: u64, function: Function) -> Called<'static> {
    Called {
        call: ConnId(call),
        fiber: by,
        by,
        depth,
        function,
        driver: None,
        statement: b"SELECT 1",
        cut: false,
    }
}

fn returned(by: u64, depth: u64, within: Option<Function>) -> Returned {
    Returned {
        by,
        depth,
        within,
        error: None,
    }
}

/// Calls that are over, and whether that was seen.
fn over(answers: &[Answered]) -> Vec<(u64, bool)> {
    let one = |(call, answer): &Answered| (call.0, answer.outcome != Outcome::Unknown);
    answers.iter().map(one).collect()
}

#[test]
fn an_end_is_that_of_the_call_at_its_depth() {
    let mut calls = Calls::default();
    let mut begin = |call, by, depth| {
        let (request, gone) = calls.called(5, TASK, &called(call, by, depth, Function::Query));
        assert!(request.is_some());
        over(&gone)
    };
    assert_eq!(begin(1, 7, 100), []);
    assert_eq!(begin(2, 7, 200), []);
    assert_eq!(begin(3, 8, 100), []);
    let mut end = |by, depth, within| over(&calls.returned(6, TASK, &returned(by, depth, within)));
    assert_eq!(end(7, 150, None), [(2, false)]);
    assert_eq!(end(7, 150, Some(Function::Exec)), []);
    assert_eq!(end(7, 150, Some(Function::Query)), [(1, true)]);
    // Its return, too, is told.
    assert_eq!(end(7, 100, None), []);
    assert_eq!(end(8, 100, None), [(3, true)]);
    assert!(calls.is_empty());
    assert_eq!(calls.counts.unended, 1);
}

#[test]
fn a_call_that_begins_again_has_ended_unseen() {
    let mut calls = Calls::default();
    let _ = calls.called(5, TASK, &called(1, 7, 100, Function::Exec));
    let (_, gone) = calls.called(6, TASK, &called(2, 7, 100, Function::Exec));
    assert_eq!(over(&gone), [(1, false)]);
    assert_eq!(over(&calls.exited(7, 1)), [(2, false)]);
    assert!(calls.is_empty());
}

#[test]
fn errors_are_named_by_their_types() {
    for (name, kind) in [("pq.Error", "pq.Error"), ("", OTHER)] {
        let mut calls = Calls::default();
        let _ = calls.called(5, TASK, &called(1, 7, 100, Function::Exec));
        let end = Returned {
            error: Some(name.to_owned()),
            ..returned(7, 100, None)
        };
        let answers = calls.returned(6, TASK, &end);
        let outcome = answers.first().map(|(_, answer)| &answer.outcome);
        assert_eq!(outcome, Some(&failed(kind)));
    }
}

#[test]
fn open_calls_are_bounded() {
    let mut calls = Calls::default();
    for by in 0..2 * TASKS as u64 {
        let _ = calls.called(5, TASK, &called(by, by, 100, Function::Query));
    }
    for depth in 1..2 * DEPTH as u64 {
        let _ = calls.called(5, TASK, &called(depth, 1, 100 + depth, Function::Query));
    }
    assert_eq!(calls.len(), TASKS);
    assert_eq!(calls.counts.unfollowed as usize, TASKS + DEPTH);
    assert_eq!(calls.lost(9).len(), TASKS + DEPTH - 1);
}
