//! Carried trace context: W3C Trace Context, `traceparent` and `tracestate`
//! (<https://www.w3.org/TR/trace-context/>, section 3.2 and 3.3).

use crate::protocol::exchange::Carried;
use crate::span::{SpanId, TraceId};

/// Longest `tracestate` handed on, bytes (section 3.3.1.5 asks for at least 512).
const STATE: usize = 512;

/// A context that a request carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Trace.
    pub trace: TraceId,
    /// Span of the sender.
    pub span: SpanId,
    /// The sender recorded it.
    pub sampled: bool,
    /// `tracestate`, as it came.
    pub state: Option<String>,
}

/// The context in `carried`, if it is valid; an invalid one counts as none (section 3.2.2.2).
#[must_use]
pub fn parse(carried: &Carried) -> Option<Context> {
    let text = carried
        .traceparent
        .as_deref()?
        .trim_matches([' ', '\t'])
        .as_bytes();
    let version = hex::<1>(text.get(..2)?)?[0];
    if version == 0xff || text.get(2) != Some(&b'-') {
        return None;
    }
    let trace = hex::<16>(text.get(3..35)?)?;
    let span = hex::<8>(text.get(36..52)?)?;
    let flags = hex::<1>(text.get(53..55)?)?[0];
    if text[35] != b'-' || text[52] != b'-' || trace == [0; 16] || span == [0; 8] {
        return None;
    }
    // Version 0 ends here; later ones may go on after another dash.
    match (version, text.get(55)) {
        (_, None) | (1.., Some(b'-')) => {}
        _ => return None,
    }
    let state = carried.tracestate.as_ref().filter(|state| {
        state.len() <= STATE && state.bytes().all(|byte| (0x20..0x7f).contains(&byte))
    });
    Some(Context {
        trace: TraceId(trace),
        span: SpanId(span),
        sampled: flags & 1 == 1,
        state: state.cloned(),
    })
}

/// Lower-case hex digits only, as the specification has it.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Option<(&str, &str, bool)>) {
        let carried = Carried {
            traceparent: Some(header.to_owned()),
            tracestate: None,
        };
        let found = parse(&carried);
        let found = found.map(|c| (c.trace.to_string(), c.span.to_string(), c.sampled));
        let expected = expected.map(|(t, s, f)| (t.to_owned(), s.to_owned(), f));
        assert_eq!(found, expected, "{header}");
    }

    #[test]
    fn valid_contexts() {
        let ids = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Some((ids.0, ids.1, true)),
        );
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            Some((ids.0, ids.1, false)),
        );
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
            Some((ids.0, ids.1, true)),
        );
        check(
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
            Some((ids.0, ids.1, true)),
        );
        check(
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\t",
            Some((ids.0, ids.1, true)),
        );
    }

    #[test]
    fn invalid_contexts() {
        for header in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "é0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            check(header, None);
        }
    }
}
