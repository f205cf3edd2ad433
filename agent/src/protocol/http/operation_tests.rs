use super::*;
use crate::protocol::exchange::Value;
use crate::protocol::http1;

fn check(role: Role, text: &str, verb: &str, expected: &[(&str, &str)]) {
    let mut head = http1::head(&format!("{text}\r\n\r\n"));
    let operation = operation(&mut head, role);
    assert_eq!(operation.verb, verb);
    let found: Vec<_> = operation
        .attributes
        .iter()
        .map(|attribute| match &attribute.value {
            Value::Text(text) => (attribute.key, text.to_string()),
            Value::Int(number) => (attribute.key, number.to_string()),
            other => (attribute.key, format!("{other:?}")),
        })
        .collect();
    let found: Vec<_> = found
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_server_s_request() {
    check(
        Role::Server,
        "POST /a?b=c HTTP/1.1\r\nHost: h.example:8080\r\nUser-Agent: x/1\r\nContent-Length: 3",
        "POST",
        &[
            ("http.request.method", "POST"),
            ("url.scheme", "http"),
            ("url.path", "/a"),
            ("url.query", "b=c"),
            ("server.address", "h.example"),
            ("user_agent.original", "x/1"),
            ("network.protocol.version", "1.1"),
            ("server.port", "8080"),
            ("http.request.body.size", "3"),
        ],
    );
}

#[test]
fn behind_a_proxy() {
    let request = "GET / HTTP/1.0\r\nHost: inner\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n\
                   X-Forwarded-Proto: https\r\nX-Forwarded-Host: outer";
    let expected = [
        ("http.request.method", "GET"),
        ("url.scheme", "https"),
        ("url.path", "/"),
        ("server.address", "outer"),
        ("client.address", "192.0.2.1"),
        ("network.protocol.version", "1.0"),
    ];
    check(Role::Server, request, "GET", &expected);
    let standard = "GET / HTTP/1.0\r\nX-Forwarded-For: 10.0.0.1\r\n\
                    Forwarded: for=\"192.0.2.1:99\";proto=https;host=outer, for=10.0.0.2";
    check(Role::Server, standard, "GET", &expected);
    check(
        Role::Client,
        request,
        "GET",
        &[
            ("http.request.method", "GET"),
            ("url.scheme", "http"),
            ("url.path", "/"),
            ("server.address", "inner"),
            ("network.protocol.version", "1.0"),
        ],
    );
}

#[test]
fn unusual_requests() {
    check(
        Role::Client,
        "get http://u:p@[2001:db8::1]:81/a HTTP/1.1\r\nHost: other\r\nUser-Agent: x",
        "HTTP",
        &[
            ("http.request.method", "_OTHER"),
            ("http.request.method_original", "get"),
            ("url.scheme", "http"),
            ("url.path", "/a"),
            ("server.address", "2001:db8::1"),
            ("network.protocol.version", "1.1"),
            ("server.port", "81"),
        ],
    );
    check(
        Role::Client,
        "CONNECT h:443 HTTP/1.1",
        "CONNECT",
        &[
            ("http.request.method", "CONNECT"),
            ("server.address", "h"),
            ("network.protocol.version", "1.1"),
            ("server.port", "443"),
        ],
    );
}

#[test]
fn a_port_belongs_to_a_host() {
    for (host, expected) in [
        (
            "h:81",
            &[("server.address", "h"), ("server.port", "81")][..],
        ),
        ("h", &[("server.address", "h")]),
        (":81", &[]),
        ("", &[]),
    ] {
        let mut all = vec![
            ("http.request.method", "GET"),
            ("url.scheme", "http"),
            ("url.path", "/"),
        ];
        all.extend(expected.iter().take(1));
        all.push(("network.protocol.version", "1.1"));
        all.extend(expected.iter().skip(1));
        let request = format!("GET / HTTP/1.1\r\nHost: {host}");
        check(Role::Client, &request, "GET", &all);
    }
}

#[test]
fn client_addresses_are_addresses() {
    for (text, expected) in [
        ("192.0.2.1", Some("192.0.2.1")),
        ("192.0.2.1:80", Some("192.0.2.1")),
        ("[2001:db8::1]:80", Some("2001:db8::1")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("unknown", None),
        ("_hidden", None),
        ("", None),
    ] {
        assert_eq!(address(text).as_deref(), expected, "{text}");
    }
}
