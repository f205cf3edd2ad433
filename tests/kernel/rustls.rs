//! What rustls seals and opens, and which connections carry it: both directions, records of several
//! pieces, and keys that change.

use harness::host::root;
use harness::probes::Probes;
use harness::process::Child;
use harness::skip;
use std::collections::HashMap;
use std::path::Path;
use weft::record::decode::decode;
use weft::record::{Chunk, ConnId, Event, Plain, Record};

/// A connection that `rustls_peer.rs` made.
#[derive(Debug, serde::Deserialize)]
struct Ends {
    client: u64,
    server: u64,
}

/// What it said over each, in all.
const QUESTION: &[u8] = b"a question";
const QUESTIONS: u64 = 2 * QUESTION.len() as u64;
const ANSWERS: u64 = 2 * 12 * 3000;

#[test]
fn plain_bytes_of_rustls_are_seen_once_with_their_connection() {
    let what = "rustls";
    if !root() {
        return skip!("{what}", "root", "run as root");
    }
    let mut probes = Probes::start(("connection_life", "raw_tracepoint")).expect("it loads");
    let peer = Path::new(env!("CARGO_BIN_EXE_rustls-peer"));
    let mut child = Child::start(peer, &[]);
    child.line_with("ready");
    if !probes.probe_process(child.id()) {
        return skip!("{what}", "uprobes", "use a kernel that has them");
    }
    let lines = probes.drive(&mut child, |line| line == "done");
    let records: Vec<Record<'_>> = probes
        .records
        .iter()
        .map(|bytes| decode(bytes).expect("the kernel side writes records"))
        .filter(|record| record.task.tgid == child.id())
        .collect();
    let ends = lines.iter().filter(|line| line.starts_with('{'));
    let ends: Vec<Ends> = ends
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(ends.len(), 2, "{lines:?}");
    for ends in &ends {
        check(&records, ends.client, [QUESTIONS, ANSWERS]);
        check(&records, ends.server, [ANSWERS, QUESTIONS]);
    }
}

/// The end with this socket moved as many bytes each way, each once and in order.
fn check(records: &[Record<'_>], inode: u64, expected: [u64; 2]) {
    let conn = records.iter().find_map(|record| match &record.event {
        Event::Opened(opened) if opened.inode == inode => Some(opened.conn),
        _ => None,
    });
    let conn = conn.expect("each end is announced");
    let mut moved = [0; 2];
    let mut waiting: HashMap<ConnId, Vec<&Chunk<'_>>> = HashMap::new();
    let mut take = |chunk: &Chunk<'_>, offset: u64| {
        let way = chunk.direction.index();
        assert_eq!(offset, moved[way], "{chunk:?}");
        if u64::from(chunk.len) == QUESTION.len() as u64 {
            assert_eq!(chunk.bytes, QUESTION);
        }
        moved[way] += u64::from(chunk.len);
    };
    for record in records {
        match &record.event {
            Event::Plain(plain) if plain.key => {
                assert_eq!(plain.carrier, None, "{plain:?}");
                waiting
                    .entry(plain.chunk.conn)
                    .or_default()
                    .push(&plain.chunk);
            }
            Event::Plain(Plain {
                chunk,
                carrier,
                fresh,
                ..
            }) if *carrier == Some(conn) => {
                assert!(fresh, "{chunk:?}");
                take(chunk, chunk.offset);
            }
            Event::Joined(joined) if joined.carrier == conn => {
                assert!(joined.fresh, "{joined:?}");
                for chunk in waiting.remove(&joined.key).expect("it was told of") {
                    take(chunk, joined.offset + chunk.offset);
                }
            }
            _ => {}
        }
    }
    assert_eq!(moved, expected, "socket {inode}");
}
