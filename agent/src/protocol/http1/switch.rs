//! What the head of a 101 says of the protocol behind it.

use crate::protocol::text::text;

/// Longest name of a subprotocol, bytes.
const LONGEST: usize = 256;

/// What is kept of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Switch {
    /// `Upgrade: websocket`.
    pub(super) websocket: bool,
    /// `Sec-WebSocket-Extensions` names one.
    pub(super) extended: bool,
    /// `Sec-WebSocket-Protocol`.
    pub(super) subprotocol: Option<String>,
}

impl Switch {
    /// Takes one field.
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"upgrade") {
            self.websocket |= value.eq_ignore_ascii_case(b"websocket");
        } else if name.eq_ignore_ascii_case(b"sec-websocket-extensions") {
            self.extended |= !value.is_empty();
        } else if name.eq_ignore_ascii_case(b"sec-websocket-protocol") {
            self.subprotocol.get_or_insert_with(|| text(value, LONGEST));
        }
    }
}
