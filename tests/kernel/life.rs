//! Lives of connections and processes, by every candidate.

use crate::sockets::drive;
use weft::record::decode::decode;
use weft::record::{Event, Opened};

/// What `life.py` did.
#[derive(Debug, serde::Deserialize)]
struct Life {
    client: u64,
    server: u64,
    half: u64,
    child: u32,
}

#[test]
fn raw_tracepoints_see_lives() {
    check("raw_tracepoint");
}

#[test]
fn the_tracepoint_sees_lives_of_connections() {
    check("tracepoint");
}

fn check(connection_life: &str) {
    let what = format!("lives by {connection_life}");
    let forced = ("connection_life", connection_life);
    let Some((probes, lines)) = drive(&what, forced, "life.py") else {
        return;
    };
    let line = lines.iter().find(|line| line.starts_with('{')).unwrap();
    let life: Life = serde_json::from_str(line).unwrap();
    let records: Vec<_> = probes
        .records
        .iter()
        .map(|bytes| decode(bytes).expect("the kernel side writes records"))
        .collect();
    let opened = |inode| -> &Opened {
        let opened = records.iter().find_map(|record| match &record.event {
            Event::Opened(opened) if opened.inode == inode => Some(&**opened),
            _ => None,
        });
        opened.expect("each end is announced")
    };
    for (inode, is_client) in [(life.client, true), (life.server, false)] {
        let end = opened(inode);
        assert_eq!(end.client, is_client, "{what}: {end:?}");
        let is_over = records
            .iter()
            .any(|record| matches!(&record.event, Event::Ended(ended) if ended.conn == end.conn));
        assert!(is_over, "{what}: no end of {end:?}");
    }
    // Who closes reads no more, though the other side has not closed yet; who only shuts down
    // still waits for an answer.
    for (inode, first) in [(life.client, [true, true]), (life.half, [true, false])] {
        let conn = opened(inode).conn;
        let end = records.iter().find_map(|record| match &record.event {
            Event::Ended(ended) if ended.conn == conn => Some(ended.directions),
            _ => None,
        });
        assert_eq!(end, Some(first), "{what}");
    }
    let child = |seen: &dyn Fn(&Event<'_>) -> bool| {
        let own = |tgid| tgid == life.child;
        records.iter().any(|record| match &record.event {
            Event::Spawned(made) => own(made.tgid) && seen(&record.event),
            other => own(record.task.tgid) && seen(other),
        })
    };
    assert!(child(&|event| matches!(event, Event::Spawned(_))), "made");
    assert!(
        child(&|event| matches!(event, Event::Executed { .. })),
        "runs"
    );
    assert!(child(&|event| matches!(event, Event::Exited)), "over");
}
