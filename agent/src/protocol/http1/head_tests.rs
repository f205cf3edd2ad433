use super::super::line::{Start, request};
use super::*;

fn head(text: &[u8]) -> RequestHead {
    let Start::Whole(line, mut at) = request(text) else {
        panic!("no request line: {}", text.escape_ascii());
    };
    let mut head = RequestHead::new(line);
    while let Some(len) = super::super::line::length(&text[at..]) {
        if !head.line(&text[at..at + len]) {
            break;
        }
        at += len;
    }
    head
}

fn check_request(fields: &str, expected: Option<Framing>) {
    let found = head(format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes()).framing();
    assert_eq!(found, expected, "{fields}");
}

#[test]
fn framing_of_requests() {
    let unknown = Some(Framing::Unknown { chunked: false });
    check_request("A: b", None);
    check_request("Content-Length: 0", None);
    check_request("Content-Length: 12", Some(Framing::Length(12)));
    check_request("Content-Length: 12, 12", Some(Framing::Length(12)));
    check_request(
        "Content-Length: 12\r\ncontent-length: 12",
        Some(Framing::Length(12)),
    );
    check_request("Content-Length: 12\r\nContent-Length: 13", unknown.clone());
    check_request("Content-Length: -1", unknown.clone());
    check_request("Content-Length: 99999999999999999999", unknown.clone());
    check_request("Content-Length:\r\n 12", Some(Framing::Length(12)));
    check_request("Transfer-Encoding: chunked", Some(Body::chunked()));
    check_request("Transfer-Encoding: gzip, Chunked", Some(Body::chunked()));
    check_request(
        "Transfer-Encoding: gzip,\r\n\tchunked",
        Some(Body::chunked()),
    );
    check_request("Transfer-Encoding: chunked, gzip", unknown);
    check_request(
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        Some(Body::chunked()),
    );
}

fn check_answer(status: u16, fields: &str, bodiless: bool, expected: Option<Framing>) {
    let mut head = AnswerHead::new(status);
    for line in fields.split_inclusive('\n') {
        assert!(head.line(line.as_bytes()));
    }
    assert!(!head.line(b"\r\n"));
    assert_eq!(head.framing(bodiless), expected, "{status} {fields}");
}

#[test]
fn framing_of_answers() {
    check_answer(200, "", false, Some(Framing::UntilClose));
    check_answer(
        200,
        "Content-Length: 5\r\n",
        false,
        Some(Framing::Length(5)),
    );
    check_answer(200, "Content-Length: 5\r\n", true, None);
    check_answer(200, "Content-Length: 0\r\n", false, None);
    check_answer(204, "Transfer-Encoding: chunked\r\n", false, None);
    check_answer(304, "Content-Length: 5\r\n", false, None);
    check_answer(100, "", false, None);
    check_answer(
        200,
        "Transfer-Encoding: gzip\r\n",
        false,
        Some(Framing::UntilClose),
    );
    check_answer(
        200,
        "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
        false,
        Some(Framing::Length(5)),
    );
}

fn check_target(line: &str, path: Option<&str>, query: Option<&str>, authority: Option<&str>) {
    let head = head(format!("{line} HTTP/1.1\r\n\r\n").as_bytes());
    assert_eq!(head.head.path.as_deref(), path, "{line}");
    assert_eq!(head.head.query.as_deref(), query, "{line}");
    assert_eq!(head.head.authority.as_deref(), authority, "{line}");
}

#[test]
fn forms_of_targets() {
    check_target("GET /", Some("/"), None, None);
    check_target("GET /a/b?c=d?e#f", Some("/a/b"), Some("c=d?e"), None);
    check_target("GET /a?", Some("/a"), Some(""), None);
    check_target(
        "GET /to?u=http://x/",
        Some("/to"),
        Some("u=http://x/"),
        None,
    );
    check_target(
        "GET http://u:p@h:81/a?b",
        Some("/a"),
        Some("b"),
        Some("h:81"),
    );
    check_target("GET http://h", Some("/"), None, Some("h"));
    check_target("GET http://h?b", Some("/"), Some("b"), Some("h"));
    check_target("CONNECT h:443", None, None, Some("h:443"));
    check_target("OPTIONS *", Some("*"), None, None);
}

fn check_context(fields: &str, traceparent: Option<&str>, tracestate: Option<&str>) {
    let mut head = head(format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes());
    assert_eq!(
        head.head.fields.take_traceparent().as_deref(),
        traceparent,
        "{fields}"
    );
    assert_eq!(
        head.head.fields.tracestate.as_deref(),
        tracestate,
        "{fields}"
    );
}

#[test]
fn trace_headers() {
    check_context("TraceParent: 00-a-b-01", Some("00-a-b-01"), None);
    check_context("traceparent:\r\n 00-a", Some("00-a"), None);
    check_context("traceparent: 1\r\ntraceparent: 1", None, None);
    check_context(
        "tracestate: a=1\r\ntracestate: b=2, c=3",
        None,
        Some("a=1,b=2,c=3"),
    );
    let long = "x".repeat(600);
    check_context(&format!("traceparent: {long}"), None, None);
    check_context(
        &format!("tracestate: a=1,{long},b=2"),
        None,
        Some("a=1,b=2"),
    );
}

/// Where httparse understands a head, this reader must understand the same.
fn check_against_httparse(text: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut theirs = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(_)) = theirs.parse(text) else {
        return;
    };
    let Start::Whole(line, _) = request(text) else {
        // A target must look like one here.
        assert!(!theirs.path.is_some_and(|path| path.starts_with('/')));
        return;
    };
    assert_eq!(theirs.method.map(str::as_bytes), Some(line.method));
    assert_eq!(theirs.path.map(str::as_bytes), Some(line.target));
    assert_eq!(theirs.version, Some(line.minor));
    let host = theirs
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("host") && !field.value.is_empty())
        .map(|field| text_of(field.value));
    let ours = head(text).head.fields.host.filter(|host| !host.is_empty());
    assert_eq!(ours, host, "{}", text.escape_ascii());
}

fn text_of(value: &[u8]) -> String {
    text(value.trim_ascii(), LONGEST_NAME)
}

proptest::proptest! {
    #[test]
    fn heads_mean_what_httparse_says(
        method in "[A-Z-]{1,8}",
        path in "[!-~]{0,20}",
        lines in proptest::collection::vec("([Hh]ost|X-A|[a-z]{1,5}):[ \t]?[ -~]{0,12}", 0..6),
        end in "\r?\n",
    ) {
        let mut text = format!("{method} /{path} HTTP/1.1\r\n");
        for line in lines {
            text.push_str(&line);
            text.push_str(&end);
        }
        text.push_str(&end);
        check_against_httparse(text.as_bytes());
    }
}
