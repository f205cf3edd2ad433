//! What TLS libraries encrypt, and which connections carry it.

use harness::host::{python, root};
use harness::probes::{Probes, libraries};
use harness::process::Child;
use harness::skip;
use weft::probe::attach::has_cookies;
use weft::probe::runtime::Part;
use weft::probe::uprobes::Reach;
use weft::record::decode::decode;
use weft::record::{Direction, Event, Opened, Plain, Record};

/// A connection that `tls.py` made.
#[derive(Debug, serde::Deserialize)]
struct Way {
    way: String,
    client: u64,
    server: u64,
}

/// What it said over each.
const QUESTION: &[u8] = b"a question";
const ANSWER: usize = 9000;

#[test]
fn plain_bytes_are_seen_once_with_their_connection() {
    let what = "TLS";
    let (Some(python), true) = (python(), root()) else {
        return skip!("{what}", "python3 and root", "run as root, install python3");
    };
    let mut probes = Probes::start(("connection_life", "raw_tracepoint")).expect("it loads");
    if !probes.probe_libraries() {
        return skip!(
            "{what}",
            "libssl",
            "install libssl3, on a kernel with uprobes"
        );
    }
    let path = format!("{}/kernel/tls.py", env!("CARGO_MANIFEST_DIR"));
    let mut child = Child::start(&python, &[&path]);
    child.line_with("ready");
    let lines = probes.drive(&mut child, |line| line == "done");
    assert!(child.alive(), "tls.py failed: {}", child.errors());
    let records: Vec<Record<'_>> = probes
        .records
        .iter()
        .map(|bytes| decode(bytes).expect("the kernel side writes records"))
        .filter(|record| record.task.tgid == child.id())
        .collect();
    let ways = lines.iter().filter(|line| line.starts_with('{'));
    let ways: Vec<Way> = ways
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(ways.len(), 2, "{lines:?}");
    for way in &ways {
        // The servers' library always uses the socket itself.
        check(&records, way.server, [ANSWER, QUESTION.len()]);
    }
    for way in ways.iter().filter(|way| way.way == "by_library") {
        check(&records, way.client, [QUESTION.len(), ANSWER]);
    }
    for way in ways.iter().filter(|way| way.way == "by_program") {
        check_by_number(&records, way.client);
    }
}

/// A process may end while it is looked at: its files are probed for the next one that runs them.
#[test]
fn files_of_a_process_that_ended_are_probed_for_others() {
    let what = "TLS of ended processes";
    if !root() {
        return skip!("{what}", "root", "run as root");
    }
    let Some(part) = libraries().into_iter().find(|part| !part.sites.is_empty()) else {
        return skip!("{what}", "libssl", "install libssl3");
    };
    let mut probes = Probes::start(("connection_life", "raw_tracepoint")).expect("it loads");
    // No process has this id, the largest there is.
    let ended = format!("/proc/4194304/root{}", part.path.display());
    let ended = Part {
        path: ended.into(),
        ..part.clone()
    };
    assert_eq!(probes.probe_parts(1, &[ended]), (Reach::Gone, 0));
    assert_eq!(probes.probe_parts(2, &[part]), (Reach::Whole, 1));
}

fn opened<'a>(records: &'a [Record<'_>], inode: u64) -> &'a Opened {
    let opened = records.iter().find_map(|record| match &record.event {
        Event::Opened(opened) if opened.inode == inode => Some(&**opened),
        _ => None,
    });
    opened.expect("each end is announced")
}

fn plain<'a, 'b>(records: &'a [Record<'b>]) -> impl Iterator<Item = &'a Plain<'b>> {
    records.iter().filter_map(|record| match &record.event {
        Event::Plain(plain) => Some(plain),
        _ => None,
    })
}

/// The end with this socket moved as many bytes each way, each once.
fn check(records: &[Record<'_>], inode: u64, expected: [usize; 2]) {
    let conn = opened(records, inode).conn;
    let mine = |plain: &&Plain<'_>| plain.carrier == Some(conn);
    let mut moved = [0; 2];
    for plain in plain(records).filter(mine) {
        assert!(plain.fresh, "{plain:?}");
        let way = plain.chunk.direction.index();
        assert_eq!(plain.chunk.offset, moved[way] as u64, "{plain:?}");
        if plain.chunk.offset == 0 && plain.chunk.len as usize == QUESTION.len() {
            assert_eq!(plain.chunk.bytes, QUESTION);
        }
        moved[way] += plain.chunk.len as usize;
    }
    assert_eq!(moved, expected, "socket {inode}");
}

/// The session of no known connection names the ClientHello that this socket has sent.
fn check_by_number(records: &[Record<'_>], inode: u64) {
    let conn = opened(records, inode).conn;
    let lost: Vec<_> = plain(records)
        .filter(|plain| plain.carrier.is_none())
        .collect();
    let session = lost
        .first()
        .expect("a session without a connection")
        .chunk
        .conn;
    let asked = lost[0];
    assert_eq!(asked.chunk.direction, Direction::Sent);
    assert_eq!(asked.chunk.bytes, QUESTION);
    let hello = records.iter().find_map(|record| match &record.event {
        Event::Chunk(chunk) if chunk.conn == conn => Some(chunk.bytes),
        _ => None,
    });
    let number = records.iter().find_map(|record| match &record.event {
        Event::Secured(secured) if secured.session == session => Some(secured.random),
        _ => None,
    });
    if !has_cookies() {
        assert_eq!(number, None, "nothing tells where the number is");
        return;
    }
    let hello = hello.expect("the first bytes of the connection");
    assert_eq!(number.unwrap()[..], hello[11..43]);
}
