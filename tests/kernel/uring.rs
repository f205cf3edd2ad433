//! Bytes that io_uring moves: counted, never taken from somewhere else, and no harm to what
//! comes behind them.

use crate::sockets::{Seen, by_inode, drive};
use agent_common::loss::Loss;
use harness::recording::{self, Owned};
use harness::skip;
use weft::protocol::exchange::{Attribute, Role, Value};
use weft::record::Direction;
use weft::semconv::URL_PATH;

/// One connection as `uring.py` made it.
#[derive(Debug, serde::Deserialize)]
struct Story {
    client: u64,
    server: u64,
    asked: String,
    answered: String,
    paths: Vec<String>,
}

#[test]
fn sock_length_counts_what_io_uring_moves() {
    check("sock_length");
}

#[test]
fn sys_exit_bridges_what_io_uring_moves() {
    check("sys_exit");
}

#[test]
fn syscalls_bridge_what_io_uring_moves() {
    check("syscalls");
}

fn check(backend: &str) {
    let what = format!("io_uring by {backend}");
    let Some((probes, lines)) = drive(&what, ("socket_io", backend), "uring.py") else {
        return;
    };
    if let Some(why) = lines.iter().find(|line| line.starts_with("unavailable")) {
        return skip!(
            "{what}",
            format!("io_uring ({why})"),
            "a kernel that allows it"
        );
    }
    let seen = by_inode(&probes.records);
    let counted = backend == "sock_length";
    let stories = lines.iter().filter(|line| line.starts_with('{'));
    let stories: Vec<Story> = stories
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(stories.len(), 3);
    for story in &stories {
        for (inode, direction, stream) in [
            (story.client, Direction::Sent, &story.asked),
            (story.server, Direction::Received, &story.asked),
            (story.server, Direction::Sent, &story.answered),
            (story.client, Direction::Received, &story.answered),
        ] {
            let found = judge(&seen[&inode], direction, &bytes_of(stream), counted);
            assert_eq!(found, Ok(()), "{what}, {direction:?}");
        }
    }
    let losses = probes.control.losses();
    assert_eq!(losses[Loss::RingFull as usize], 0, "records were lost");
    assert_eq!(losses[Loss::NoBuffer as usize] > 0, counted, "{losses:?}");
    let mut expected: Vec<_> = stories.into_iter().flat_map(|story| story.paths).collect();
    expected.sort();
    for role in [Role::Server, Role::Client] {
        assert_eq!(paths(&probes.records, role), expected, "{role:?}");
    }
}

/// What was copied is what went over the wire at that place, and nothing is counted twice.
fn judge(seen: &Seen<'_>, way: Direction, stream: &[u8], counted: bool) -> Result<(), String> {
    let start = seen.opened.as_ref().ok_or("not announced")?.offsets[way.index()];
    let mut next = 0;
    for chunk in seen.chunks.iter().filter(|chunk| chunk.direction == way) {
        let at = (chunk.offset - start) as usize;
        if at < next || (counted && at > next) {
            return Err(format!("a chunk at {at} instead of {next}"));
        }
        next = at + chunk.len as usize;
        let real = stream.get(at..at + chunk.bytes.len());
        if real != Some(chunk.bytes) {
            let told = String::from_utf8_lossy(chunk.bytes);
            return Err(format!("at {at} there never was {told:?}"));
        }
    }
    if next != stream.len() {
        return Err(format!("{next} bytes instead of {}", stream.len()));
    }
    Ok(())
}

/// Paths of the requests that the pipeline finds in `records` with their answers, sorted.
fn paths(records: &[Vec<u8>], role: Role) -> Vec<String> {
    let frames: Vec<_> = records.iter().cloned().map(Owned::Record).collect();
    let run = recording::run(&frames, recording::options());
    let spans = run.traces.iter().flat_map(|trace| &trace.spans);
    let path = |attribute: &Attribute| match &attribute.value {
        Value::Text(path) if attribute.key == URL_PATH => Some(path.to_string()),
        _ => None,
    };
    let mut paths: Vec<_> = spans
        .filter(|span| span.role == role)
        .filter_map(|span| span.attributes.iter().find_map(path))
        .collect();
    paths.sort();
    paths
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}
