//! HTTP/2 and gRPC without TLS, with real clients and servers: spans seen == requests sent.

use crate::shared::{able, lacking, the};
use harness::agent::{Agent, Span};
use harness::host::{program, workloads};
use harness::process::Child;
use harness::service::free_port;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that is removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = harness::agent::fresh_path(name);
        fs::create_dir_all(path.join("html")).expect("a folder in the temporary one");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is in the temporary folder: left there if it cannot be removed.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// nginx that speaks HTTP/2 from the first byte.
fn nginx(folder: &Folder, port: u16) -> Option<Child> {
    let nginx = program("nginx").or_else(|| {
        let path = PathBuf::from("/usr/sbin/nginx");
        path.is_file().then_some(path)
    })?;
    let dir = folder.0.display();
    fs::write(folder.0.join("html/small.txt"), "a small file\n").expect("a file");
    fs::write(folder.0.join("html/large.txt"), vec![b'x'; 1 << 20]).expect("a file");
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {dir}/{name};"))
        .concat();
    let text = format!(
        "daemon off; worker_processes 2; pid {dir}/pid; error_log stderr crit;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; {paths}\n\
         server {{ listen 127.0.0.1:{port} http2; root {dir}/html;\n\
         location = /broken {{ return 500; }} }} }}\n"
    );
    let conf = folder.0.join("nginx.conf");
    fs::write(&conf, text).expect("a file");
    let mut command = Command::new("chmod");
    let _ = command.args(["-R", "a+rX"]).arg(&folder.0).status();
    let mut command = Command::new(nginx);
    command.arg("-p").arg(&folder.0).arg("-c").arg(&conf);
    let child = Child::spawn(&mut command);
    listening(port);
    Some(child)
}

/// Waits until somebody listens at `port`, without connecting to it.
fn listening(port: u16) {
    let line = format!(":{port:04X} 00000000:0000 0A");
    for _ in 0..200 {
        let sockets = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let sockets = sockets + &fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
        if sockets.contains(&line)
            || sockets.contains(&format!(
                ":{port:04X} 00000000000000000000000000000000:0000 0A"
            ))
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("nobody listens at {port}");
}

/// Runs a client to its end; what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// nginx, and h2load that asks it.
struct Load {
    h2load: PathBuf,
    port: u16,
    _nginx: Child,
    // It is removed when nginx is gone.
    _folder: Folder,
}

impl Load {
    /// `None` when the host lacks one of them; says so.
    fn start(what: &str) -> Option<Self> {
        if !able(what) {
            return None;
        }
        let (folder, port) = (Folder::new("h2"), free_port());
        let Some(nginx) = nginx(&folder, port) else {
            lacking(what, "nginx");
            return None;
        };
        let Some(h2load) = program("h2load") else {
            harness::skip!("{what}", "h2load", "apt-get install nghttp2-client");
            return None;
        };
        Some(Self {
            h2load,
            port,
            _nginx: nginx,
            _folder: folder,
        })
    }

    /// Asks for `paths` in turn; what h2load said.
    fn send<const N: usize>(&self, how: [&str; N], paths: &[&str]) -> String {
        let urls = paths.iter();
        let urls = urls.map(|path| format!("http://127.0.0.1:{}/{path}", self.port));
        run(Command::new(&self.h2load).args(how).args(urls))
    }
}

/// Spans of one side with that value of an attribute, by what `key` says of them.
fn count(spans: &[Span], server: bool, key: impl Fn(&Span) -> String) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for span in spans.iter().filter(|span| span.is_server() == server) {
        *counts.entry(key(span)).or_default() += 1;
    }
    counts
}

#[test]
fn a_thousand_streams() {
    let what = "a_thousand_streams";
    let Some(load) = Load::start(what) else {
        return;
    };
    let (agent, port) = (Agent::start(), load.port);
    let said = load.send(
        ["-n", "1000", "-c", "10", "-m", "10"],
        &["small.txt", "broken", "missing", "small.txt?a=b"],
    );
    assert!(said.contains("500 2xx, 0 3xx, 250 4xx, 250 5xx"), "{said}");
    let own = |span: &Span| span.port() == port;
    agent.wait_for(2000, own);
    let (spans, _) = agent.stop();
    let spans: Vec<Span> = spans.into_iter().filter(own).collect();
    for server in [true, false] {
        let found = count(&spans, server, |span| {
            format!("{} {}", span.target(), span.status())
        });
        let expected = [
            ("/broken 500", 250),
            ("/missing 404", 250),
            ("/small.txt 200", 250),
            ("/small.txt?a=b 200", 250),
        ];
        let expected = expected.map(|(key, count)| (key.to_owned(), count));
        assert_eq!(found, BTreeMap::from(expected), "server: {server}");
    }
    for span in &spans {
        assert_eq!(span.text("network.protocol.version"), "2", "{span:#?}");
        assert!(span.start <= span.end, "{span:#?}");
        assert_eq!(span.text("weft.capture.cut"), "", "{span:#?}");
    }
    // Both ends of each stream were seen, at the same offset of the connection.
    let clients: BTreeMap<&str, &Span> = spans
        .iter()
        .filter(|span| !span.is_server())
        .map(|span| (span.id.as_str(), span))
        .collect();
    for span in spans.iter().filter(|span| span.is_server()) {
        let client = clients.get(span.parent.as_str());
        let client = client.unwrap_or_else(|| panic!("nobody asked for {span:#?}"));
        assert_eq!(client.target(), span.target());
        assert_eq!(span.text("weft.parent.evidence"), "socket_pair");
    }
}

#[test]
fn large_bodies_among_small_ones() {
    let what = "large_bodies_among_small_ones";
    let Some(load) = Load::start(what) else {
        return;
    };
    let (agent, port) = (Agent::start(), load.port);
    load.send(
        ["-n", "100", "-c", "2", "-m", "4"],
        &["large.txt", "small.txt"],
    );
    // Heads of answers may be missing between bodies that were not copied, requests never.
    let asked = |span: &Span| span.is_server() && span.port() == port;
    agent.wait_for(100, asked);
    let (spans, _) = agent.stop();
    let spans: Vec<Span> = spans.into_iter().filter(asked).collect();
    assert_eq!(spans.len(), 100);
    for span in &spans {
        let known = span.status() == 200 || span.text("weft.capture.cut") == "true";
        assert!(known && !span.error, "{span:#?}");
    }
}

/// grpcio's client and server, as they are recorded for the tests of protocols.
fn script(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("harness/capture/rpc").join(name)
}

fn python() -> Option<PathBuf> {
    let own = workloads().join("../venv/bin/python");
    let candidates = [Some(own), program("python3")];
    candidates.into_iter().flatten().find(|python| {
        let found = Command::new(python).args(["-c", "import grpc"]).output();
        found.is_ok_and(|output| output.status.success())
    })
}

#[test]
fn calls_of_grpcio() {
    let what = "calls_of_grpcio";
    if !able(what) {
        return;
    }
    let Some(python) = python() else {
        return harness::skip!("{what}", "Python's grpcio", "cargo xtask setup");
    };
    let port = free_port();
    let mut command = Command::new(&python);
    command.arg(script("serve.py")).arg(port.to_string());
    let mut server = Child::spawn(&mut command);
    server.line_with("listening on");
    let agent = Agent::start();
    let stories = [
        "world", "world", "missing", "broken", "watch", "unknown", "late", "cancel", "world",
    ];
    let mut command = Command::new(&python);
    command.arg(script("call.py")).arg(port.to_string());
    let said = run(command.args(stories));
    assert!(said.contains("cancel CANCELLED"), "{said}");
    let own = |span: &Span| span.port() == port && span.text("rpc.system.name") == "grpc";
    agent.wait_for(2 * stories.len(), own);
    let (spans, _) = agent.stop();
    let spans: Vec<Span> = spans.into_iter().filter(own).collect();
    for server in [true, false] {
        let found = count(&spans, server, |span| {
            let error = if span.error { " error" } else { "" };
            format!("{} {}{error}", span.name, span.text("rpc.status_code"))
        });
        let get = "shop.Names/Get";
        // What the client did wrong is no error of the server.
        let mistake = if server { "" } else { " error" };
        let unknown = if server {
            "grpc"
        } else {
            "shop.Names/Nonsense"
        };
        let expected = [
            (format!("{get} OK"), 3),
            (format!("{get} NOT_FOUND{mistake}"), 1),
            (format!("{get} UNKNOWN error"), 1),
            (format!("{get} DEADLINE_EXCEEDED error"), 1),
            (format!("{get} CANCELLED{mistake}"), 1),
            ("shop.Names/Watch OK".to_owned(), 1),
            (format!("{unknown} UNIMPLEMENTED error"), 1),
        ];
        assert_eq!(found, BTreeMap::from(expected), "server: {server}");
        let watch = the(&spans, "Watch", |span| {
            span.is_server() == server && span.name == "shop.Names/Watch"
        });
        assert_eq!(watch.text("weft.rpc.request.messages"), "3", "{watch:#?}");
        assert_eq!(watch.text("weft.rpc.response.messages"), "6", "{watch:#?}");
    }
    let paired = |span: &&Span| span.text("weft.parent.evidence") == "socket_pair";
    assert_eq!(spans.iter().filter(paired).count(), stories.len());
}
