//! Which connection carries a TLS session whose ClientHello was before our time: by the exact
//! lengths of its records.
//!
//! A program that moves the bytes itself reads ciphertext and has its library decrypt it at once, on
//! the same thread. A record is longer than what it carries by a number that the cipher fixes. So if
//! what a session gives follows the reading of just that much more on its thread, again and again on
//! the same connection and never on another, that carries it. One contradiction, and nothing is
//! believed of the session any more.

use crate::record::{ConnId, Task};
use foldhash::HashMap;

/// What a record adds: in TLS 1.3; in 1.2 with GCM or CCM, and with `ChaCha20` or short tags. Other
/// ciphers pad, and are not looked at.
const ADDED: [u32; 3] = [22, 29, 21];
/// Records of the right length that prove a connection.
const PROOF: u32 = 3;
/// Most sessions and threads that are followed.
const SESSIONS: usize = 4096;

/// What is known of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Search {
    /// So many records had the right length, all on this connection, with this addition.
    Found(ConnId, u32, u32),
    /// It was contradicted.
    Refused,
}

/// Sessions that are sought.
#[derive(Default)]
pub struct Lengths {
    sessions: HashMap<ConnId, Option<Search>>,
    /// What each thread has read last.
    reads: HashMap<Task, Read>,
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
        if self.sessions.is_empty() {
            self.reads.clear();
        }
    }

    /// Keeps the sessions that are `wanted`.
    pub fn retain(&mut self, wanted: impl Fn(ConnId) -> bool) {
        self.sessions.retain(|session, _| wanted(*session));
        if self.sessions.is_empty() {
            self.reads.clear();
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

    /// On thread `task`, `session` has given `len` bytes; answers the connection, once it is proven.
    /// `free`: nothing else is known to be carried by a connection.
    pub fn given(
        &mut self,
        task: Task,
        session: ConnId,
        len: u32,
        free: impl Fn(ConnId) -> bool,
    ) -> Option<ConnId> {
        let search = self.sessions.get_mut(&session)?;
        let read = self.reads.get_mut(&task)?;
        if *read.session.get_or_insert(session) != session {
            return None;
        }
        read.records += 1;
        let conn = read.conn;
        // Records that are not whole yet, or are followed by others, say nothing.
        read.left = read.left.saturating_sub(len);
        let added = ADDED
            .into_iter()
            .find(|added| added * read.records == read.left)?;
        let found = match *search {
            None => Search::Found(conn, added, 1),
            Some(Search::Found(known, same, count)) if known == conn && same == added => {
                Search::Found(known, same, count + 1)
            }
            Some(_) => Search::Refused,
        };
        *search = Some(found);
        match found {
            Search::Found(conn, _, count) if count >= PROOF && free(conn) => Some(conn),
            _ => None,
        }
    }
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
                lengths.read(TASK, ConnId(*conn), *read);
                let conn = lengths.given(*task, SESSION, *len, |conn| conn != ConnId(9))?;
                Some((step, conn))
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
                given.push(lengths.given(TASK, SESSION, len, |_| true));
            }
        }
        assert_eq!(given, [None, None, None, None, None, Some(ConnId(5))]);
        // Who is given bytes of another's reading is not found by them.
        lengths.seek(ConnId(2));
        for _ in 0..PROOF {
            lengths.read(TASK, ConnId(6), 32);
            assert_eq!(lengths.given(TASK, SESSION, 0, |_| true), None);
            assert_eq!(lengths.given(TASK, ConnId(2), 10, |_| true), None);
        }
    }

    #[test]
    fn what_is_not_sought_costs_nothing() {
        let mut lengths = Lengths::default();
        lengths.read(TASK, ConnId(5), 122);
        assert!(lengths.reads.is_empty());
        assert_eq!(lengths.given(TASK, SESSION, 100, |_| true), None);
        lengths.seek(SESSION);
        lengths.read(TASK, ConnId(5), 122);
        lengths.forget(SESSION);
        assert!(lengths.reads.is_empty());
    }
}
