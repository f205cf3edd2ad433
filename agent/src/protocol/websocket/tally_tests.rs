use super::*;
use Direction::{Received, Sent};

/// What a server is told after `calls`, each taken whole or as a gap of that many bytes.
fn tell(calls: &[(Direction, Result<&[u8], u64>)]) -> String {
    let mut tally = Tally::new(Role::Server, false);
    for (direction, call) in calls {
        match call {
            Ok(bytes) => {
                let mut rest = *bytes;
                while !rest.is_empty() {
                    let taken = tally.feed(*direction, rest);
                    assert!(taken > 0, "waits for more than {rest:x?}");
                    rest = &rest[taken..];
                }
            }
            Err(missing) => {
                let mut left = *missing;
                while left > 0 {
                    left -= tally.gap(*direction, left);
                }
            }
        }
    }
    let ended = tally.ended();
    let attributes: Vec<_> = ended
        .attributes
        .iter()
        .map(|one| {
            format!(
                "{}={:?}",
                one.key.rsplit('.').next().unwrap_or(""),
                one.value
            )
        })
        .collect();
    let cut = if ended.cut { " cut" } else { "" };
    format!("{:?} {}{cut}", ended.outcome, attributes.join(" "))
}

fn check(calls: &[(Direction, Result<&[u8], u64>)], expected: &str) {
    assert_eq!(tell(calls), expected, "{calls:x?}");
}

const HI: &[u8] = b"\x81\x82\0\0\0\0hi";

#[test]
fn messages_are_counted_by_direction() {
    check(
        &[
            (Received, Ok(HI)),
            (Received, Ok(HI)),
            (Sent, Ok(b"\x81\x02hi")),
        ],
        "Aborted messages_sent=Int(1) messages_received=Int(2)",
    );
}

#[test]
fn fragments_are_one_message_and_control_frames_none() {
    check(
        &[
            (Sent, Ok(b"\x01\x02hi\x89\x00\x00\x01x\x80\x00")),
            (Received, Ok(b"\x8a\x80\0\0\0\0")),
        ],
        "Aborted messages_sent=Int(1) messages_received=Int(0)",
    );
    check(
        &[(Sent, Ok(b"\x01\x02hi"))],
        "Aborted messages_sent=Int(0) messages_received=Int(0)",
    );
}

#[test]
fn gaps_within_payloads_are_bridged() {
    check(
        &[
            (Sent, Ok(b"\x82\x7e\x10\x00abc")),
            (Sent, Err(0x1000 - 3)),
            (Sent, Ok(b"\x81\x02hi")),
        ],
        "Aborted messages_sent=Int(2) messages_received=Int(0)",
    );
}

#[test]
fn what_was_not_seen_is_not_counted() {
    check(
        &[
            (Sent, Ok(b"\x81\x02hi")),
            (Sent, Err(1)),
            (Received, Ok(HI)),
        ],
        "Unknown messages_received=Int(1) cut",
    );
    // continued without a beginning, begun anew without an end
    for bytes in [&b"\x80\x00"[..], b"\x01\x00\x81\x00"] {
        check(&[(Sent, Ok(bytes))], "Unknown messages_received=Int(0) cut");
    }
    // The other side's close frame still tells how it went.
    check(
        &[(Sent, Err(1)), (Received, Ok(b"\x88\x82\0\0\0\0\x03\xe8"))],
        "Ok messages_received=Int(0) close_code=Int(1000) cut",
    );
}

#[test]
fn close_codes_blame_one_side() {
    for (code, outcome) in [
        (1000_u16, "Ok"),
        (1001, "Ok"),
        (3000, "Ok"),
        (4999, "Ok"),
        (1002, "ClientError { kind: \"1002\" }"),
        (1009, "ClientError { kind: \"1009\" }"),
        (1011, "ServerError { kind: \"1011\" }"),
        (1013, "ServerError { kind: \"1013\" }"),
    ] {
        let [a, b] = code.to_be_bytes();
        let counts = "messages_sent=Int(0) messages_received=Int(0)";
        let expected = format!("{outcome} {counts} close_code=Int({code})");
        check(&[(Sent, Ok(&[0x88, 2, a, b]))], &expected);
        let other = match outcome.split_once('E') {
            Some(("Client", _)) => expected.replace("Client", "Server"),
            Some(("Server", _)) => expected.replace("Server", "Client"),
            _ => expected,
        };
        check(&[(Received, Ok(&[0x88, 0x82, 0, 0, 0, 0, a, b]))], &other);
    }
    check(
        &[(Sent, Ok(b"\x88\x00"))],
        "Ok messages_sent=Int(0) messages_received=Int(0)",
    );
}

#[test]
fn the_first_close_frame_counts_and_nothing_behind_it() {
    check(
        &[
            (Received, Ok(b"\x88\x82\0\0\0\0\x03\xe9")),
            (Sent, Ok(b"\x88\x02\x03\xf3\x81\x00garbage")),
        ],
        "Ok messages_sent=Int(0) messages_received=Int(0) close_code=Int(1001)",
    );
}
