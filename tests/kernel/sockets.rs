//! Every way to send and receive, by every backend, byte by byte.

use harness::host::{python, root};
use harness::probes::Probes;
use harness::process::Child;
use harness::skip;
use std::collections::HashMap;
use weft::probe::attach::State;
use weft::record::decode::decode;
use weft::record::{Chunk, ConnId, Direction, Event, Opened};

/// One connection as `ways.py` made it.
#[derive(Debug, serde::Deserialize)]
struct Way {
    family: String,
    way: String,
    sender: u64,
    receiver: u64,
    bytes: u64,
    head: String,
}

/// The chunks of one end of a connection, with their bytes.
#[derive(Default)]
pub(crate) struct Seen<'a> {
    pub(crate) opened: Option<Opened>,
    pub(crate) chunks: Vec<Chunk<'a>>,
}

/// Senders whose bytes never are in user memory.
const BUFFERLESS: [&str; 2] = ["sendfile-", "splice-"];

#[test]
fn sock_length_sees_every_way() {
    check("sock_length");
}

#[test]
fn sys_exit_sees_every_way() {
    check("sys_exit");
}

#[test]
fn syscalls_see_every_way() {
    check("syscalls");
}

/// Runs `script` of this folder while it is watched, one subject by the candidate that `forced`
/// names: all records, and all lines it printed. `None` when that cannot be done here, which is
/// said.
pub(crate) fn drive(
    what: &str,
    forced: (&str, &str),
    script: &str,
) -> Option<(Probes, Vec<String>)> {
    let (Some(python), true) = (python(), root()) else {
        skip!("{what}", "python3 and root", "run as root, install python3");
        return None;
    };
    let mut probes = Probes::start(forced).expect("the kernel object loads");
    let reports = &probes.loaded.reports;
    let of_subject = reports
        .iter()
        .find(|report| report.subject.name == forced.0);
    let report = of_subject.expect("a subject of that name");
    if let Some(active) = report.active() {
        assert_eq!(active.name, forced.1);
    } else {
        let why: Vec<_> = report
            .candidates
            .iter()
            .filter(|(_, s)| matches!(s, State::Refused(_)))
            .collect();
        skip!("{what}", format!("the hook ({why:?})"), "another kernel");
        return None;
    }
    let path = format!("{}/kernel/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut child = Child::start(&python, &[&path]);
    child.line_with("ready");
    let is_last = |line: &str| line == "done" || line.starts_with("unavailable");
    let lines = probes.drive(&mut child, is_last);
    assert!(child.alive(), "{script} failed: {}", child.errors());
    Some((probes, lines))
}

fn check(backend: &str) {
    let what = format!("every way by {backend}");
    let Some((probes, lines)) = drive(&what, ("socket_io", backend), "ways.py") else {
        return;
    };
    let ways: Vec<Way> = lines
        .iter()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        ways.len() > 50,
        "ways.py told of {} connections",
        ways.len()
    );
    let seen = by_inode(&probes.records);
    let mut wrong = Vec::new();
    for way in &ways {
        if let Err(why) = judge(way, &seen, backend) {
            wrong.push(format!("{} {}: {why}", way.family, way.way));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} ways:\n{}",
        wrong.len(),
        ways.len(),
        wrong.join("\n")
    );
    assert_eq!(probes.control.losses()[0], 0, "records were lost");
}

pub(crate) fn by_inode(records: &[Vec<u8>]) -> HashMap<u64, Seen<'_>> {
    let mut inodes: HashMap<ConnId, u64> = HashMap::new();
    let mut seen: HashMap<u64, Seen<'_>> = HashMap::new();
    for bytes in records {
        match decode(bytes).expect("the kernel side writes records").event {
            Event::Opened(opened) => {
                inodes.insert(opened.conn, opened.inode);
                let inode = opened.inode;
                seen.entry(inode).or_default().opened = Some(*opened);
            }
            Event::Chunk(chunk) => {
                let inode = inodes[&chunk.conn];
                seen.entry(inode).or_default().chunks.push(chunk);
            }
            _ => {}
        }
    }
    seen
}

/// Both ends of one connection say what went over it.
fn judge(way: &Way, seen: &HashMap<u64, Seen<'_>>, backend: &str) -> Result<(), String> {
    let start = |inode, direction: Direction| -> Result<u64, String> {
        let end = seen
            .get(&inode)
            .ok_or(format!("no record of the socket ({direction:?})"))?;
        let opened = end.opened.as_ref().ok_or("not announced")?;
        if way.family != "unix" && !opened.fresh {
            return Err("a new connection was taken for an old one".to_owned());
        }
        let chunks: Vec<_> = end
            .chunks
            .iter()
            .filter(|c| c.direction == direction)
            .collect();
        let bufferless = direction == Direction::Sent
            && BUFFERLESS.iter().any(|sender| way.way.starts_with(sender));
        let mut next = opened.offsets[direction.index()];
        let mut copied = Vec::new();
        for chunk in &chunks {
            if chunk.offset != next {
                return Err(format!(
                    "{direction:?} chunk at {} instead of {next}",
                    chunk.offset
                ));
            }
            next += u64::from(chunk.len);
            if copied.len() as u64 == chunk.offset - opened.offsets[direction.index()] {
                copied.extend_from_slice(chunk.bytes);
            }
        }
        let total = next - opened.offsets[direction.index()];
        if total != way.bytes {
            return Err(format!(
                "{direction:?} {total} bytes instead of {}",
                way.bytes
            ));
        }
        let head = way.head.as_bytes();
        if !bufferless && !copied.starts_with(&head[..head.len().min(way.bytes as usize)]) {
            let found = String::from_utf8_lossy(&copied[..copied.len().min(64)]).into_owned();
            return Err(format!("{direction:?} bytes begin with {found:?}"));
        }
        let whole = way.bytes <= 8192 && copied.len() as u64 != way.bytes;
        if whole && !bufferless && !(backend != "sock_length" && way.way.contains("mmsg")) {
            return Err(format!(
                "{direction:?} {} of {} copied",
                copied.len(),
                way.bytes
            ));
        }
        Ok(opened.offsets[direction.index()])
    };
    let sent = start(way.sender, Direction::Sent)?;
    let received = start(way.receiver, Direction::Received)?;
    if sent != received {
        return Err(format!("sent at offset {sent}, received at {received}"));
    }
    Ok(())
}
