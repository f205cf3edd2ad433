//! Bytes of a record to [`Record`].
//!
//! The bytes come from the kernel side or from a file: any bytes at all give a record or an
//! error, never a panic.

use super::{
    Allocator, Called, Chunk, ConnId, Direction, Ended, Endpoint, Event, Function, Joined, Opened,
    Plain, Record, Returned, Secured, Stream, Task, Way,
};
use agent_common::conn::{Address, FAMILY_INET, FAMILY_INET6, ROLE_CLIENT, SENT, UNIX_PATH};
use agent_common::record as raw;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::FromBytes;

/// Times beyond are no times: sums with any wait must not overflow. 146 years of uptime, ns.
pub const TIME: u64 = 1 << 62;
/// Offsets beyond are no offsets: 64 PiB over one connection.
pub const OFFSET: u64 = 1 << 56;

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Shorter than it says or than its kind needs.
    #[error("a record of {0} bytes is too short")]
    Short(usize),
    /// A kind that this build does not know.
    #[error("unknown kind of record {0}")]
    Kind(u32),
    /// A field with an impossible value.
    #[error("impossible {0} in a record")]
    Field(&'static str),
}

/// Decodes one record.
///
/// # Errors
/// When the bytes are no record of this layout.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, Error> {
    let short = || Error::Short(bytes.len());
    let header: raw::Header = view(bytes).ok_or_else(short)?;
    if header.at > TIME {
        return Err(Error::Field("time"));
    }
    let event = match header.kind {
        raw::OPENED => opened(&view(bytes).ok_or_else(short)?)?,
        raw::CHUNK => {
            let head: raw::Chunk = view(bytes).ok_or_else(short)?;
            let body = bytes.get(size_of::<raw::Chunk>()..).unwrap_or_default();
            let body = body.get(..head.captured as usize).ok_or_else(short)?;
            chunk(&head, body)?
        }
        raw::PLAIN => {
            let head: raw::Plain = view(bytes).ok_or_else(short)?;
            let body = bytes.get(size_of::<raw::Plain>()..).unwrap_or_default();
            let body = body.get(..head.captured as usize).ok_or_else(short)?;
            plain(&head, body)?
        }
        raw::SECURED => {
            let secured: raw::Secured = view(bytes).ok_or_else(short)?;
            Event::Secured(Secured {
                session: ConnId(secured.session),
                random: secured.client_random,
            })
        }
        raw::JOINED => joined(&view(bytes).ok_or_else(short)?)?,
        raw::CALLED => {
            let head: raw::Called = view(bytes).ok_or_else(short)?;
            let body = bytes.get(size_of::<raw::Called>()..).unwrap_or_default();
            let body = body.get(..head.captured as usize).ok_or_else(short)?;
            called(&head, body)?
        }
        raw::RETURNED => returned(&view(bytes).ok_or_else(short)?)?,
        raw::STREAM => stream(&view(bytes).ok_or_else(short)?)?,
        raw::ENDED => ended(&view(bytes).ok_or_else(short)?)?,
        raw::SPAWNED => {
            let spawned: raw::Spawned = view(bytes).ok_or_else(short)?;
            Event::Spawned(Task {
                tgid: spawned.child_tgid,
                tid: spawned.child_tid,
            })
        }
        raw::EXECUTED => executed(&view(bytes).ok_or_else(short)?),
        raw::EXITED => Event::Exited,
        raw::LEFT => Event::Left,
        raw::LINKED => {
            let linked: raw::Linked = view(bytes).ok_or_else(short)?;
            Event::Linked {
                fiber: linked.fiber,
                maker: linked.maker,
            }
        }
        raw::HANDED => {
            let linked: raw::Linked = view(bytes).ok_or_else(short)?;
            Event::Handed {
                fiber: linked.fiber,
                by: linked.maker,
            }
        }
        raw::ALLOCATES => {
            let part: raw::Allocates = view(bytes).ok_or_else(short)?;
            let bit = |bit| part.flags & bit != 0;
            Event::Allocates {
                from: part.from,
                to: part.to,
                by: if bit(raw::ALLOCATES_VIRTUAL) {
                    Allocator::Carries(part.conn)
                } else if bit(raw::ALLOCATES_YIELDED) {
                    Allocator::Yielded
                } else if bit(raw::ALLOCATES_WORKER) {
                    Allocator::Worker(ConnId(part.conn))
                } else {
                    Allocator::Thread
                },
            }
        }
        raw::OVER => {
            let linked: raw::Linked = view(bytes).ok_or_else(short)?;
            let fiber = linked.fiber;
            Event::Over { fiber }
        }
        kind => return Err(Error::Kind(kind)),
    };
    let task = Task {
        tgid: header.tgid,
        tid: header.tid,
    };
    Ok(Record {
        at: header.at,
        task,
        event,
    })
}

/// A copy of the fixed part: the bytes of a log need not be aligned.
fn view<T: FromBytes>(bytes: &[u8]) -> Option<T> {
    T::read_from_prefix(bytes).ok().map(|(value, _)| value)
}

fn opened(record: &raw::Opened) -> Result<Event<'static>, Error> {
    let end = |address: &Address, inode: u64| match record.family {
        FAMILY_INET | FAMILY_INET6 => Endpoint::Inet(ip(address, record.family), address.port),
        _ => Endpoint::Unix(inode),
    };
    bounded([record.sent, record.received])?;
    let path_len = (record.path_len as usize).min(UNIX_PATH);
    let path = &record.path[..path_len];
    Ok(Event::Opened(Box::new(Opened {
        conn: ConnId(record.conn),
        at: record.header.at,
        inode: record.inode,
        local: end(&record.local, record.inode),
        remote: end(&record.remote, record.peer_inode),
        client: record.role == ROLE_CLIENT,
        fresh: record.fresh == 1,
        plain: None,
        netns: record.netns,
        offsets: [record.sent, record.received],
        path: socket_path(path),
    })))
}

/// A bound path as people write it: `@name` for the abstract ones.
fn socket_path(path: &[u8]) -> Option<String> {
    match path {
        [] => None,
        [0, name @ ..] => Some(format!("@{}", String::from_utf8_lossy(name))),
        _ => {
            let end = path
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(path.len());
            Some(String::from_utf8_lossy(&path[..end]).into_owned())
        }
    }
}

/// IPv4 addresses mapped into IPv6 are IPv4: both ends of a connection must name it alike.
fn ip(address: &Address, family: u16) -> IpAddr {
    let b = address.ip;
    if family == FAMILY_INET {
        return IpAddr::V4(Ipv4Addr::new(b[0], b[1], b[2], b[3]));
    }
    IpAddr::V6(Ipv6Addr::from(b)).to_canonical()
}

fn chunk<'a>(head: &raw::Chunk, bytes: &'a [u8]) -> Result<Event<'a>, Error> {
    whole(head.captured, head.len)?;
    bounded([head.offset, head.opposite])?;
    Ok(Event::Chunk(Chunk {
        conn: ConnId(head.conn),
        direction: direction(head.direction),
        offset: head.offset,
        opposite: head.opposite,
        fiber: if head.flags & raw::CHUNK_FIBER != 0 {
            head.fiber
        } else {
            0
        },
        len: head.len,
        sequenced: head.flags & raw::CHUNK_SEQUENCED != 0,
        unreadable: head.flags & (raw::CHUNK_NO_BUFFER | raw::CHUNK_FAULT) != 0,
        bytes,
    }))
}

fn plain<'a>(head: &raw::Plain, bytes: &'a [u8]) -> Result<Event<'a>, Error> {
    whole(head.captured, head.len)?;
    bounded([head.offset, head.opposite])?;
    let is = |flag| head.flags & flag != 0;
    Ok(Event::Plain(Plain {
        carrier: (head.conn != 0).then_some(ConnId(head.conn)),
        fresh: is(raw::PLAIN_FRESH),
        key: is(raw::PLAIN_KEY),
        chunk: Chunk {
            conn: ConnId(head.session),
            direction: direction(head.direction),
            offset: head.offset,
            opposite: head.opposite,
            fiber: if is(raw::CHUNK_FIBER) { head.fiber } else { 0 },
            len: head.len,
            sequenced: false,
            unreadable: is(raw::CHUNK_NO_BUFFER | raw::CHUNK_FAULT),
            bytes,
        },
    }))
}

fn joined(record: &raw::Joined) -> Result<Event<'static>, Error> {
    bounded([record.offset, record.opposite])?;
    Ok(Event::Joined(Joined {
        key: ConnId(record.key),
        session: ConnId(record.session),
        carrier: ConnId(record.conn),
        offset: record.offset,
        opposite: record.opposite,
        fresh: record.flags & u32::from(raw::PLAIN_FRESH) != 0,
    }))
}

fn whole(captured: u32, len: u32) -> Result<(), Error> {
    if captured > len {
        return Err(Error::Field("captured length"));
    }
    Ok(())
}

fn direction(raw: u16) -> Direction {
    if raw == u16::from(SENT) {
        Direction::Sent
    } else {
        Direction::Received
    }
}

fn stream(record: &raw::Stream) -> Result<Event<'static>, Error> {
    let way = match record.role {
        raw::STREAM_SERVED => Way::Served,
        raw::STREAM_ASKED => Way::Asked,
        raw::STREAM_WRITER => Way::Writer,
        raw::STREAM_HEARD => Way::Heard,
        raw::STREAM_ANSWERED => Way::Answered,
        raw::STREAM_TAKEN => Way::Taken(record.conn),
        _ => return Err(Error::Field("role of a task")),
    };
    Ok(Event::Stream(Stream {
        conn: ConnId(record.conn),
        number: record.stream,
        fiber: record.fiber,
        way,
    }))
}

fn called<'a>(head: &raw::Called, statement: &'a [u8]) -> Result<Event<'a>, Error> {
    whole(head.captured, head.len)?;
    Ok(Event::Called(Box::new(Called {
        call: ConnId(head.call),
        fiber: head.fiber,
        by: head.task,
        depth: head.depth,
        function: function(head.function)?,
        driver: type_name(&head.driver),
        statement,
        cut: head.captured < head.len,
    })))
}

fn returned(record: &raw::Returned) -> Result<Event<'static>, Error> {
    let is = |flag| record.flags & flag != 0;
    let failed = is(raw::RETURNED_FAILED);
    let within = is(raw::RETURNED_WITHIN).then(|| function(record.function));
    Ok(Event::Returned(Box::new(Returned {
        by: record.task,
        depth: record.depth,
        within: within.transpose()?,
        error: failed.then(|| type_name(&record.error).unwrap_or_default()),
    })))
}

fn function(raw: u16) -> Result<Function, Error> {
    Ok(match raw {
        raw::CALLED_QUERY => Function::Query,
        raw::CALLED_EXEC => Function::Exec,
        raw::CALLED_PREPARED => Function::Prepared,
        raw::CALLED_BEGIN => Function::Begin,
        raw::CALLED_COMMIT => Function::Commit,
        raw::CALLED_ROLLBACK => Function::Rollback,
        _ => return Err(Error::Field("function")),
    })
}

/// The text of an `abi.Name` of Go, as far as it was copied: behind flags, and its length in seven bits a
/// byte. Pointers to types and types go by the same name.
fn type_name(raw: &[u8; raw::TYPE_BYTES]) -> Option<String> {
    let (len, text) = match raw {
        [_, low @ 0..0x80, text @ ..] => (usize::from(*low), &text[..]),
        [_, low, high @ 0..0x80, text @ ..] => (
            usize::from(*low & 0x7f) | usize::from(*high) << 7,
            &text[..],
        ),
        _ => return None,
    };
    let name = std::str::from_utf8(text.get(..len).unwrap_or(text)).ok()?;
    let name = name.trim_start_matches('*');
    let is_name = |c: char| c.is_alphanumeric() || "._-/[],* {}".contains(c);
    (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
}

fn ended(record: &raw::Ended) -> Result<Event<'static>, Error> {
    bounded([record.sent, record.received])?;
    let directions = match record.which {
        raw::END_SENT => [true, false],
        raw::END_RECEIVED => [false, true],
        raw::END_BOTH => [true, true],
        _ => return Err(Error::Field("end")),
    };
    Ok(Event::Ended(Ended {
        conn: ConnId(record.conn),
        offsets: [record.sent, record.received],
        unread: record.unread,
        directions,
    }))
}

fn bounded(offsets: [u64; 2]) -> Result<(), Error> {
    if offsets.iter().any(|offset| *offset > OFFSET) {
        return Err(Error::Field("offset"));
    }
    Ok(())
}

fn executed(record: &raw::Executed) -> Event<'static> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let comm = record
        .comm
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    let len = (record.command_len as usize).min(record.command.len());
    let command = record.command[..len].split(|byte| *byte == 0);
    Event::Executed {
        comm: text(comm),
        command: command.filter(|word| !word.is_empty()).map(text).collect(),
        fresh: record.fresh == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    fn chunk_record(len: u32, captured: u32, body: &[u8]) -> Vec<u8> {
        let size = (size_of::<raw::Chunk>() + body.len()) as u32;
        let head = raw::Chunk {
            header: raw::Header {
                at: 7,
                tgid: 1,
                tid: 2,
                kind: raw::CHUNK,
                size,
            },
            conn: 9,
            offset: 100,
            opposite: 50,
            fiber: 0,
            len,
            captured,
            direction: 1,
            flags: raw::CHUNK_SEQUENCED,
            syscall: 0,
        };
        let mut bytes = head.as_bytes().to_vec();
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_chunk_keeps_its_bytes_and_its_length() {
        let bytes = chunk_record(10, 5, b"hello");
        let record = decode(&bytes).unwrap();
        let Event::Chunk(chunk) = record.event else {
            panic!("not a chunk")
        };
        assert_eq!((chunk.bytes, chunk.len), (&b"hello"[..], 10));
        assert_eq!(chunk.direction, Direction::Received);
        assert_eq!(record.task, Task { tgid: 1, tid: 2 });
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        assert_eq!(decode(b""), Err(Error::Short(0)));
        let cut = chunk_record(10, 5, b"hell");
        assert_eq!(decode(&cut), Err(Error::Short(cut.len())));
        assert_eq!(
            decode(&chunk_record(4, 5, b"hello")),
            Err(Error::Field("captured length"))
        );
    }

    #[test]
    fn plain_bytes_name_their_session_and_its_connection() {
        let head = raw::Plain {
            header: raw::Header {
                at: 7,
                tgid: 1,
                tid: 2,
                kind: raw::PLAIN,
                size: 85,
            },
            session: 11,
            conn: 0,
            offset: 100,
            opposite: 50,
            fiber: 3,
            len: 10,
            captured: 5,
            direction: 0,
            flags: raw::PLAIN_FRESH | raw::PLAIN_KEY | raw::CHUNK_FIBER,
            reserved: 0,
        };
        // A record may be followed by what its place in the ring had room for.
        let bytes = [head.as_bytes(), b"hello", b"rest"].concat();
        let Event::Plain(plain) = decode(&bytes).unwrap().event else {
            panic!("not plain bytes")
        };
        assert_eq!((plain.carrier, plain.fresh, plain.key), (None, true, true));
        assert_eq!((plain.chunk.conn, plain.chunk.fiber), (ConnId(11), 3));
        assert_eq!((plain.chunk.bytes, plain.chunk.len), (&b"hello"[..], 10));
        assert_eq!(decode(&bytes[..84]), Err(Error::Short(84)));
        let secured = raw::Secured {
            header: raw::Header {
                kind: raw::SECURED,
                ..head.header
            },
            session: 11,
            conn: 0,
            client_random: [7; 32],
        };
        let expected = Secured {
            session: ConnId(11),
            random: [7; 32],
        };
        let record = decode(secured.as_bytes()).unwrap();
        assert_eq!(record.event, Event::Secured(expected));
    }

    #[test]
    fn keys_are_joined() {
        let joined = raw::Joined {
            header: raw::Header {
                at: 7,
                tgid: 1,
                tid: 2,
                kind: raw::JOINED,
                size: 72,
            },
            key: 11,
            session: 12,
            conn: 13,
            offset: 14,
            opposite: 15,
            flags: u32::from(raw::PLAIN_FRESH),
            reserved: 0,
        };
        let expected = Joined {
            key: ConnId(11),
            session: ConnId(12),
            carrier: ConnId(13),
            offset: 14,
            opposite: 15,
            fresh: true,
        };
        let bytes = joined.as_bytes();
        assert_eq!(decode(bytes).unwrap().event, Event::Joined(expected));
        assert_eq!(decode(&bytes[..71]), Err(Error::Short(71)));
        let beyond = raw::Joined {
            offset: OFFSET + 1,
            ..joined
        };
        let found = decode(beyond.as_bytes());
        assert_eq!(found, Err(Error::Field("offset")));
    }

    #[test]
    fn times_and_offsets_are_bounded() {
        let whole = chunk_record(5, 5, b"hello");
        for (at, value, field) in [
            (0, TIME, "time"),
            (32, OFFSET, "offset"),
            (40, OFFSET, "offset"),
        ] {
            let mut bytes = whole.clone();
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            assert!(decode(&bytes).is_ok());
            bytes[at..at + 8].copy_from_slice(&(value + 1).to_le_bytes());
            assert_eq!(decode(&bytes), Err(Error::Field(field)));
        }
    }

    #[test]
    fn any_bytes_give_an_answer() {
        let whole = chunk_record(5, 5, b"hello");
        for end in 0..whole.len() {
            let _ = decode(&whole[..end]);
        }
        for kind in 0..20u32 {
            for len in [24, 56, 72, 80, 100, 232, 304] {
                let mut bytes = vec![0xff; len];
                bytes[16..20].copy_from_slice(&kind.to_le_bytes());
                let _ = decode(&bytes);
            }
        }
    }

    #[test]
    fn mapped_addresses_are_plain_ones() {
        let mut address = Address {
            port: 80,
            ..Address::default()
        };
        address.ip[10..].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        assert_eq!(ip(&address, FAMILY_INET6), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    /// A head of `kind` with `body` behind it.
    fn head(kind: u32, size: usize) -> raw::Header {
        raw::Header {
            at: 7,
            tgid: 1,
            tid: 2,
            kind,
            size: size as u32,
        }
    }

    /// `name` as Go's runtime has it.
    fn go_name(name: &str) -> [u8; raw::TYPE_BYTES] {
        let mut raw = [b'#'; raw::TYPE_BYTES];
        raw[0] = 1;
        raw[1] = name.len() as u8;
        raw[2..2 + name.len()].copy_from_slice(name.as_bytes());
        raw
    }

    #[test]
    fn calls_of_databases() {
        let check =
            |function: u16, driver, len, captured, expected: Result<(&str, bool), Error>| {
                let head = raw::Called {
                    header: head(raw::CALLED, size_of::<raw::Called>() + 3),
                    call: 9,
                    fiber: 4,
                    task: 5,
                    depth: 100,
                    len,
                    captured,
                    function,
                    flags: 0,
                    reserved: 0,
                    driver: go_name(driver),
                };
                let bytes = [head.as_bytes(), b"abc"].concat();
                let found = decode(&bytes).map(|record| match record.event {
                    Event::Called(called) => (called.driver.unwrap_or_default(), called.cut),
                    other => panic!("{other:?}"),
                });
                let expected = expected.map(|(driver, cut)| (driver.to_owned(), cut));
                assert_eq!(found, expected);
            };
        check(
            raw::CALLED_EXEC,
            "*pq.Driver",
            3,
            3,
            Ok(("pq.Driver", false)),
        );
        check(
            raw::CALLED_QUERY,
            "pq.Driver",
            30,
            3,
            Ok(("pq.Driver", true)),
        );
        check(raw::CALLED_BEGIN, "no\nname", 0, 0, Ok(("", false)));
        check(99, "pq.Driver", 3, 3, Err(Error::Field("function")));
        check(raw::CALLED_EXEC, "", 3, 9, Err(Error::Short(139)));
    }

    #[test]
    fn ends_of_calls() {
        let check = |flags, function, expected: Result<Returned, Error>| {
            let record = raw::Returned {
                header: head(raw::RETURNED, size_of::<raw::Returned>()),
                task: 5,
                depth: 100,
                function,
                flags,
                reserved: 0,
                error: go_name("*pq.Error"),
            };
            let found = decode(record.as_bytes()).map(|record| record.event);
            assert_eq!(found, expected.map(|end| Event::Returned(Box::new(end))));
        };
        let returned = |within, error: Option<&str>| Returned {
            by: 5,
            depth: 100,
            within,
            error: error.map(str::to_owned),
        };
        check(0, 0, Ok(returned(None, None)));
        check(
            raw::RETURNED_FAILED,
            0,
            Ok(returned(None, Some("pq.Error"))),
        );
        let within = Some(Function::Query);
        check(
            raw::RETURNED_WITHIN,
            raw::CALLED_QUERY,
            Ok(returned(within, None)),
        );
        check(raw::RETURNED_WITHIN, 0, Err(Error::Field("function")));
    }
}
