//! The other verbs, and settings or hosts that cannot be: exit code, message, hint.

use crate::shared::{able, check_servers, lacking, targets, tool};
use harness::agent::{Agent, binary, command, fresh_path};
use harness::client::anew;
use harness::service::Service;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Runs a command to its end: exit code, stdout, stderr.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// It ends with `code` and says all of `words`, a hint among them, in few lines.
fn refused(command: &mut Command, code: i32, words: &[&str]) {
    let (found, _, said) = run(command);
    assert_eq!(found, Some(code), "{command:?}: {said}");
    for word in words.iter().chain(&["hint:"]) {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    assert!(said.lines().count() <= 6, "one clear message: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn unknown_settings_name_the_nearest() {
    refused(
        command(&["run", "--output", "none"]).env("WEFT_CAPTURE__RING_BYTE", "1MiB"),
        2,
        &["ring_byte", "ring_bytes"],
    );
    let file = fresh_path("weft.toml");
    fs::write(&file, "[export.queue]\nintervall = \"1s\"\n").expect("a writable folder");
    let path = file.display().to_string();
    refused(
        &mut command(&["run", "--config", &path]),
        2,
        &["intervall", "interval", &path],
    );
    fs::write(&file, "[capture]\nring_bytes = \"many\"\n").expect("a writable folder");
    refused(
        &mut command(&["run", "--config", &path]),
        2,
        &["ring_bytes", "many"],
    );
    fs::remove_file(&file).expect("it was written");
    refused(&mut command(&["run", "--config", &path]), 2, &[&path]);
}

#[test]
fn unprivileged() {
    let what = "unprivileged";
    if !able(what) || !tool(what, "setpriv") {
        return;
    }
    // The folder of the build may be closed to others.
    let copy = fresh_path("weft");
    fs::copy(binary(), &copy).expect("the agent is built");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("it is ours");
    for args in [&["run", "--output", "none"][..], &["check"]] {
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        nobody.arg(&copy).args(args);
        let (code, out, said) = run(&mut nobody);
        assert_eq!(code, Some(3), "{args:?}: {out}{said}");
        assert!(
            format!("{out}{said}").contains("CAP_BPF"),
            "{args:?}: {out}{said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    refused(
        nobody.arg(&copy).args(["run", "--output", "none"]),
        3,
        &["CAP_BPF", "root"],
    );
    fs::remove_file(&copy).expect("it was copied");
}

#[test]
fn no_btf() {
    if !able("no BTF") {
        return;
    }
    refused(
        command(&["run", "--output", "none"]).env("WEFT_CAPTURE__BTF", "/nonexistent"),
        3,
        &["/nonexistent"],
    );
}

/// A backend that refuses costs nothing but its own copy of the spans, and that is counted.
#[test]
fn endpoint_refuses() {
    let what = "endpoint refuses";
    if !able(what) {
        return;
    }
    let Some(service) = Service::start("node-http", None) else {
        return lacking(what, "node-http");
    };
    let settings = [("WEFT_LIMITS__STOP_TIMEOUT", "1s")];
    let agent = Agent::with(&["--endpoint", "http://127.0.0.1:1"], &settings);
    let sent = anew(service.port, &targets(&["/?id=*"], "n", 20));
    agent.wait_for(sent.len(), |span| span.port() == service.port);
    let (spans, summary) = agent.stop();
    check_servers(&spans, service.port, "catalog", &sent);
    let lost = summary.split("lost: ").nth(1).unwrap_or_default();
    let dropped = lost.split("export.dropped(").skip(1).filter_map(|part| {
        let (labels, rest) = part.split_once(") ")?;
        let number = rest.split([',', ' ']).next()?.parse::<usize>().ok()?;
        labels.starts_with("otlp").then_some(number)
    });
    assert!(dropped.sum::<usize>() >= sent.len(), "{summary}");
}

/// What a person looks at first says what is so.
#[test]
fn looks() {
    let what = "targets, explain, check";
    if !able(what) {
        return;
    }
    let Some(service) = Service::start("python-http", None) else {
        return lacking(what, "python-http");
    };
    let pid = service.child.id().to_string();
    let (code, targets, said) = run(&mut command(&["targets"]));
    assert_eq!(code, Some(0), "{said}");
    let line = targets
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == pid));
    assert!(
        line.is_some_and(|line| line.contains("python-http")),
        "{targets}"
    );

    let (code, facts, said) = run(&mut command(&["explain", &pid]));
    assert_eq!(code, Some(0), "{said}");
    let port = service.port.to_string();
    for word in ["python-http", "python", &port, "yes"] {
        assert!(facts.contains(word), "no {word:?} in: {facts}");
    }
    refused(&mut command(&["explain", "4194999"]), 1, &["4194999"]);

    let (code, hooks, said) = run(&mut command(&["check"]));
    assert_eq!(code, Some(0), "{said}");
    for word in ["kernel", "socket_io", "connection_life", "process_life"] {
        assert!(hooks.contains(word), "no {word:?} in: {hooks}");
    }
}

/// `weft run -- CMD` traces the command from its first request on and ends with it.
#[test]
fn command_is_traced() {
    let what = "a command";
    if !able(what) || !tool(what, "curl") {
        return;
    }
    let Some(service) = Service::start("node-http", None) else {
        return lacking(what, "node-http");
    };
    let file = fresh_path("command.jsonl");
    let output = format!("file:{}", file.display());
    let url = format!("http://127.0.0.1:{}/status/418", service.port);
    let words = [
        "run",
        "--output",
        &output,
        "--",
        "curl",
        "-sS",
        "-o",
        "/dev/null",
        &url,
    ];
    let (code, _, said) = run(&mut command(&words));
    assert_eq!(code, Some(0), "{said}");
    let spans = harness::agent::spans_of(&file);
    let clients: Vec<_> = spans
        .iter()
        .filter(|span| span.port() == service.port)
        .collect();
    let [client] = clients[..] else {
        panic!("{spans:#?}")
    };
    assert_eq!(
        (client.service.as_str(), client.status()),
        ("curl", 418),
        "{client:#?}"
    );
    fs::remove_file(&file).expect("it was written");
    let (code, ..) = run(&mut command(&["run", "--output", "none", "--", "false"]));
    assert_eq!(code, Some(1), "the command failed");
}

/// The agent's memory comes in small pages, that of a command that it starts as ever.
#[test]
fn command_has_its_memory_as_ever() {
    let what = "a command's memory";
    if !able(what) {
        return;
    }
    let huge = |status: &str| {
        let line = status.lines().find(|line| line.starts_with("THP_enabled"));
        line.map(str::to_owned)
    };
    let here = fs::read_to_string("/proc/self/status").expect("every process has one");
    let script = "cat /proc/self/status /proc/$PPID/status";
    let words = ["run", "--output", "none", "--", "sh", "-c", script];
    let (code, shown, said) = run(&mut command(&words));
    assert_eq!(code, Some(0), "{said}");
    let own = shown.find("Name:\tweft").expect("the agent is its parent");
    let (of_command, of_agent) = shown.split_at(own);
    assert_eq!(huge(of_command), huge(&here));
    if huge(&here).is_some() {
        assert_eq!(huge(of_agent).as_deref(), Some("THP_enabled:\t0"));
    }
}
