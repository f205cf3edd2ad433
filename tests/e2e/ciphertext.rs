//! TLS of which only the ciphertext is seen, as of libraries that weft does not know: one span for
//! each connection.

use crate::shared::the;
use crate::tls::Certificate;
use harness::agent::{Agent, Span};
use harness::service::free_port;
use std::process::Command;

/// Asks for two pages at `port` over one connection; answers whether they came.
fn ask(port: u16, arguments: &[&str]) -> bool {
    let url = |page: &str| format!("https://localhost:{port}/{page}");
    let output = Command::new("curl")
        .args(["-s", "-4", "--tls-max", "1.2"])
        .args(arguments)
        .args([url("one"), url("two")])
        .output()
        .expect("curl starts");
    output.status.success()
}

#[test]
fn a_connection_without_plaintext_is_one_span() {
    let what = "ciphertext";
    let Some(certificate) = Certificate::made(what, &["curl", "nginx"]) else {
        return;
    };
    for (arguments, error) in [
        (&["--cacert", &certificate.path("cert.pem")][..], ""),
        (&["--fail-early"], "unknown_ca"),
    ] {
        let port = free_port();
        let _nginx = certificate.nginx(port, free_port());
        // Libraries are left alone, as if they were not known.
        let agent = Agent::with(&[], &[("WEFT_CAPTURE__TLS", "false")]);
        assert_eq!(ask(port, arguments), error.is_empty());
        agent.wait_for(2, |span| span.port() == port);
        let (spans, _) = agent.stop();
        let ours: Vec<Span> = spans
            .into_iter()
            .filter(|span| span.port() == port)
            .collect();
        assert_eq!(ours.len(), 2, "{ours:#?}");
        let side = |server: bool| the(&ours, "a side", |span| span.is_server() == server);
        let (client, server) = (side(false), side(true));
        assert_eq!(
            (client.service.as_str(), server.service.as_str()),
            ("curl", "nginx")
        );
        assert_eq!(server.parent, client.id, "{ours:#?}");
        assert_eq!(server.trace, client.trace, "{ours:#?}");
        for span in [client, server] {
            assert_eq!(span.name, "TLS", "{span:#?}");
            assert_eq!(span.text("server.address"), "localhost", "{span:#?}");
            assert_eq!(span.text("tls.protocol.version"), "1.2", "{span:#?}");
            assert_eq!(
                span.text("tls.established") == "true",
                error.is_empty(),
                "{span:#?}"
            );
            assert_eq!(span.error, !error.is_empty(), "{span:#?}");
        }
        assert_eq!(client.text("error.type"), error, "{client:#?}");
        // Who closes with bytes unread resets the connection: the alert may not arrive.
        let told = ["unknown_ca", "connection_closed"].contains(&server.text("error.type"));
        assert_eq!(told, !error.is_empty(), "{server:#?}");
        if !error.is_empty() {
            continue;
        }
        let sent = client.text("weft.connection.sent_bytes");
        assert_eq!(
            sent,
            server.text("weft.connection.received_bytes"),
            "{ours:#?}"
        );
        assert!(
            sent.parse::<u64>().is_ok_and(|sent| sent > 100),
            "{ours:#?}"
        );
    }
}
