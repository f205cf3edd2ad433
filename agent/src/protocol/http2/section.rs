//! What the fields of one block tell: the head of a request, the head of an answer, or trailers.
//!
//! In: fields. Out: what is kept of them, bounded, and how many were not known.

use super::hpack::Field;
use crate::protocol::http::field::{LONGEST_NAME, Name, number};
use crate::protocol::http::head::{Head, method};
use crate::protocol::text::text;

/// Fields of one block beyond which values are not looked at any more. A field of one byte may
/// stand for four thousand.
const MOST: u32 = 512;

/// The fields of one block.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// Of a request.
    pub(super) head: Head,
    /// `:status`.
    pub(super) status: Option<u16>,
    /// `grpc-status`.
    pub(super) call: Option<u16>,
    /// `:protocol` asks for a WebSocket (RFC 8441).
    pub(super) websocket: bool,
    /// `sec-websocket-extensions` names one.
    pub(super) extended: bool,
    /// `sec-websocket-protocol`.
    pub(super) subprotocol: Option<String>,
    /// A pseudo-header field of a request was among them.
    pub(super) asks: bool,
    /// Fields whose name or value is not known.
    pub(super) unknown: u32,
    fields: u32,
}

impl Section {
    /// Takes a field.
    pub(super) fn take(&mut self, field: Field<'_>) {
        self.fields = self.fields.saturating_add(1);
        match field {
            Field::Known(Name::Other, _) => {}
            Field::Known(name, value) => {
                if self.fields <= MOST {
                    self.keep(name, value);
                }
            }
            Field::Valueless(Name::Other) => {}
            Field::Valueless(name) => {
                self.unknown = self.unknown.saturating_add(1);
                self.asks |= asks(name);
            }
            Field::Unknown => self.unknown = self.unknown.saturating_add(1),
        }
    }

    fn keep(&mut self, name: Name, value: &[u8]) {
        self.asks |= asks(name);
        match name {
            Name::Method => self.head.method = method(value),
            Name::Path => self.head.put_target(value),
            Name::Authority => self.head.put_authority(value),
            Name::Scheme => {
                self.head.scheme = match value {
                    b"http" => Some("http"),
                    b"https" => Some("https"),
                    _ => None,
                };
            }
            Name::Status => {
                let status = number(value).and_then(|status| u16::try_from(status).ok());
                self.status = status.filter(|status| (100..1000).contains(status));
            }
            Name::GrpcStatus => {
                self.call = number(value).and_then(|status| u16::try_from(status).ok());
            }
            Name::ContentLength => self.head.announced = number(value),
            Name::Protocol => self.websocket = value == b"websocket",
            Name::SocketExtensions => self.extended |= !value.is_empty(),
            Name::SocketProtocol => {
                self.subprotocol
                    .get_or_insert_with(|| text(value, LONGEST_NAME));
            }
            name => self.head.fields.keep(name, value, false),
        }
    }
}

const fn asks(name: Name) -> bool {
    matches!(
        name,
        Name::Method | Name::Path | Name::Authority | Name::Scheme | Name::Protocol
    )
}
