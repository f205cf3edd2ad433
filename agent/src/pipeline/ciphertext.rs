//! Connections of which only ciphertext is seen: from their handshakes to their spans.
//!
//! In: handshakes, pieces, and requests that leave. Out: spans, and ClientHellos, by which the
//! sessions of TLS libraries find their connections (`stream/plain.rs`). Not here: which connections
//! leave and where they belong (`trace/secured.rs`).

use super::{Output, Pipeline, handler_of};
use crate::protocol::exchange::Role;
use crate::protocol::tls::{Handshake, Stage};
use crate::record::{ConnId, Nanos, Opened};
use crate::span::build::{self, Peer};
use crate::span::{Parent, Span};
use crate::stream::Piece;
use crate::stream::plain::Hello;
use crate::trace::assembly::{Assembly, Batch};
use crate::trace::handlers::Threading;
use crate::trace::secured::{Left, Place, Secured};
use std::sync::Arc;

/// The ClientHello that a handshake on `info` begins with, when that is all that is known of it.
/// What a session carries is no connection of its own.
pub(super) fn hello(info: &Opened, handshake: &Handshake) -> Option<Hello> {
    let begins = handshake.stage == Stage::Offered && info.plain.is_none();
    begins.then(|| Hello {
        conn: info.conn,
        client: handshake.role == Role::Client,
        task: handshake.start.task,
        fiber: handshake.start.fiber,
        random: handshake.client.random,
    })
}

/// More is known of a handshake on `info`.
pub(super) fn secured(
    secured: &mut Secured,
    assembly: &mut Assembly,
    info: &Arc<Opened>,
    handshake: Box<Handshake>,
    threading: Threading,
) {
    let writer = handler_of(&handshake.start);
    let parent = assembly.handling(writer, threading, handshake.start.at);
    secured.handshake(info, writer.task.tgid, handshake, assembly.ids(), parent);
}

/// A connection whose handshake was seen has come further.
pub(super) fn follow(secured: &mut Secured, conn: ConnId, piece: &Piece<'_>) {
    match *piece {
        Piece::Bytes {
            direction,
            bytes,
            moment,
            ..
        } => {
            let end = moment.offset.saturating_add(bytes.len() as u64);
            secured.moved(conn, direction, end, moment.at);
        }
        Piece::Gap {
            direction,
            missing,
            moment,
        } => {
            let end = moment.offset.saturating_add(missing);
            secured.moved(conn, direction, end, moment.at);
        }
        Piece::Forgotten { moment } => secured.ended(conn, moment.at),
        Piece::End { .. } | Piece::Torn { .. } | Piece::Waiting { .. } => {}
    }
}

impl Pipeline {
    /// Requests leave: connections that they opened learn where they belong.
    pub(super) fn place(&mut self, batch: &Batch) {
        if self.secured.is_empty() {
            return;
        }
        let place = Place {
            trace: batch.trace,
            sampled: batch.sampled,
            state: batch.state.clone(),
        };
        for node in &batch.nodes {
            self.secured.placed(node.id, &place);
        }
    }

    /// Connections of which only ciphertext is seen leave: those that are due, or all.
    pub(super) fn leave_secured(&mut self, now: Option<Nanos>, out: &mut impl FnMut(Output)) {
        let mut leaving = Vec::new();
        let mut each = |place, ends| leaving.push((place, ends));
        let ids = self.assembly.ids();
        match now {
            Some(now) => self.secured.due(now, ids, &mut each),
            None => self.secured.flush(ids, &mut each),
        }
        for (place, ends) in leaving {
            let spans: Vec<Span> = ends
                .into_iter()
                .filter_map(|left| self.connection_span(left, &place))
                .collect();
            if !spans.is_empty() {
                self.counts.spans += spans.len() as u64;
                out(Output::Trace {
                    spans,
                    complete: false,
                    carried: place.sampled,
                });
            }
        }
    }

    fn connection_span(&mut self, left: Left, place: &Place) -> Option<Span> {
        let service = self.service(left.tgid)?;
        let (start, role) = (left.handshake.start.at, left.handshake.role);
        let (request, answer) = left.exchange();
        let peer = Peer {
            local: &left.info.local,
            remote: &left.info.remote,
            path: left.info.path.as_deref(),
            encrypted: true,
        };
        let query = self.options.query;
        let draft = build::build(
            request,
            Some(answer),
            &peer,
            &service.name,
            &mut self.routes,
            query,
        );
        Some(Span {
            trace: place.trace,
            id: left.span,
            parent: left.parent.map(|(id, evidence)| Parent {
                id,
                remote: false,
                evidence,
            }),
            state: place.state.clone(),
            sampled: place.sampled.unwrap_or(true),
            role,
            name: draft.name,
            start: self.clock.wall(start),
            end: self.clock.wall(left.end),
            status: draft.status,
            attributes: draft.attributes,
            service,
        })
    }
}
