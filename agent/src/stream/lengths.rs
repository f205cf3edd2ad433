//! Which connection carries a TLS session whose ClientHello was before our time: by the exact
//! lengths of its records.
//!
//! A program that moves the bytes itself reads ciphertext and has its library decrypt it at once, on
//! the same thread; and sends what the library has encrypted, likewise. A record is longer than what
//! it carries by a number that the cipher fixes, the same both ways. So if what a session gives
//! follows the reading of just that much more on its thread, and what it takes is followed by the
//! sending of just that much more, on the same connection and never on another, that carries it. One
//! contradiction, and nothing is believed of the session any more.
//!
//! What is sent alone proves nothing: two connections that could not be written to at once may have
//! as much to send. But who is given what was read on a connection is never given what another
//! one has brought.

use crate::record::{ConnId, Task};
use foldhash::HashMap;

/// What a record adds: in TLS 1.3; in 1.2 with GCM or CCM, and with `ChaCha20` or short tags. Other
/// ciphers pad, and are not looked at.
const ADDED: [u32; 3] = [22, 29, 21];
/// Readings of the right length that prove a connection; with a sending, one does.
const PROOF: u32 = 3;
/// Most sessions and threads that are followed.
const SESSIONS: usize = 4096;
/// Most bytes that one record carries.
const RECORD: u32 = 16 * 1024;

/// What is known of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Search {
    /// All that had the right length was on this connection, with this addition.
    Found(Found),
    /// It was contradicted.
    Refused,
}

/// A connection that may carry a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    conn: ConnId,
    added: u32,
    /// Readings and sendings of the right length.
    read: u32,
    sent: u32,
}

impl Found {
    const fn new(conn: ConnId, added: u32, [read, sent]: [u32; 2]) -> Self {
        Self {
            conn,
            added,
            read,
            sent,
        }
    }

    const fn is_proven(&self) -> bool {
        self.read >= PROOF || (self.read > 0 && self.sent > 0)
    }
}

/// Sessions that are sought.
#[derive(Default)]
pub struct Lengths {
    sessions: HashMap<ConnId, Option<Search>>,
    /// What each thread has read last.
    reads: HashMap<Task, Read>,
    /// What each thread has had encrypted since it sent last.
    writes: HashMap<Task, Write>,
}

/// Ciphertext that a thread has read, and what it was given of it.
struct Read {
    conn: ConnId,
    /// Bytes of it that nothing was given for.
    left: u32,
    /// Records that were given, all of this session.
    records: u32,
    session: Option<ConnId>,
}

/// What a thread has had encrypted.
struct Write {
    /// By which session; `None` if by several.
    session: Option<ConnId>,
    len: u32,
    records: u32,
}

impl Lengths {
    /// Session `session` is sought from now on.
    pub fn seek(&mut self, session: ConnId) {
        if self.sessions.len() < SESSIONS {
            self.sessions.entry(session).or_default();
        }
    }

    /// Session `session` is sought no more.
    pub fn forget(&mut self, session: ConnId) {
        self.sessions.remove(&session);
        self.rest();
    }

    /// Keeps the sessions that are `wanted`.
    pub fn retain(&mut self, wanted: impl Fn(ConnId) -> bool) {
        self.sessions.retain(|session, _| wanted(*session));
        self.rest();
    }

    /// What threads do is of no interest where no session is sought.
    fn rest(&mut self) {
        if self.sessions.is_empty() {
            self.reads.clear();
            self.writes.clear();
        }
    }

    /// Thread `task` has read `len` bytes on `conn`.
    pub fn read(&mut self, task: Task, conn: ConnId, len: u32) {
        if self.sessions.is_empty() {
            return;
        }
        if self.reads.len() >= SESSIONS {
            self.reads.clear();
        }
        let read = Read {
            conn,
            left: len,
            records: 0,
            session: None,
        };
        self.reads.insert(task, read);
    }

    /// On thread `task`, `session` has given `len` bytes. `free`: nothing else is known to be carried
    /// by a connection.
    pub fn given(&mut self, task: Task, session: ConnId, len: u32, free: impl Fn(ConnId) -> bool) {
        let Some(read) = self.reads.get_mut(&task) else {
            return;
        };
        if *read.session.get_or_insert(session) != session {
            return;
        }
        read.records += 1;
        // Records that are not whole yet, or are followed by others, say nothing.
        read.left = read.left.saturating_sub(len);
        let conn = read.conn;
        if let Some(added) = addition(read.left, read.records).filter(|_| free(conn)) {
            self.note(session, Found::new(conn, added, [1, 0]));
        }
    }

    /// On thread `task`, `session` has taken `len` bytes.
    pub fn taken(&mut self, task: Task, session: ConnId, len: u32) {
        if !self.sessions.contains_key(&session) {
            return;
        }
        if self.writes.len() >= SESSIONS {
            self.writes.clear();
        }
        let write = self.writes.entry(task).or_insert(Write {
            session: Some(session),
            len: 0,
            records: 0,
        });
        write.session = write.session.filter(|known| *known == session);
        write.len = write.len.saturating_add(len);
        write.records = write.records.saturating_add(len.div_ceil(RECORD));
    }

    /// Thread `task` has sent `len` bytes on `conn`.
    pub fn sent(&mut self, task: Task, conn: ConnId, len: u32, free: impl Fn(ConnId) -> bool) {
        let Some(write) = self.writes.remove(&task) else {
            return;
        };
        let added = len.checked_sub(write.len);
        let added = added.and_then(|added| addition(added, write.records));
        if let (Some(session), Some(added)) = (write.session, added)
            && free(conn)
        {
            self.note(session, Found::new(conn, added, [0, 1]));
        }
    }

    /// Something of `session` had the right length.
    fn note(&mut self, session: ConnId, new: Found) {
        let Some(search) = self.sessions.get_mut(&session) else {
            return;
        };
        *search = Some(match *search {
            None => Search::Found(new),
            Some(Search::Found(known)) if (known.conn, known.added) == (new.conn, new.added) => {
                Search::Found(Found {
                    read: known.read + new.read,
                    sent: known.sent + new.sent,
                    ..known
                })
            }
            Some(_) => Search::Refused,
        });
    }

    /// The connection of `session`, once it is proven.
    #[must_use]
    pub fn proven(&self, session: ConnId, free: impl Fn(ConnId) -> bool) -> Option<ConnId> {
        match self.sessions.get(&session)? {
            Some(Search::Found(found)) if found.is_proven() && free(found.conn) => Some(found.conn),
            _ => None,
        }
    }
}

/// What each of `records` adds, if `whole` is as much as all of them may add.
fn addition(whole: u32, records: u32) -> Option<u32> {
    let is = |added: &u32| records.checked_mul(*added) == Some(whole);
    ADDED.into_iter().find(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: Task = Task { tgid: 7, tid: 8 };
    const OTHER: Task = Task { tgid: 7, tid: 9 };
    const SESSION: ConnId = ConnId(1);

    /// Reads of so many bytes on a connection, each followed by what a session gives on a thread;
    /// answers when the session was found.
    fn found(steps: &[(u64, u32, Task, u32)]) -> Option<(usize, ConnId)> {
        let mut lengths = Lengths::default();
        lengths.seek(SESSION);
        steps
            .iter()
            .enumerate()
            .find_map(|(step, (conn, read, task, len))| {
                let free = |conn| conn != ConnId(9);
                lengths.read(TASK, ConnId(*conn), *read);
                lengths.given(*task, SESSION, *len, free);
                Some((step, lengths.proven(SESSION, free)?))
            })
    }

    #[test]
    fn a_connection_is_proven_by_lengths_alone_if_nothing_contradicts() {
        for (steps, expected) in [
            (
                &[(5, 122, TASK, 100), (5, 72, TASK, 50), (5, 122, TASK, 100)][..],
                Some((2, ConnId(5))),
            ),
            // A reading of other records, too, says nothing, for nor against.
            (
                &[
                    (5, 122, TASK, 100),
                    (5, 900, TASK, 50),
                    (5, 72, TASK, 50),
                    (5, 72, TASK, 50),
                ],
                Some((3, ConnId(5))),
            ),
            // Another connection, another cipher, another thread.
            (
                &[
                    (5, 122, TASK, 100),
                    (6, 122, TASK, 100),
                    (5, 122, TASK, 100),
                    (5, 122, TASK, 100),
                    (5, 122, TASK, 100),
                ],
                None,
            ),
            (
                &[
                    (5, 122, TASK, 100),
                    (5, 129, TASK, 100),
                    (5, 122, TASK, 100),
                    (5, 122, TASK, 100),
                ],
                None,
            ),
            (
                &[
                    (5, 122, OTHER, 100),
                    (5, 122, OTHER, 100),
                    (5, 122, OTHER, 100),
                ],
                None,
            ),
            // A connection that carries another session.
            (
                &[
                    (9, 122, TASK, 100),
                    (9, 122, TASK, 100),
                    (9, 122, TASK, 100),
                ],
                None,
            ),
            (&[(5, 122, TASK, 200), (5, 122, TASK, 99)], None),
        ] {
            assert_eq!(found(steps), expected, "{steps:?}");
        }
    }

    #[test]
    fn records_of_one_reading_are_added_up() {
        let mut lengths = Lengths::default();
        lengths.seek(SESSION);
        let mut given = Vec::new();
        for _ in 0..3 {
            lengths.read(TASK, ConnId(5), 30 + 2 * 22);
            for len in [10, 20] {
                lengths.given(TASK, SESSION, len, |_| true);
                given.push(lengths.proven(SESSION, |_| true));
            }
        }
        assert_eq!(given, [None, None, None, None, None, Some(ConnId(5))]);
        // Who is given bytes of another's reading is not found by them.
        lengths.seek(ConnId(2));
        for _ in 0..PROOF {
            lengths.read(TASK, ConnId(6), 32);
            lengths.given(TASK, SESSION, 0, |_| true);
            lengths.given(TASK, ConnId(2), 10, |_| true);
        }
        assert_eq!(lengths.proven(ConnId(2), |_| true), None);
    }

    /// What a session takes and gives: `Took` of it, `Sent` and `Read` on a connection, `Gave`.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Took(u64, u32),
        Sent(u64, u32),
        Read(u64, u32),
        Gave(u64, u32),
    }
    use Step::{Gave, Read as Came, Sent, Took};

    fn proven(steps: &[Step]) -> Option<ConnId> {
        let mut lengths = Lengths::default();
        lengths.seek(SESSION);
        lengths.seek(ConnId(2));
        for step in steps {
            match *step {
                Took(session, len) => lengths.taken(TASK, ConnId(session), len),
                Sent(conn, len) => lengths.sent(TASK, ConnId(conn), len, |conn| conn != ConnId(9)),
                Came(conn, len) => lengths.read(TASK, ConnId(conn), len),
                Gave(session, len) => lengths.given(TASK, ConnId(session), len, |_| true),
            }
        }
        lengths.proven(SESSION, |_| true)
    }

    #[test]
    fn a_request_and_its_answer_prove_a_connection() {
        let asks = [Took(1, 100), Sent(5, 122)];
        let gets = [Came(5, 72), Gave(1, 50)];
        for (steps, expected) in [
            ([&asks[..], &gets].concat(), Some(5)),
            ([&gets[..], &asks].concat(), Some(5)),
            // Two records of 16 KiB at most; two takings that are sent at once.
            (
                [&[Took(1, 20_000), Sent(5, 20_044)][..], &gets].concat(),
                Some(5),
            ),
            (
                [&[Took(1, 10), Took(1, 20), Sent(5, 74)][..], &gets].concat(),
                Some(5),
            ),
            // What is sent alone proves nothing.
            (asks.repeat(9), None),
            // Another length, another cipher, another connection, and one that carries another session.
            ([&[Took(1, 100), Sent(5, 123)][..], &gets].concat(), None),
            ([&[Took(1, 100), Sent(5, 129)][..], &gets].concat(), None),
            (
                [&[Took(1, 100), Sent(6, 122)][..], &gets, &gets, &gets].concat(),
                None,
            ),
            ([&[Took(1, 100), Sent(9, 122)][..], &gets].concat(), None),
            // Sent with what another session has encrypted.
            (
                [&[Took(1, 10), Took(2, 20), Sent(5, 74)][..], &gets].concat(),
                None,
            ),
            // Sent once.
            (
                [&[Took(1, 100), Sent(6, 50), Sent(5, 122)][..], &gets].concat(),
                None,
            ),
        ] {
            assert_eq!(proven(&steps), expected.map(ConnId), "{steps:?}");
        }
    }

    #[test]
    fn what_is_not_sought_costs_nothing() {
        let mut lengths = Lengths::default();
        lengths.read(TASK, ConnId(5), 122);
        lengths.taken(TASK, SESSION, 100);
        assert!(lengths.reads.is_empty() && lengths.writes.is_empty());
        lengths.seek(SESSION);
        lengths.read(TASK, ConnId(5), 122);
        lengths.taken(TASK, SESSION, 100);
        lengths.forget(SESSION);
        assert!(lengths.reads.is_empty() && lengths.writes.is_empty());
    }
}
