//! Connections in, what leaves out.

use super::*;
use crate::protocol::tls::ClientHello;
use crate::record::Task;

const SECOND: Nanos = 1_000_000_000;

fn info(conn: u64, client: bool) -> Arc<Opened> {
    let ends = [
        Endpoint::Inet([10, 0, 0, 1].into(), 50_000),
        Endpoint::Inet([10, 0, 0, 2].into(), 443),
    ];
    let [local, remote] = if client { ends } else { [ends[1], ends[0]] };
    Arc::new(Opened {
        conn: ConnId(conn),
        at: 0,
        inode: conn,
        local,
        remote,
        client,
        fresh: true,
        plain: None,
        netns: 0,
        offsets: [1000, 1000],
        path: None,
    })
}

fn handshake(role: Role, at: Nanos) -> Box<Handshake> {
    Box::new(Handshake {
        role,
        start: Moment {
            at,
            task: Task { tgid: 1, tid: 1 },
            fiber: 0,
            offset: 1000,
        },
        client: ClientHello::default(),
        server: None,
        retried: false,
        stage: Stage::Offered,
    })
}

struct Test {
    secured: Secured,
    ids: Ids,
    left: Vec<(Place, Vec<Left>)>,
}

impl Test {
    fn new() -> Self {
        Self {
            secured: Secured::default(),
            ids: Ids::seeded(1),
            left: Vec::new(),
        }
    }

    fn open(&mut self, conn: u64, role: Role, parent: Option<SpanId>) {
        let info = info(conn, role == Role::Client);
        let parent = parent.map(|span| (span, Evidence::Thread));
        let handshake = handshake(role, SECOND);
        self.secured
            .handshake(&info, 7, handshake, &mut self.ids, parent);
    }

    fn tick(&mut self, now: Nanos) -> usize {
        let left = &mut self.left;
        self.secured.due(now, &mut self.ids, &mut |place, ends| {
            left.push((place, ends))
        });
        self.left.len()
    }

    /// Nothing refers to what left.
    fn is_clear(&self) -> bool {
        let Secured {
            entries,
            due,
            children,
            clients,
            servers,
            ..
        } = &self.secured;
        entries.is_empty()
            && due.is_empty()
            && children.is_empty()
            && clients.is_empty()
            && servers.is_empty()
    }
}

#[test]
fn both_ends_leave_together() {
    let mut test = Test::new();
    test.open(1, Role::Client, None);
    test.open(2, Role::Server, None);
    test.secured
        .moved(ConnId(1), Direction::Sent, 1517, 2 * SECOND);
    test.secured.ended(ConnId(2), 3 * SECOND);
    test.secured.ended(ConnId(1), 3 * SECOND);
    assert_eq!(test.tick(3 * SECOND), 0);
    test.tick(6 * SECOND);
    let [(_, ends)] = &test.left[..] else {
        panic!("{:?}", test.left);
    };
    let [client, server] = &ends[..] else {
        panic!("{ends:?}");
    };
    assert_eq!(server.parent, Some((client.span, Evidence::SocketPair)));
    assert_eq!(client.parent, None);
    assert_eq!(client.moved, [517, 0]);
    assert!(!client.open);
    assert!(test.is_clear());
}

#[test]
fn a_server_behind_its_client_joins_it() {
    let mut test = Test::new();
    test.open(1, Role::Client, None);
    test.secured.ended(ConnId(1), 2 * SECOND);
    test.tick(4 * SECOND);
    test.open(2, Role::Server, None);
    test.secured.ended(ConnId(2), 4 * SECOND);
    test.tick(6 * SECOND);
    let [(one, client), (other, server)] = &test.left[..] else {
        panic!("{:?}", test.left);
    };
    assert_eq!(one, other);
    assert_eq!(
        server[0].parent,
        Some((client[0].span, Evidence::SocketPair))
    );
}

#[test]
fn a_connection_waits_for_the_trace_of_its_request() {
    let mut test = Test::new();
    let request = SpanId([3; 8]);
    test.open(1, Role::Client, Some(request));
    test.secured.ended(ConnId(1), 2 * SECOND);
    assert_eq!(test.tick(5 * SECOND), 0, "its request is still open");
    let place = Place {
        trace: TraceId([5; 16]),
        sampled: Some(true),
        state: None,
    };
    test.secured.placed(request, &place);
    test.tick(7 * SECOND);
    let (place, ends) = &test.left[0];
    assert_eq!(place.trace, TraceId([5; 16]));
    assert_eq!(ends[0].parent, Some((request, Evidence::Thread)));
    assert!(test.is_clear());
}

#[test]
fn a_request_that_never_leaves_is_not_waited_for_for_ever() {
    let mut test = Test::new();
    test.open(1, Role::Client, Some(SpanId([3; 8])));
    test.secured.ended(ConnId(1), 2 * SECOND);
    for second in 3..30 {
        test.tick(second * SECOND);
    }
    assert_eq!(test.left[0].1[0].parent, None);
    assert_eq!(test.secured.counts.late, 1);
    assert!(test.is_clear());
}

#[test]
fn understood_plaintext_takes_its_place() {
    let mut test = Test::new();
    test.open(1, Role::Client, Some(SpanId([3; 8])));
    test.secured.understood(ConnId(1));
    test.secured.ended(ConnId(1), 2 * SECOND);
    assert_eq!(test.tick(100 * SECOND), 0);
    assert_eq!(test.secured.counts.understood, 1);
    assert!(test.is_clear());
}

#[test]
fn what_stays_open_leaves_when_it_is_old() {
    let mut test = Test::new();
    test.open(1, Role::Server, None);
    assert_eq!(test.tick(60 * SECOND), 0);
    test.tick(62 * SECOND);
    assert!(test.left[0].1[0].open);
    // Once is enough.
    test.secured.ended(ConnId(1), 70 * SECOND);
    assert_eq!(test.tick(100 * SECOND), 1);
    assert!(test.is_clear());
}

#[test]
fn there_are_not_more_than_so_many() {
    let mut test = Test::new();
    for conn in 0..CONNECTIONS as u64 + 10 {
        test.open(conn, Role::Server, None);
    }
    assert_eq!(test.secured.len(), CONNECTIONS);
    assert_eq!(test.secured.counts.unfollowed, 10);
}
