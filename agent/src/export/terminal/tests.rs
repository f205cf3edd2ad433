use super::*;
use crate::metadata::{Runtime, Service};
use crate::protocol::exchange::{Attribute, Role};
use crate::semconv;
use crate::span::{Evidence, Parent, Span, SpanId, Status, TraceId};
use std::sync::Arc;

const PLAIN: Style = Style {
    width: 110,
    color: false,
};

/// Milliseconds in ns.
const MS: u64 = 1_000_000;

fn service(name: &str) -> Arc<Service> {
    Arc::new(Service {
        name: name.to_owned(),
        tgid: 7,
        runtime: Runtime::Node,
        resource: Vec::new(),
    })
}

fn span(id: u8, parent: Option<(u8, Evidence)>, role: Role, service: &Arc<Service>) -> Span {
    Span {
        trace: TraceId([0x4b; 16]),
        id: SpanId([id; 8]),
        parent: parent.map(|(id, evidence)| Parent {
            id: SpanId([id; 8]),
            remote: false,
            evidence,
        }),
        state: None,
        sampled: true,
        role,
        name: "GET /process/{name}".to_owned(),
        start: u64::from(id) * MS,
        end: (40 - u64::from(id)) * MS,
        status: Status::Unset,
        attributes: vec![
            Attribute::new(semconv::URL_PATH, "/process/charlie"),
            Attribute::new(semconv::HTTP_RESPONSE_STATUS_CODE, 200),
        ],
        service: Arc::clone(service),
    }
}

fn three() -> Vec<Span> {
    let (front, data) = (service("frontend-api"), service("data-processor"));
    let mut spans = vec![
        span(1, None, Role::Server, &front),
        span(2, Some((1, Evidence::Thread)), Role::Client, &front),
        span(3, Some((2, Evidence::SocketPair)), Role::Server, &data),
    ];
    let url = "http://localhost:3001/data/charlie_error";
    spans[1].attributes[0] = Attribute::new(semconv::URL_FULL, url);
    for span in &mut spans {
        span.attributes[1] = Attribute::new(semconv::HTTP_RESPONSE_STATUS_CODE, 500);
        span.status = Status::Error;
    }
    spans
}

fn draw(spans: &[Span], style: Style) -> String {
    let text = render(&spans.iter().collect::<Vec<_>>(), style);
    for line in text.lines() {
        assert!(
            clean::columns(line) <= style.width || style.color,
            "too wide: {line}"
        );
        assert!(style.color || !line.contains('\x1b'), "{line:?}");
    }
    text
}

#[test]
fn a_chain_of_three() {
    insta::assert_snapshot!(draw(&three(), PLAIN));
}

#[test]
fn narrow() {
    let style = Style { width: 60, ..PLAIN };
    insta::assert_snapshot!(draw(&three(), style));
}

#[test]
fn colours() {
    let style = Style {
        color: true,
        ..PLAIN
    };
    insta::assert_snapshot!(draw(&three(), style).replace('\x1b', "ESC"));
}

#[test]
fn siblings_and_a_missing_parent() {
    let front = service("shop");
    let spans = [
        span(4, Some((1, Evidence::Thread)), Role::Client, &front),
        span(1, None, Role::Server, &front),
        span(2, Some((1, Evidence::Thread)), Role::Client, &front),
        span(3, Some((2, Evidence::SocketPair)), Role::Server, &front),
        span(9, Some((8, Evidence::Thread)), Role::Client, &front),
    ];
    insta::assert_snapshot!(draw(&spans, PLAIN));
}

#[test]
fn hostile_text_and_circles() {
    let mut spans = three();
    spans[0].parent = spans[1].parent.map(|parent| Parent {
        id: SpanId([3; 8]),
        ..parent
    });
    spans[0].service = service("evil\x1b[31m\u{202e}name");
    let path = "/\x1b]0;owned\x07".repeat(50_000);
    spans[0].attributes[0] = Attribute::new(semconv::URL_PATH, path);
    spans[1].name = "\r\n".repeat(1000);
    insta::assert_snapshot!(draw(&spans, PLAIN));
}

#[test]
fn many_spans_are_bounded() {
    let front = service("deep");
    let mut spans = vec![span(0, None, Role::Server, &front)];
    for number in 1..5000_u64 {
        let mut next = span(1, Some((0, Evidence::Task)), Role::Client, &front);
        next.id = SpanId(number.to_be_bytes());
        let before = SpanId((number - 1).to_be_bytes());
        next.parent = next.parent.map(|parent| Parent {
            id: before,
            ..parent
        });
        spans.push(next);
    }
    let text = draw(&spans, PLAIN);
    assert_eq!(text.lines().count(), 202);
    assert!(text.ends_with("… and 4800 more spans\n"), "{text}");
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_broken_pipe_is_the_end() {
    let mut terminal = Terminal::new(Broken, PLAIN);
    let mut work = Work::new(vec![three().into()]);
    assert_eq!(terminal.print(&mut work), Err(Failure::Closed));
    assert_eq!(work.open(), 3);
}
