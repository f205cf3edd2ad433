//! The user-space pipeline over recordings of real services: the traces, and what must hold
//! whatever befalls the records on their way.
//!
//! `recordings/<story>.log` is what the kernel side reported, `recordings/<story>.trace` the
//! traces in words; `UPDATE=1` rewrites those. `recordings/record.py` makes new recordings.

use anyhow::{Context, Result};
use harness::recording::{Owned, Run, files, options, pipeline, read, run, write};
use harness::scenario::{Noise, check_pipeline, check_table, frames};
use harness::tale::{identity, links, parents, tell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use weft::daemon::replay::replay;
use weft::metadata::{Runtime, Service};
use weft::pipeline::{Input, Output};
use weft::protocol::exchange::Role;
use weft::record::{
    Chunk, ConnId, Direction, Endpoint, Event, Opened, Plain, Record, Secured, Task,
};

fn each(mut check: impl FnMut(&Path, &[Owned])) -> Result<()> {
    let files = files()?;
    assert!(!files.is_empty(), "there are no recordings");
    for file in files {
        check(&file, &read(&file)?);
    }
    Ok(())
}

#[test]
fn recordings_tell_their_traces() -> Result<()> {
    let mut wrong = Vec::new();
    for file in files()? {
        let told = tell(&run(&read(&file)?, options()));
        let expected = file.with_extension("trace");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &told)?;
        }
        let text = std::fs::read_to_string(&expected)
            .with_context(|| format!("cannot read {}", expected.display()))?;
        if text != told {
            wrong.push(format!("{}:\n{told}", expected.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "other traces (UPDATE=1 accepts them):\n{}",
        wrong.join("\n")
    );
    Ok(())
}

/// Services that give each request a thread of its own pass a number on in their paths: each
/// call has the request of that number for its parent, however many are handled at once.
#[test]
fn numbered_requests_find_their_parents() -> Result<()> {
    let number = |name: &str| name.rsplit('u').next().map(str::to_owned);
    for (story, joined) in [("flask-concurrent", 72), ("maze-serial", 24)] {
        let file = files()?
            .into_iter()
            .find(|file| file.ends_with(format!("{story}.log")));
        let found = links(&run(&read(&file.context(story)?)?, options()));
        let own = found.iter().filter(|(_, parent)| !parent.is_empty());
        let own: Vec<_> = own
            .filter(|(child, _)| child.contains("/u") || child.contains("data"))
            .collect();
        for (child, parent) in &own {
            assert!(
                parent.contains("error") || number(child) == number(parent),
                "{child} below {parent}"
            );
        }
        assert!(own.len() >= joined, "{story}: {} joins", own.len());
    }
    Ok(())
}

/// Of each evidence and each runtime in which it is found, one recording with 64 requests open at once,
/// whose paths carry an id: story, evidence of its calls, and how many of them have it.
const OPEN_AT_ONCE: [(&str, &str, usize); 19] = [
    ("aiohttp", "task", 111),
    ("uvloop", "task", 100),
    ("gevent", "task", 111),
    ("executor", "task", 100),
    ("pool", "task", 108),
    ("go", "task", 111),
    ("streams", "task", 252),
    ("express", "task", 111),
    ("axum", "task", 111),
    ("taken", "task", 123),
    ("nginx", "task", 72),
    ("haproxy", "task", 72),
    ("java", "task", 50),
    ("java", "thread", 61),
    ("virtual", "task", 40),
    ("virtual", "thread", 61),
    ("ruby", "thread", 103),
    ("threads", "thread", 119),
    ("php", "thread", 111),
];

/// The run of the recording of `story` with 64 requests open at once.
fn open_at_once(story: &str) -> Result<Run> {
    let name = format!("{story}-concurrent.log");
    let file = files()?.into_iter().find(|file| file.ends_with(&name));
    Ok(run(&read(&file.context(name)?)?, options()))
}

/// How many spans of `role` have their parent by `evidence`.
fn joined(run: &Run, role: Role, evidence: &str) -> usize {
    let spans = run.traces.iter().flat_map(|trace| &trace.spans);
    let parents = spans.filter_map(|span| span.parent.filter(|_| span.role == role));
    parents
        .filter(|parent| parent.evidence.as_str() == evidence)
        .count()
}

/// Each span stands below one of its own id, or below none.
#[test]
fn with_64_requests_open_no_parent_is_anothers() -> Result<()> {
    let id = |name: &str| {
        let mut parts = name.split('/');
        parts.find(|part| part.contains("c64n")).map(str::to_owned)
    };
    for (story, evidence, calls) in OPEN_AT_ONCE {
        let run = open_at_once(story)?;
        let found = links(&run);
        let ids: BTreeSet<_> = found.iter().filter_map(|(child, _)| id(child)).collect();
        assert!(ids.len() >= 64, "{story}: {} requests", ids.len());
        for (child, parent) in found.iter().filter(|(_, parent)| !parent.is_empty()) {
            assert_eq!(id(child), id(parent), "{story}: {child} below {parent}");
        }
        let count = joined(&run, Role::Client, evidence);
        assert!(count >= calls, "{story}: {count} calls by {evidence}");
        let pairs = joined(&run, Role::Server, "socket_pair");
        assert!(pairs >= 64, "{story}: {pairs} requests by socket pair");
    }
    Ok(())
}

/// Each request brings a trace of its own, whose number is that of its path and something.
#[test]
fn with_64_traces_brought_each_request_is_in_its_own() -> Result<()> {
    let run = open_at_once("header")?;
    let mut seen = BTreeMap::new();
    for span in run.traces.iter().flat_map(|trace| &trace.spans) {
        let name = identity(span);
        let path = name.rsplit('/').next().unwrap_or_default();
        if let Ok(number) = path.parse::<u128>() {
            assert_eq!(
                span.trace.to_string(),
                format!("{:032x}", number - 19),
                "{name}"
            );
            *seen.entry(number).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), 64);
    // The client, both sides of the proxy, and who is behind it.
    assert!(seen.values().all(|spans| *spans == 4), "{seen:?}");
    assert!(joined(&run, Role::Client, "header") >= 64);
    Ok(())
}

/// An event loop with several requests at once: a call may have the right parent or none.
#[test]
fn an_event_loop_is_never_given_a_wrong_parent() -> Result<()> {
    each(|file, frames| {
        if !file.ends_with("maze-concurrent.log") {
            return;
        }
        let run = run(frames, options());
        let links = links(&run);
        let calls = links
            .iter()
            .filter(|(child, _)| child.starts_with("client frontend-api"));
        for (child, parent) in calls {
            let number = child.rsplit('/').next().unwrap_or_default();
            assert!(
                parent.is_empty() || parent.ends_with(&format!("/{number}")),
                "{child} below {parent}"
            );
        }
        let refused: u64 = run.counts.assembly.refused.iter().sum();
        assert!(refused > 0, "no join was refused: the story shows nothing");
    })
}

#[test]
fn a_replay_is_the_same_every_time() -> Result<()> {
    each(|file, frames| {
        assert_eq!(
            run(frames, options()),
            run(frames, options()),
            "{}",
            file.display()
        );
    })
}

/// What `weft replay` does is what the tests see.
#[test]
fn the_product_replays_the_same() -> Result<()> {
    for file in files()? {
        let frames = read(&file)?;
        let log = write(&frames)?;
        assert_eq!(
            log,
            std::fs::read(&file)?,
            "{} is not as written",
            file.display()
        );
        let mut spans = 0;
        let mut count = |output| {
            if let Output::Trace { spans: found, .. } = output {
                spans += found.len();
            }
        };
        let nobody = |tgid, comm: &str, _: &[String]| Service {
            name: comm.to_owned(),
            tgid,
            runtime: Runtime::Native,
            resource: Vec::new(),
        };
        let (counts, senseless) = replay(log.as_slice(), options(), Box::new(nobody), &mut count)?;
        assert_eq!(senseless, 0);
        assert_eq!(counts, run(&frames, options()).counts, "{}", file.display());
        assert_eq!(counts.spans, spans as u64);
    }
    Ok(())
}

/// A call and its answer: its record may come when the answer's is there.
const REQUEST_FIRST: [Direction; 2] = [Direction::Sent, Direction::Received];

/// May two neighbouring chunks come in the other order? Only those of different threads and tasks,
/// and of different connections or directions, that two CPUs reported within a millisecond. A task
/// that goes on on another thread does so after what it did before; and what is received is
/// reported before its program knows of it, and so before what that sends next there.
fn swappable(one: &Record<'_>, other: &Record<'_>) -> bool {
    let (Event::Chunk(first), Event::Chunk(second)) = (&one.event, &other.event) else {
        return false;
    };
    one.task != other.task
        && (first.fiber == 0 || first.fiber != second.fiber)
        && (first.conn != second.conn || [first.direction, second.direction] == REQUEST_FIRST)
        && one.at.abs_diff(other.at) <= 1_000_000
}

fn shuffled(frames: &[Owned], noise: &mut Noise) -> (Vec<Owned>, usize) {
    let mut frames = frames.to_vec();
    let mut swaps = 0;
    for at in 1..frames.len() {
        let both = frames[at - 1].record().zip(frames[at].record());
        if noise.number().is_multiple_of(2)
            && both.is_some_and(|(one, other)| swappable(&one, &other))
        {
            frames.swap(at - 1, at);
            swaps += 1;
        }
    }
    (frames, swaps)
}

#[test]
fn the_order_of_cpus_changes_no_tree() -> Result<()> {
    let mut swapped = 0;
    each(|file, frames| {
        let expected = links(&run(frames, options()));
        for seed in 0..20 {
            let (frames, swaps) = shuffled(frames, &mut Noise::new(seed));
            swapped += swaps;
            let found = links(&run(&frames, options()));
            let (new, lost) = (lacking(&found, &expected), lacking(&expected, &found));
            let file = file.display();
            assert!(
                found == expected,
                "{file} with seed {seed}: {new:#?} instead of {lost:#?}"
            );
        }
    })?;
    assert!(swapped > 100, "only {swapped} records changed places");
    Ok(())
}

/// Links of the first that the second has not.
fn lacking(these: &[(String, String)], those: &[(String, String)]) -> Vec<(String, String)> {
    let mut lacking = these.to_vec();
    lacking.retain(|link| !those.contains(link));
    lacking
}

/// Paths that are handed on tell of one request, also where the whole recording has no parent.
fn same_path(child: &str, parent: &str) -> bool {
    let last = |name: &str| name.rsplit('/').next().map(str::to_owned);
    last(child) == last(parent)
}

/// A header names the parent's parent, or one further up, when the parent was lost.
fn above(
    right: &BTreeMap<String, BTreeSet<String>>,
    known: &BTreeSet<String>,
    parent: &str,
) -> bool {
    let mut next: Vec<&String> = known.iter().collect();
    // No tree of a recording is deeper.
    for _ in 0..8 {
        next = next
            .into_iter()
            .filter_map(|name| right.get(name))
            .flatten()
            .collect();
        if next.iter().any(|name| *name == parent) {
            return true;
        }
    }
    false
}

/// Parents in `found` that the same request does not have in `expected`, with its child.
fn wrong_parents(found: &Run, expected: &Run) -> Vec<(String, String)> {
    let right = parents(expected);
    let mut found = links(found);
    found.retain(|(child, parent)| {
        // A request whose path was lost is nobody's.
        right.get(child).is_some_and(|known| {
            !(parent.is_empty()
                || parent == "a span that never left"
                || known.contains(parent)
                || same_path(child, parent)
                || above(&right, known, parent))
        })
    });
    found
}

/// Runs `frames` without those chunks that `lose` names; answers how many spans there were, and
/// whose parents are wrong.
fn lossy(
    frames: &[Owned],
    expected: &Run,
    mut lose: impl FnMut(usize) -> bool,
) -> (usize, Vec<(String, String)>) {
    let mut chunk = 0;
    let mut kept = frames.to_vec();
    kept.retain(|frame| {
        let record = frame.record();
        let is_chunk = record.is_some_and(|record| matches!(record.event, Event::Chunk(_)));
        chunk += usize::from(is_chunk);
        !is_chunk || !lose(chunk - 1)
    });
    let found = run(&kept, options());
    nothing_left(&found);
    (links(&found).len(), wrong_parents(&found, expected))
}

/// Each chunk lost in turn, then one in a hundred at random.
///
/// Where every request has a thread of its own no call finds a wrong parent. An event loop whose
/// second request was lost looks like one that handles a single request, and nothing in the
/// records tells otherwise: there, few. Nor does anything tell that a worker of PHP has read another
/// request than its last one; nor, where both were lost, that a thread of a pool has answered one
/// request and read another. The kernel side counts what it loses, and then neither is believed.
#[test]
fn lost_records_make_no_wrong_parent() -> Result<()> {
    const LOOPS: &[&str] = &["maze", "php"];
    const POOLS: &[&str] = &["java", "ruby", "threads"];
    let (mut looped, mut wrong_in_loop) = (0, 0);
    each(|file, frames| {
        let expected = run(frames, options());
        let is = |stories: &[&str]| {
            let mut stories = stories.iter();
            stories.any(|story| file.ends_with(format!("{story}-concurrent.log")))
        };
        let mut judge = |what: String, several, (spans, wrong): (usize, Vec<_>)| {
            if is(LOOPS) || several && is(POOLS) {
                looped += spans;
                wrong_in_loop += wrong.len();
            } else {
                assert!(wrong.is_empty(), "{} {what}: {wrong:?}", file.display());
            }
        };
        let records = frames.iter().filter_map(Owned::record);
        let chunks = records.filter(|record| matches!(record.event, Event::Chunk(_)));
        let chunks = chunks.count();
        assert!(chunks > 0, "{} is empty", file.display());
        for lost in (0..chunks).step_by(chunks / 200 + 1) {
            judge(
                format!("without chunk {lost}"),
                false,
                lossy(frames, &expected, |chunk| chunk == lost),
            );
        }
        for seed in 0..20 {
            let mut noise = Noise::new(seed);
            let found = lossy(frames, &expected, |_| noise.number().is_multiple_of(100));
            judge(format!("with seed {seed}"), true, found);
        }
    })?;
    assert!(
        wrong_in_loop * 100 < looped,
        "{wrong_in_loop} of {looped} in an event loop"
    );
    Ok(())
}

fn nothing_left(run: &Run) {
    for (name, left) in &run.left {
        assert!(
            *left == 0 || *name == "order" && *left <= 64,
            "{name}: {left} left behind"
        );
    }
}

#[test]
fn a_log_may_end_anywhere() -> Result<()> {
    each(|file, frames| {
        let expected = run(frames, options());
        for end in (0..frames.len()).step_by(frames.len() / 60 + 1) {
            let found = run(&frames[..end], options());
            let wrong = wrong_parents(&found, &expected);
            assert!(
                wrong.is_empty(),
                "{} up to {end}: {wrong:?}",
                file.display()
            );
            nothing_left(&found);
        }
    })
}

#[test]
fn damaged_frames_break_nothing() -> Result<()> {
    each(|_, frames| {
        for seed in 0..6 {
            let mut noise = Noise::new(seed);
            let mut damaged = frames.to_vec();
            for frame in &mut damaged {
                if let Owned::Record(bytes) = frame
                    && noise.number().is_multiple_of(20)
                {
                    let at = noise.number() as usize % bytes.len();
                    bytes[at] ^= noise.number() as u8;
                }
            }
            nothing_left(&run(&damaged, options()));
            check_table(&damaged);
        }
    })
}

#[test]
fn made_up_records_keep_every_promise() {
    let mut spans = BTreeMap::new();
    for seed in 0..600 {
        let mut noise = Noise::new(seed);
        let len = noise.number() as usize % 1200;
        let frames = frames(&noise.bytes(len));
        check_pipeline(&frames);
        check_table(&frames);
        let run = run(&frames, options());
        for span in run.traces.iter().flat_map(|trace| &trace.spans) {
            let evidence = span.parent.map(|parent| parent.evidence);
            *spans.entry(evidence).or_insert(0) += 1;
        }
    }
    // The generator reaches what it is for.
    assert!(spans.len() >= 5, "{spans:?}");
    assert!(spans.values().sum::<u64>() > 10_000, "{spans:?}");
}

const SERVER: Task = Task { tgid: 1, tid: 1 };
const CLIENT: Task = Task { tgid: 2, tid: 2 };
const NOW: u64 = 1_000_000_000;
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// A connection of `task` between two ports of this host.
fn opened(conn: u64, task: Task, local: u16, remote: u16) -> Input<'static> {
    let end = |port| Endpoint::Inet([127, 0, 0, 1].into(), port);
    Input::Record(Record {
        at: 0,
        task,
        event: Event::Opened(Box::new(Opened {
            conn: ConnId(conn),
            at: 0,
            inode: conn,
            local: end(local),
            remote: end(remote),
            client: task == CLIENT,
            fresh: true,
            plain: None,
            netns: 1,
            offsets: [0, 0],
            path: None,
        })),
    })
}

/// `bytes` at `offset`, when the other direction had come as far as `opposite`.
fn chunk(
    conn: u64,
    direction: Direction,
    (offset, opposite): (u64, u64),
    bytes: &'static str,
) -> Chunk<'static> {
    Chunk {
        conn: ConnId(conn),
        direction,
        offset,
        opposite,
        fiber: 0,
        len: bytes.len() as u32,
        sequenced: true,
        unreadable: false,
        bytes: bytes.as_bytes(),
    }
}

/// What `task` did.
fn record(task: Task, event: Event<'static>) -> Input<'static> {
    let at = NOW;
    Input::Record(Record { at, task, event })
}

/// It is known and watched.
fn watched(task: Task) -> Input<'static> {
    let service = Service {
        name: "service".to_owned(),
        tgid: task.tgid,
        runtime: Runtime::Native,
        resource: Vec::new(),
    };
    Input::Process(task.tgid, Arc::new(service))
}

/// How many traces have left when a request of one process to another has just been answered.
fn left_at_once(with_client: bool) -> usize {
    let moved = |direction, bytes: &'static str, opposite| {
        let chunk = chunk(1, direction, (0, opposite), bytes);
        record(SERVER, Event::Chunk(chunk))
    };
    let mut inputs = vec![
        watched(SERVER),
        opened(1, SERVER, 80, 5000),
        opened(2, CLIENT, 5000, 80),
    ];
    if !with_client {
        inputs.push(Input::Unwatched(CLIENT.tgid));
    }
    inputs.extend([
        moved(Direction::Received, GET, 0),
        moved(Direction::Sent, ANSWER, GET.len() as u64),
        Input::Tick(NOW),
    ]);
    let mut pipeline = pipeline(options());
    let mut left = 0;
    for input in inputs {
        pipeline.handle(input, &mut |output| {
            left += usize::from(matches!(output, Output::Trace { .. }));
        });
    }
    left
}

/// Programs are watched from their start until the rules are asked: a client may announce its end
/// of a connection and never be heard of again.
#[test]
fn no_trace_waits_for_a_process_that_is_not_watched() {
    assert_eq!(left_at_once(true), 0);
    assert_eq!(left_at_once(false), 1);
}

/// What becomes of a request over TLS whose session only its ClientHello tells, of `task`; `before`
/// is what went over its connection: which way, and what.
fn through_tls(task: Task, before: &[(Direction, &'static str)]) -> Vec<String> {
    let (ask, answer) = match task == CLIENT {
        true => (Direction::Sent, Direction::Received),
        false => (Direction::Received, Direction::Sent),
    };
    let plain = |direction, offsets, bytes| {
        let plain = Plain {
            carrier: None,
            fresh: true,
            key: false,
            chunk: chunk(2, direction, offsets, bytes),
        };
        record(task, Event::Plain(plain))
    };
    let secured = Secured {
        session: ConnId(2),
        random: [b'r'; 32],
    };
    let mut inputs = vec![watched(task), opened(1, task, 80, 5000)];
    let mut moved = [0; 2];
    for (direction, bytes) in before {
        let offsets = [*direction, direction.opposite()].map(|way| moved[way.index()]);
        let chunk = chunk(1, *direction, offsets.into(), bytes);
        inputs.push(record(task, Event::Chunk(chunk)));
        moved[direction.index()] += bytes.len() as u64;
    }
    inputs.extend([
        record(task, Event::Secured(secured)),
        plain(ask, (0, 0), GET),
        plain(answer, (0, GET.len() as u64), ANSWER),
        Input::Stop,
    ]);
    let mut pipeline = pipeline(options());
    let mut names = Vec::new();
    for input in inputs {
        pipeline.handle(input, &mut |output| {
            if let Output::Trace { spans, .. } = output {
                names.extend(spans.into_iter().map(|span| span.name));
            }
        });
    }
    assert_eq!(pipeline.counts().plain.bound, 1);
    names
}

/// Servers read the head of a record by itself, and proxies are asked for a tunnel before.
#[test]
fn a_session_is_found_by_a_client_hello_in_parts_or_in_a_tunnel() {
    const HELLO: &str = "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\
        rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\x00\x00\x02\x13\x01\x01\x00\x00\x00";
    const CONNECT: &str = "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n";
    const OPEN: &str = "HTTP/1.1 200 OK\r\n\r\n";
    use Direction::{Received, Sent};
    let (head, rest) = HELLO.split_at(5);
    let whole = through_tls(SERVER, &[(Received, HELLO)]);
    assert_eq!(whole, ["GET /"]);
    let parts = through_tls(SERVER, &[(Received, head), (Received, rest)]);
    assert_eq!(parts, ["GET /"]);
    let tunnel = through_tls(CLIENT, &[(Sent, CONNECT), (Received, OPEN), (Sent, HELLO)]);
    assert_eq!(tunnel, ["CONNECT", "GET"]);
}
