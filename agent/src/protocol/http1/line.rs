//! Lines of an HTTP/1 head: request line, status line, header line.
//!
//! In: bytes that begin with a line. Out: its parts, borrowed. Not here: any state. What
//! endpoints accept counts, not what RFC 9112 allows: a bare LF ends a line, too.

/// Longest method that is believed to be one. The longest registered has 17 letters.
const LONGEST_METHOD: usize = 32;

/// Longest request line that is still waited for when nothing speaks for HTTP but a word.
const LONGEST_GUESS: usize = 16 * 1024;

/// Longest request line that is waited for at all.
const LONGEST_LINE: usize = 64 * 1024;

/// What the first bytes of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start<T> {
    /// Surely not such a line.
    Bad,
    /// A proper prefix of such a line.
    Partial,
    /// The whole line, and its length with its end.
    Whole(T, usize),
}

/// `method SP target SP HTTP/1.x`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    /// `x` of `HTTP/1.x`.
    pub(super) minor: u8,
}

/// `HTTP/1.x SP status SP reason`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusLine {
    pub(super) status: u16,
}

/// Methods of RFC 9110, 5789 and WebDAV: a word among them is a strong sign of HTTP.
const REGISTERED: [&[u8]; 16] = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
];

/// Is `method` one that is registered and common?
pub(super) fn is_registered(method: &[u8]) -> bool {
    REGISTERED.contains(&method)
}

/// Do `bytes` begin with a registered method, or may they once more of them are there?
pub(super) fn may_begin_registered(bytes: &[u8]) -> bool {
    REGISTERED.iter().any(|method| {
        let common = method.len().min(bytes.len());
        bytes.get(..common) == method.get(..common)
            && bytes.get(method.len()).is_none_or(|&next| next == b' ')
    })
}

/// Length of the line that `bytes` begin with, its end included.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes).map(|at| at.saturating_add(1))
}

/// A line without its end.
pub(super) fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Number of CR and LF that `bytes` begin with: tolerated before any message.
pub(super) fn blank(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|&&byte| byte == b'\r' || byte == b'\n')
        .count()
}

/// Reads a request line.
pub(super) fn request(bytes: &[u8]) -> Start<RequestLine<'_>> {
    let head = bytes.get(..LONGEST_METHOD + 1).unwrap_or(bytes);
    let Some(space) = head.iter().position(|&byte| !is_token(byte)) else {
        return if head.len() <= LONGEST_METHOD {
            Start::Partial
        } else {
            Start::Bad
        };
    };
    let (method, rest) = bytes.split_at(space);
    let Some(rest) = rest.strip_prefix(b" ").filter(|_| !method.is_empty()) else {
        return Start::Bad;
    };
    let end = rest.iter().position(|&byte| byte <= b' ' || byte == 0x7f);
    let target = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
    let form = form(method, target, end.is_some());
    if form == Form::Bad {
        return Start::Bad;
    }
    let Some(version) = end.and_then(|end| rest.get(end..)) else {
        return waiting(bytes, method, form);
    };
    match minor(version.strip_prefix(b" ").unwrap_or(b"\0"), b"") {
        Start::Bad => Start::Bad,
        Start::Partial => Start::Partial,
        Start::Whole(minor, _) => match length(version) {
            // Nothing but the end of the line may follow.
            Some(after) if content(version.get(..after).unwrap_or(version)).len() == 9 => {
                let line = RequestLine {
                    method,
                    target,
                    minor,
                };
                Start::Whole(line, bytes.len() - version.len() + after)
            }
            None if matches!(version.get(9..), Some(b"" | b"\r")) => Start::Partial,
            _ => Start::Bad,
        },
    }
}

/// How much the beginning of a target speaks for HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Bad,
    /// Not yet decided.
    Short,
    /// Authority or `*`.
    Other,
    /// A path or an absolute URL.
    Path,
}

fn form(method: &[u8], target: &[u8], whole: bool) -> Form {
    const SCHEMES: [&[u8]; 4] = [b"http://", b"https://", b"ws://", b"wss://"];
    if method == b"CONNECT" {
        return match target {
            [] if whole => Form::Bad,
            _ if target.contains(&b'/') => Form::Bad,
            _ => Form::Other,
        };
    }
    let lower = |scheme: &[u8]| {
        let common = scheme.len().min(target.len());
        target
            .get(..common)
            .zip(scheme.get(..common))
            .is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
    };
    match target {
        [b'/', ..] => Form::Path,
        b"*" => Form::Other,
        [] if !whole => Form::Short,
        [] => Form::Bad,
        _ if SCHEMES
            .iter()
            .any(|scheme| target.len() > scheme.len() && lower(scheme)) =>
        {
            Form::Path
        }
        _ if !whole && SCHEMES.iter().any(|scheme| lower(scheme)) => Form::Short,
        _ => Form::Bad,
    }
}

/// A line whose target has not ended yet.
fn waiting(bytes: &[u8], method: &[u8], form: Form) -> Start<RequestLine<'static>> {
    let most = if form == Form::Path && is_registered(method) {
        LONGEST_LINE
    } else {
        LONGEST_GUESS
    };
    if bytes.len() > most {
        Start::Bad
    } else {
        Start::Partial
    }
}

/// Reads `HTTP/1.x` and then `after`.
fn minor(bytes: &[u8], after: &[u8]) -> Start<u8> {
    const NAME: [u8; 7] = *b"HTTP/1.";
    // Nearly always all of it is there, and is compared as two numbers.
    let Some((name, rest)) = bytes.split_first_chunk() else {
        return match NAME.starts_with(bytes) {
            true => Start::Partial,
            false => Start::Bad,
        };
    };
    if *name != NAME {
        return Start::Bad;
    }
    match rest.split_first() {
        None => Start::Partial,
        Some((digit @ b'0'..=b'9', rest)) if rest.starts_with(after) => {
            Start::Whole(digit - b'0', NAME.len() + 1 + after.len())
        }
        Some((b'0'..=b'9', rest)) if after.starts_with(rest) => Start::Partial,
        Some(_) => Start::Bad,
    }
}

/// Reads a status line as far as it matters. The reason is whatever stands before the line's
/// end.
pub(super) fn status(bytes: &[u8]) -> Start<StatusLine> {
    let from = match minor(bytes, b" ") {
        Start::Bad => return Start::Bad,
        Start::Partial => return Start::Partial,
        Start::Whole(_, from) => from,
    };
    let digits = bytes.get(from..).unwrap_or(b"");
    let mut status = 0_u16;
    for place in 0..3 {
        match digits.get(place) {
            None => return Start::Partial,
            Some(digit @ b'0'..=b'9') => status = status * 10 + u16::from(digit - b'0'),
            Some(_) => return Start::Bad,
        }
    }
    match digits.get(3) {
        None => Start::Partial,
        Some(b' ' | b'\r' | b'\n') if status >= 100 => match length(bytes) {
            Some(len) => Start::Whole(StatusLine { status }, len),
            None => Start::Partial,
        },
        Some(_) => Start::Bad,
    }
}

/// Does a status line begin here? Decided by its first 12 bytes.
pub(super) fn begins_status(bytes: &[u8]) -> Start<()> {
    match status(bytes) {
        Start::Bad => Start::Bad,
        Start::Partial if bytes.len() < 13 => Start::Partial,
        _ => Start::Whole((), 0),
    }
}

/// A header line without its end: `name: value`, or a continuation of the line before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header<'a> {
    /// Name and trimmed value.
    Field(&'a [u8], &'a [u8]),
    /// Trimmed continuation of the value before (obs-fold).
    Folded(&'a [u8]),
    /// No header: ignored.
    Junk,
}

/// Reads a header line, given without its end.
pub(super) fn header(line: &[u8]) -> Header<'_> {
    if line
        .first()
        .is_some_and(|&byte| byte == b' ' || byte == b'\t')
    {
        return Header::Folded(line.trim_ascii());
    }
    match memchr::memchr(b':', line) {
        None | Some(0) => Header::Junk,
        Some(colon) => {
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or(b"");
            Header::Field(name.trim_ascii_end(), value.trim_ascii())
        }
    }
}

/// `tchar` of RFC 9110.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
