//! What a connection becomes behind a 101.

use super::{Answering, Asking, Http1Conversation, Open, Pending};
use crate::protocol::exchange::{Attribute, Outcome, Report, Role};
use crate::protocol::http1::Http1;
use crate::protocol::http1::switch::Switch;
use crate::protocol::http2;
use crate::protocol::websocket::{Upgraded, WebSocket};
use crate::protocol::{Protocol, Successor};
use crate::record::Direction;
use crate::semconv;

impl Http1Conversation {
    /// The answer to `request` follows as HTTP/2.
    pub(super) fn switch_to_http2(&mut self, request: &Pending) {
        self.answering = Answering::Boundary;
        let upgraded = http2::Upgraded {
            number: request.number,
            start: request.start,
            bodiless: request.bodiless,
            cut: request.cut,
        };
        self.successor = Some(Successor {
            conversation: http2::upgraded(self.role, self.limits, upgraded),
            capture: http2::CAPTURE,
        });
    }

    /// The exchange `open` goes on as a WebSocket.
    pub(super) fn switch_to_websocket(
        &mut self,
        open: &Open,
        switch: &Switch,
        out: &mut Vec<Report>,
    ) {
        let mut attributes = open.attributes();
        if let Some(name) = &switch.subprotocol {
            let name = name.clone();
            attributes.push(Attribute::new(semconv::WEFT_WEBSOCKET_SUBPROTOCOL, name));
        }
        let mut successor = WebSocket::new(
            self.role,
            switch.extended,
            Upgraded {
                number: open.request.number,
                first: open.first,
                last: open.last,
                attributes,
                cut: open.request.cut,
            },
        );
        self.answering = Answering::Boundary;
        // Its last request was not seen to its end: where the first frame begins is unknown.
        if !matches!(self.asking, Asking::Boundary) {
            self.asking = Asking::Boundary;
            successor.lose(match self.role {
                Role::Server => Direction::Received,
                Role::Client => Direction::Sent,
            });
        }
        out.push(Report::Switched(open.request.number));
        // No other request can be answered on this connection.
        self.give_up(Outcome::Unknown, open.last, out);
        self.successor = Some(Successor {
            conversation: Box::new(successor),
            capture: Http1.capture(),
        });
    }
}
