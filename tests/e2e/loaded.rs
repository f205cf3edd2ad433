//! Programs that map code while the agent runs: libraries that a service loads when it has long
//! been there, from where nobody has looked for them; and valgrind, which reads code as data.

use crate::faults::said;
use crate::shared::{able, the, tool};
use crate::tls::Certificate;
use harness::agent::{Agent, Span};
use harness::host::python;
use harness::process::Child;
use harness::service::free_port;
use harness::skip;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Where Python's own TLS is, if that is a library.
const LIBRARY: &str = "import ssl; print(*{line.split()[-1] for line in open('/proc/self/maps') \
                       if '/libssl' in line}, sep='\\n')";

/// Its pages must not hold a probe of ours that is there for everybody: it would run into it.
#[test]
fn valgrind_runs_beside_the_agent() {
    let what = "valgrind";
    if !able(what) || !tool(what, "valgrind") {
        return;
    }
    let agent = Agent::start();
    let output = Command::new("valgrind")
        .args(["-q", "/bin/true"])
        .output()
        .expect("valgrind starts");
    assert!(output.status.success(), "{output:?}");
    let _ = agent.stop();
}

#[test]
fn a_library_that_is_loaded_later_is_probed() {
    check_later("a library loaded later", |_| {});
}

/// As Java's libraries do with what they have unpacked.
#[test]
fn a_library_that_is_loaded_later_and_removed_is_probed() {
    check_later("a library loaded later and removed", |library| {
        fs::remove_file(library).expect("it was put there");
    });
}

/// A client loads a copy of the library while the agent runs; then `after` is done to the copy.
fn check_later(what: &str, after: fn(&Path)) {
    let Some(python) = python() else {
        return skip!("{what}", "python3", "install python3");
    };
    let Some(certificate) = Certificate::made(what, &["nginx"]) else {
        return;
    };
    let libraries = said(Command::new(&python).args(["-c", LIBRARY]));
    let original = libraries.iter().find(|path| !path.is_empty());
    let Some(original) = original.map(PathBuf::from) else {
        return skip!("{what}", "a Python with libssl", "install python3");
    };
    let name = original.file_name().expect("a file").to_string_lossy();
    let library = PathBuf::from(certificate.path(&name));
    fs::copy(&original, &library).expect("there is room for a library");
    let port = free_port();
    let _nginx = certificate.nginx(port, free_port());
    // Its tasks are of no interest: it is not looked at again for them.
    let agent = Agent::with(&[], &[("WEFT_TASKS__PYTHON", "off")]);
    let mut client = Command::new(&python);
    client
        .arg(format!("{}/e2e/tls/late.py", env!("CARGO_MANIFEST_DIR")))
        .args([port.to_string(), certificate.path("cert.pem")])
        .env("LD_LIBRARY_PATH", library.parent().expect("a folder"));
    let mut client = Child::spawn(&mut client);
    client.line_with("ready");
    thread::sleep(Duration::from_secs(1));
    client.say("load");
    client.line_with("loaded");
    after(&library);
    let mut ask = |path: &str| {
        client.say(path);
        client.line_with("answered 200");
    };
    let by_client = |span: &Span| span.port() == port && !span.is_server();
    // From when on it is seen is not promised to the millisecond.
    for n in 0.. {
        thread::sleep(Duration::from_millis(500));
        ask(&format!("/early/{n}"));
        thread::sleep(Duration::from_millis(500));
        let seen = |span: &Span| by_client(span) && span.text("url.path").starts_with("/early");
        if agent.spans().iter().any(seen) {
            println!("seen from request {n} on");
            break;
        }
        assert!(n < 30, "never seen");
    }
    let paths = ["/late/1", "/late/2", "/late/3"];
    paths.iter().for_each(|path| ask(path));
    let late = |span: &Span| span.port() == port && span.text("url.path").starts_with("/late");
    agent.wait_for(2 * paths.len(), late);
    let (spans, _) = agent.stop();
    for path in paths {
        let side = |server: bool| {
            the(&spans, path, |span| {
                late(span) && span.is_server() == server && span.text("url.path") == path
            })
        };
        let (asked, served) = (side(false), side(true));
        assert_eq!(served.parent, asked.id, "{served:#?}");
        assert_eq!(asked.text("url.scheme"), "https", "{asked:#?}");
    }
}
