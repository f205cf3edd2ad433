use super::super::route::Limits;
use super::*;
use crate::protocol::exchange::{Carried, Moment, Operation};
use crate::record::Task;

const MOMENT: Moment = Moment {
    at: 1,
    task: Task { tgid: 1, tid: 1 },
    fiber: 0,
    offset: 0,
};

fn request(role: Role, attributes: &[(&'static str, &str)]) -> Request {
    let path = attributes.iter().find(|(key, _)| *key == semconv::URL_PATH);
    Request {
        number: 0,
        role,
        stream: None,
        start: MOMENT,
        operation: Operation {
            verb: "GET".into(),
            target: path.map(|_| Target::Path),
            attributes: attributes
                .iter()
                .map(|(key, value)| Attribute::new(key, *value))
                .collect(),
        },
        carried: Carried::default(),
    }
}

fn answer(status: i64, outcome: Outcome) -> Answer {
    Answer {
        number: 0,
        first: None,
        end: MOMENT,
        outcome,
        attributes: vec![Attribute::new(semconv::HTTP_RESPONSE_STATUS_CODE, status)],
        cut: false,
    }
}

fn drafted(request: Request, answer: Option<Answer>, encrypted: bool) -> Draft {
    let local = Endpoint::Inet([10, 0, 0, 1].into(), 8080);
    let remote = Endpoint::Inet([10, 0, 0, 2].into(), 9000);
    let peer = Peer {
        local: &local,
        remote: &remote,
        path: None,
        encrypted,
    };
    let mut routes = Routes::new(Limits::default());
    build(request, answer, &peer, "s", &mut routes, Query::Names)
}

/// Compares name, status and attributes as lines.
fn check(draft: &Draft, expected: &str) {
    let mut found = format!("{} {:?}\n", draft.name, draft.status);
    for attribute in &draft.attributes {
        let _ = writeln!(found, "{} {:?}", attribute.key, attribute.value);
    }
    assert_eq!(found.trim_end(), expected.trim());
    let mut keys: Vec<_> = draft.attributes.iter().map(|one| one.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), draft.attributes.len());
}

const PARTS: [(&str, &str); 5] = [
    (semconv::HTTP_REQUEST_METHOD, "GET"),
    (semconv::URL_SCHEME, "http"),
    (semconv::URL_PATH, "/a/7"),
    (semconv::URL_QUERY, "key=secret"),
    (semconv::SERVER_ADDRESS, "example.com"),
];

#[test]
fn a_server() {
    let request = request(Role::Server, &PARTS);
    let answer = answer(200, Outcome::Ok);
    check(
        &drafted(request, Some(answer), false),
        r#"
GET /a/{id} Unset
http.request.method Text("GET")
url.scheme Text("http")
url.path Text("/a/7")
url.query Text("key=REDACTED")
server.address Text("example.com")
http.response.status_code Int(200)
server.port Int(80)
network.peer.address Text("10.0.0.2")
network.peer.port Int(9000)
http.route Text("/a/{id}")"#,
    );
}

#[test]
fn a_client_over_tls() {
    let request = request(Role::Client, &PARTS);
    let kind = "404".to_owned();
    let answer = answer(404, Outcome::ClientError { kind });
    check(
        &drafted(request, Some(answer), true),
        r#"
GET Error
http.request.method Text("GET")
url.path Text("/a/7")
url.query Text("key=REDACTED")
server.address Text("example.com")
http.response.status_code Int(404)
url.scheme Text("https")
server.port Int(443)
network.peer.address Text("10.0.0.2")
network.peer.port Int(9000)
url.full Text("https://example.com/a/7?key=REDACTED")
error.type Text("404")"#,
    );
}

#[test]
fn a_client_s_server_is_where_its_request_says() {
    // The peer is 10.0.0.2:9000, as behind a name of several servers.
    for (named, port, expected) in [
        (
            Some("behind"),
            None,
            ["behind", "80", "http://behind/a/7?key=REDACTED"],
        ),
        (
            Some("behind"),
            Some(8081),
            ["behind", "8081", "http://behind:8081/a/7?key=REDACTED"],
        ),
        (
            None,
            None,
            ["10.0.0.2", "9000", "http://10.0.0.2:9000/a/7?key=REDACTED"],
        ),
    ] {
        let mut request = request(Role::Client, &PARTS[..4]);
        let all = &mut request.operation.attributes;
        all.extend(named.map(|name| Attribute::new(semconv::SERVER_ADDRESS, name)));
        all.extend(port.map(|port: i64| Attribute::new(semconv::SERVER_PORT, port)));
        let draft = drafted(request, None, false);
        let found = [
            semconv::SERVER_ADDRESS,
            semconv::SERVER_PORT,
            semconv::URL_FULL,
        ]
        .map(|key| {
            let mut found = draft.attributes.iter().filter(|one| one.key == key);
            match found.next().map(|one| &one.value) {
                Some(Value::Text(text)) => text.to_string(),
                Some(Value::Int(number)) => number.to_string(),
                other => format!("{other:?}"),
            }
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn a_client_without_host_or_answer() {
    let request = request(Role::Client, &PARTS[..3]);
    check(
        &drafted(request, None, false),
        r#"
GET Unset
http.request.method Text("GET")
url.scheme Text("http")
url.path Text("/a/7")
server.address Text("10.0.0.2")
server.port Int(9000)
network.peer.address Text("10.0.0.2")
network.peer.port Int(9000)
url.full Text("http://10.0.0.2:9000/a/7")
weft.capture.cut Bool(true)"#,
    );
}

#[test]
fn paths_the_server_does_not_know_teach_nothing() {
    let request = request(Role::Server, &PARTS[2..3]);
    let kind = "404".to_owned();
    let answer = answer(404, Outcome::ClientError { kind });
    check(
        &drafted(request, Some(answer), false),
        r#"
GET Unset
url.path Text("/a/7")
http.response.status_code Int(404)
server.address Text("10.0.0.1")
server.port Int(8080)
network.peer.address Text("10.0.0.2")
network.peer.port Int(9000)"#,
    );
}

#[test]
fn a_unix_socket() {
    let request = request(Role::Client, &PARTS[..3]);
    let end = Endpoint::Unix(7);
    let peer = Peer {
        local: &end,
        remote: &end,
        path: Some("/run/x.sock"),
        encrypted: false,
    };
    let mut routes = Routes::new(Limits::default());
    let aborted = answer(200, Outcome::Aborted);
    check(
        &build(
            request,
            Some(aborted),
            &peer,
            "s",
            &mut routes,
            Query::Names,
        ),
        r#"
GET Error
http.request.method Text("GET")
url.scheme Text("http")
url.path Text("/a/7")
http.response.status_code Int(200)
server.address Text("/run/x.sock")
network.peer.address Text("/run/x.sock")
network.transport Text("unix")
url.full Text("http://localhost/a/7")
error.type Text("connection_closed")"#,
    );
}

#[test]
fn addresses_read_as_the_library_writes_them() {
    for text in [
        "0.0.0.0",
        "127.0.0.1",
        "10.20.30.40",
        "255.255.255.255",
        "100.9.10.99",
        "::1",
    ] {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(address_text(address), address.to_string());
    }
    assert_eq!(address_text("::ffff:1.2.3.4".parse().unwrap()), "1.2.3.4");
}
