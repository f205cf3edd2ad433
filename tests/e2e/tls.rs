//! Services and clients that speak TLS by libraries of their own choice: what is seen of them is
//! what would be seen in the clear.

use crate::clients::check_joined;
use crate::shared::{able, the, tool};
use harness::agent::{Agent, Span, command, fresh_path};
use harness::host::{program, python};
use harness::process::Child;
use harness::service::free_port;
use harness::skip;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What no span may ever show.
const SECRET: &str = "c2VjcmV0LWNyZWRlbnRpYWw";

/// A certificate for `localhost` and its key, in a folder that is removed with them.
pub(crate) struct Certificate(PathBuf);

impl Certificate {
    /// `None` when no agent can be started here, or when `openssl` or one of `tools` is missing; says
    /// so.
    pub(crate) fn made(what: &str, tools: &[&str]) -> Option<Self> {
        let has = |name: &&str| tool(what, name);
        if !able(what) || !tools.iter().all(has) || !has(&"openssl") {
            return None;
        }
        let folder = fresh_path("tls");
        fs::create_dir(&folder).expect("a temporary folder");
        let own = Self(folder);
        let output = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args(["-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-keyout", &own.path("key.pem")])
            .args(["-out", &own.path("cert.pem")])
            .output()
            .expect("openssl starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        Some(own)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Starts `script` by `runtime` on `port`.
    fn serve(&self, runtime: &PathBuf, script: &str, port: u16, upstream: u16) -> Child {
        let script = format!("{}/e2e/tls/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut service = Command::new(runtime);
        service.args([script, port.to_string()]);
        service.args([self.path("cert.pem"), self.path("key.pem")]);
        service.env("UPSTREAM", upstream.to_string());
        let mut service = Child::spawn(&mut service);
        service.line_with("listening on");
        service
    }

    /// Starts nginx on `port`, which passes what is below /call/ on to `upstream`.
    pub(crate) fn nginx(&self, port: u16, upstream: u16) -> Child {
        let folder = self.0.display();
        let settings = format!(
            "daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log stderr notice;
            events {{ worker_connections 64; }}
            http {{
                access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
                server {{
                    listen 127.0.0.1:{port} ssl;
                    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
                    location / {{ return 200 \"hello\\n\"; }}
                    location /missing {{ return 404; }}
                    location /call/ {{ proxy_pass https://127.0.0.1:{upstream}/; }}
                }}
            }}"
        );
        let file = self.path("nginx.conf");
        fs::write(&file, settings).expect("the folder is writable");
        let mut nginx = Command::new("nginx");
        nginx.args(["-p", &self.0.display().to_string(), "-c", &file]);
        let mut nginx = Child::spawn(&mut nginx);
        nginx.error_with("start worker process ");
        nginx
    }

    /// Asks for each target at `port`, over one connection.
    fn curl(&self, port: u16, targets: &[&str]) {
        let urls = targets
            .iter()
            .map(|target| format!("https://localhost:{port}{target}"));
        let output = Command::new("curl")
            .args(["-sS", "-4", "--http1.1", "--cacert", &self.path("cert.pem")])
            .args(["-H", &format!("Authorization: Bearer {SECRET}")])
            .args(urls)
            .output()
            .expect("curl starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Both ends of each request are one tree, joined by their connection, and said to be encrypted.
fn check_both_ends(spans: &[Span], port: u16, paths: &[(&str, u16)], service: &str) {
    let ours = |span: &&Span| span.port() == port;
    assert_eq!(
        spans.iter().filter(ours).count(),
        2 * paths.len(),
        "{spans:#?}"
    );
    for (path, status) in paths {
        let side = |server: bool| {
            the(spans, path, |span| {
                span.port() == port && span.is_server() == server && span.text("url.path") == *path
            })
        };
        let (client, server) = (side(false), side(true));
        check_joined(client, server, service);
        assert_eq!(server.status(), *status, "{server:#?}");
        for span in [client, server] {
            assert_eq!(span.text("url.scheme"), "https", "{span:#?}");
            assert_eq!(span.text("network.protocol.version"), "1.1", "{span:#?}");
            assert_eq!(span.text("network.peer.address"), "127.0.0.1", "{span:#?}");
            let said = format!("{span:?}");
            assert!(!said.contains(SECRET), "{said}");
        }
    }
}

/// The call that a service made for the request at `path`.
fn check_called(spans: &[Span], port: u16, upstream: u16, path: &str, called: &str) {
    let served = the(spans, path, |span| {
        span.port() == port && span.is_server() && span.text("url.path") == path
    });
    let call = the(spans, called, |span| {
        span.port() == upstream && !span.is_server() && span.text("url.path") == called
    });
    assert_eq!(call.parent, served.id, "{call:#?}");
    let below = the(spans, called, |span| {
        span.port() == upstream && span.is_server() && span.text("url.path") == called
    });
    assert_eq!(below.parent, call.id, "{below:#?}");
    assert_eq!(below.text("weft.parent.evidence"), "socket_pair");
}

/// Starts a service that asks another one.
type Start = fn(&Certificate, u16, u16) -> Option<Child>;

#[test]
fn services_of_every_library_are_joined_with_curl() {
    let what = "TLS services";
    let Some(certificate) = Certificate::made(what, &["curl", "nginx"]) else {
        return;
    };
    let starts: [(&str, Start); 4] = [
        ("nginx", |own, port, upstream| {
            Some(own.nginx(port, upstream))
        }),
        ("threads", |own, port, upstream| {
            Some(own.serve(&python()?, "threads.py", port, upstream))
        }),
        ("tasks", |own, port, upstream| {
            Some(own.serve(&python()?, "tasks.py", port, upstream))
        }),
        ("loop", |own, port, upstream| {
            Some(own.serve(&program("node")?, "loop.js", port, upstream))
        }),
    ];
    let upstream = free_port();
    let Some(_below) = starts[1].1(&certificate, upstream, 0) else {
        return skip!("{what}", "python3", "install python3");
    };
    for (service, start) in starts {
        let port = free_port();
        let Some(mut running) = start(&certificate, port, upstream) else {
            skip!("{what}", service, "install its runtime");
            continue;
        };
        let agent = Agent::start();
        certificate.curl(port, &["/first", "/missing"]);
        certificate.curl(port, &["/second"]);
        let paths = [("/first", 200), ("/missing", 404), ("/second", 200)];
        let mut calls = 0;
        if service != "threads" {
            certificate.curl(port, &["/call/one"]);
            certificate.curl(port, &["/call/two"]);
            calls = 2;
        }
        let ours = |span: &Span| span.port() == port || span.port() == upstream;
        agent.wait_for(2 * paths.len() + 4 * calls, ours);
        let (spans, _) = agent.stop();
        let ours = spans
            .iter()
            .filter(|span| !span.target().starts_with("/call/"));
        let direct: Vec<Span> = ours.cloned().collect();
        check_both_ends(&direct, port, &paths, service);
        if calls > 0 {
            for name in ["one", "two"] {
                let (path, called) = (format!("/call/{name}"), format!("/{name}"));
                check_called(&spans, port, upstream, &path, &called);
            }
        }
        assert!(running.alive(), "{}", running.errors());
    }
}

/// GnuTLS, by a client that lives for a moment.
#[test]
fn wget_is_seen() {
    let what = "GnuTLS";
    let Some(certificate) = Certificate::made(what, &["wget", "nginx"]) else {
        return;
    };
    let port = free_port();
    let _nginx = certificate.nginx(port, free_port());
    let agent = Agent::start();
    let output = Command::new("wget")
        .args(["-qO-", "--no-check-certificate"])
        .arg(format!("https://localhost:{port}/by-wget"))
        .output()
        .expect("wget starts");
    assert!(output.status.success(), "{output:?}");
    agent.wait_for(2, |span| span.port() == port);
    let (spans, _) = agent.stop();
    let side = |server: bool| {
        the(&spans, "wget", |span| {
            span.port() == port && span.is_server() == server
        })
    };
    let (client, server) = (side(false), side(true));
    assert_eq!(client.service, "wget");
    assert_eq!(client.text("url.path"), "/by-wget", "{client:#?}");
    assert_eq!(server.parent, client.id, "{server:#?}");
}

/// `weft explain` names the library of a process.
#[test]
fn a_library_is_explained() {
    let what = "explain TLS";
    let Some(python) = python() else {
        return skip!("{what}", "python3", "install python3");
    };
    let Some(certificate) = Certificate::made(what, &[]) else {
        return;
    };
    let service = certificate.serve(&python, "threads.py", free_port(), 0);
    let output = command(&["explain", &service.id().to_string()])
        .output()
        .expect("weft starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find(|line| line.starts_with("tls "));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("libssl") && line.contains("probed"), "{said}");
}

/// Its functions have names as long as its program has symbols.
#[test]
fn rustls_is_explained_by_its_symbols() {
    let what = "explain rustls";
    let Some(strip) = program("strip") else {
        return skip!("{what}", "strip", "install binutils");
    };
    if !able(what) {
        return;
    }
    let whole = PathBuf::from(env!("CARGO_BIN_EXE_rustls-peer"));
    let stripped = fresh_path("rustls-peer");
    let mut strip = Command::new(strip);
    let status = strip.arg("-o").arg(&stripped).arg(&whole).status();
    assert!(status.expect("strip starts").success());
    for (peer, expected) in [(&whole, "probed while"), (&stripped, "have no names")] {
        let mut peer = Child::start(peer, &[]);
        peer.line_with("ready");
        let output = command(&["explain", &peer.id().to_string()])
            .output()
            .expect("weft starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().find(|line| line.starts_with("tls "));
        let line = line.unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains("rustls") && line.contains(expected), "{said}");
    }
    fs::remove_file(&stripped).expect("it was made here");
}
