use super::*;
use crate::export::{Delivery, Failure, Work};
use crate::metadata::{Runtime, Service};
use crate::protocol::exchange::Role;
use crate::span::{Span, SpanId, Status, TraceId};
use std::sync::Mutex;

fn batch(spans: usize) -> Batch {
    let service = Arc::new(Service {
        name: "s".to_owned(),
        tgid: 1,
        runtime: Runtime::Native,
        resource: Vec::new(),
    });
    let span = Span {
        trace: TraceId([1; 16]),
        id: SpanId([1; 8]),
        parent: None,
        state: None,
        sampled: true,
        role: Role::Server,
        name: "GET /".to_owned(),
        start: 0,
        end: 1,
        status: Status::Unset,
        attributes: Vec::new(),
        service,
    };
    vec![span; spans].into()
}

/// Answers each call with the next of its results, the last one for ever.
struct Fake {
    script: Vec<Result<(), Failure>>,
    /// Spans of each call.
    calls: Arc<Mutex<Vec<u64>>>,
    hang: bool,
}

impl Exporter for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn export<'a>(&'a mut self, work: &'a mut Work) -> Delivery<'a> {
        Box::pin(async {
            self.calls.lock().unwrap().push(work.len());
            if self.hang {
                std::future::pending::<()>().await;
            }
            let result = match self.script.len() {
                1 => self.script[0].clone(),
                _ => self.script.remove(0),
            };
            if result.is_ok() {
                work.delivered = work.len();
            }
            result
        })
    }
}

/// What is expected after offering and stopping.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    calls: Vec<u64>,
    delivered: u64,
    queue_full: u64,
    rejected: u64,
    gave_up: u64,
    closed: u64,
}

fn retry() -> Result<(), Failure> {
    Err(Failure::Retry("away".to_owned()))
}

/// Offers the batches one after another with `pause` between, stops, and compares.
async fn check(
    script: Vec<Result<(), Failure>>,
    hang: bool,
    offers: &[usize],
    pause: Duration,
    expected: Counts,
) {
    let stats = Stats::default();
    let calls = Arc::default();
    let fake = Fake {
        script,
        calls: Arc::clone(&calls),
        hang,
    };
    let limits = Limits {
        spans: 100,
        batch: 10,
        ..Limits::default()
    };
    let queue = Queue::start(Box::new(fake), limits, &stats);
    for spans in offers {
        queue.offer(&batch(*spans));
        tokio::time::sleep(pause).await;
    }
    queue.stop(Duration::from_secs(3)).await;
    let dropped = |cause| stats.counter(&EXPORT_DROPPED, &["fake", cause]).value();
    let found = Counts {
        calls: calls.lock().unwrap().clone(),
        delivered: stats.total(&EXPORT_SPANS),
        queue_full: dropped("queue_full"),
        rejected: dropped("rejected"),
        gave_up: dropped("gave_up"),
        closed: dropped("closed"),
    };
    assert_eq!(found, expected);
    let offered: usize = offers.iter().sum();
    assert_eq!(stats.total(&EXPORT_OFFERED), offered as u64);
    let known = found.delivered + found.queue_full + found.rejected + found.gave_up + found.closed;
    assert_eq!(known, offered as u64, "every span is accounted for");
}

const NONE: Counts = Counts {
    calls: Vec::new(),
    delivered: 0,
    queue_full: 0,
    rejected: 0,
    gave_up: 0,
    closed: 0,
};

const NOW: Duration = Duration::ZERO;

#[tokio::test(start_paused = true)]
async fn nothing_offered_nothing_called() {
    check(vec![Ok(())], false, &[0, 0], NOW, NONE).await;
}

#[tokio::test(start_paused = true)]
async fn batches_are_gathered_by_interval_and_by_size() {
    let expected = Counts {
        calls: vec![6, 12],
        delivered: 18,
        ..NONE
    };
    let offers = [3, 3, 12];
    check(
        vec![Ok(())],
        false,
        &offers,
        Duration::from_millis(600),
        expected,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_delivers_what_waits() {
    let expected = Counts {
        calls: vec![3],
        delivered: 3,
        ..NONE
    };
    check(vec![Ok(())], false, &[3], NOW, expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again() {
    let expected = Counts {
        calls: vec![10, 10, 10],
        delivered: 10,
        ..NONE
    };
    let script = vec![retry(), retry(), Ok(())];
    check(script, false, &[10], Duration::from_secs(9), expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_tried_again() {
    let expected = Counts {
        calls: vec![10, 10],
        delivered: 10,
        rejected: 10,
        ..NONE
    };
    let script = vec![Err(Failure::Final("bad".to_owned())), Ok(())];
    check(script, false, &[10, 10], Duration::from_secs(9), expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_newest() {
    let expected = Counts {
        calls: vec![10],
        queue_full: 110,
        gave_up: 100,
        ..NONE
    };
    let offers = [10; 21];
    check(
        vec![Ok(())],
        true,
        &offers,
        Duration::from_millis(1),
        expected,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_backend_is_given_up_in_time() {
    let stats = Stats::default();
    let calls = Arc::default();
    let fake = Fake {
        script: vec![retry()],
        calls: Arc::clone(&calls),
        hang: false,
    };
    let queue = Queue::start(Box::new(fake), Limits::default(), &stats);
    queue.offer(&batch(512));
    tokio::time::sleep(Duration::from_secs(120)).await;
    let gave_up = stats.counter(&EXPORT_DROPPED, &["fake", "gave_up"]);
    assert_eq!(gave_up.value(), 512);
    let tries = calls.lock().unwrap().len();
    assert!((7..=20).contains(&tries), "{tries}");
    queue.stop(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_exporter_is_not_called_again() {
    let expected = Counts {
        calls: vec![10],
        closed: 20,
        ..NONE
    };
    let script = vec![Err(Failure::Closed)];
    check(script, false, &[10, 10], Duration::from_secs(5), expected).await;
}

#[test]
fn memory_is_bounded_in_bytes_too() {
    let limits = Limits {
        bytes: 10_000,
        ..Limits::default()
    };
    let backlog = Backlog::new(&limits);
    let batch = batch(10);
    let taken = (0..100)
        .filter(|_| backlog.push(&batch) == Push::Taken)
        .count();
    assert!((1..10).contains(&taken), "{taken}");
    let work = backlog.take();
    assert_eq!(backlog.push(&batch), Push::Full, "what is under way counts");
    backlog.release(&work);
    assert_eq!(backlog.push(&batch), Push::Taken);
}
