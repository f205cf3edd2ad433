//! What happens to runtimes in the field: upgraded while they run, removed, stripped, in a
//! container with libraries of its own, forked without another program, turned into another one,
//! and many. Each test drives eight requests at once, whose calls only the runtime's tasks tell
//! apart: where the probes are not in the right file, or the process is read by a wrong recipe,
//! they have no parent or a wrong one.

use crate::handed::{drive, exact, lasting, until_seen};
use crate::shared::{able, lacking};
use harness::agent::{self, Agent, fresh_path};
use harness::host::{program, workloads};
use harness::process::Child;
use harness::service::{Service, free_port};
use harness::{skip, upstream};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = fresh_path(name);
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A service of ours in the test's own way.
fn started(mut command: Command, port: u16, upstream: u16) -> Child {
    command
        .env("PORT", port.to_string())
        .env("UPSTREAM", format!("http://127.0.0.1:{upstream}"));
    let mut child = Child::spawn(&mut command);
    up(&mut child, port);
    child
}

/// Waits for a service; some say that they listen a moment before they do.
pub(crate) fn up(child: &mut Child, port: u16) {
    child.line_with("listening on");
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(child.alive(), "{}", child.errors());
        thread::sleep(Duration::from_millis(20));
    }
}

/// The program of a service, if it is installed; what is missing is said.
pub(crate) fn installed(what: &str, service: &str, file: &str) -> Option<PathBuf> {
    let path = workloads().join(service).join(file);
    if !able(what) {
        return None;
    }
    if !path.is_file() {
        lacking(what, service);
        return None;
    }
    Some(path)
}

fn copy(from: &Path, to: &Path) {
    // as package managers do it: a new file takes the name of the old one, which lives on
    let new = to.with_extension("new");
    fs::copy(from, &new).expect("there is room for a program");
    fs::rename(&new, to).expect("a file can be renamed in its folder");
}

/// A CPython of its own: the interpreter, and its library where it has one.
struct Python {
    /// What takes place of what: files of the host and our copies.
    files: Vec<(PathBuf, PathBuf)>,
    program: PathBuf,
}

const BASES: &str = "import sys, sysconfig as s; print(sys.base_prefix); \
                     print(s.get_path('purelib')); print(__import__('os').path.realpath(sys.executable))";

pub(crate) fn said(command: &mut Command) -> Vec<String> {
    let output = command.output().expect("it was there a moment ago");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

impl Python {
    /// Copies that of the test services into `folder`, anew each time.
    fn place(venv: &Path, folder: &Folder) -> Self {
        let lines = said(Command::new(venv).args(["-c", BASES]));
        let original = PathBuf::from(&lines[2]);
        let linked = said(Command::new("ldd").arg(&original));
        let library = linked.iter().find_map(|line| {
            let (name, path) = line.trim().split_once(" => ")?;
            let path = path.split(' ').next()?;
            name.starts_with("libpython").then(|| PathBuf::from(path))
        });
        let mut files = Vec::new();
        for file in library.into_iter().chain([original]) {
            let own = folder.at(&file.file_name().expect("a file").to_string_lossy());
            copy(&file, &own);
            files.push((file, own));
        }
        let program = files.last().expect("the interpreter").1.clone();
        Self { files, program }
    }

    /// The service aiohttp by this interpreter.
    fn aiohttp(&self, venv: &Path, folder: &Folder) -> Command {
        let lines = said(Command::new(venv).args(["-c", BASES]));
        let mut command = Command::new(&self.program);
        command
            .arg("server.py")
            .current_dir(workloads().join("aiohttp"))
            .env("LD_LIBRARY_PATH", &folder.0)
            .env("PYTHONHOME", &lines[0])
            .env("PYTHONPATH", &lines[1]);
        command
    }
}

fn venv(what: &str) -> Option<PathBuf> {
    installed(what, "aiohttp", "server.py")?;
    let python = workloads().join("../venv/bin/python");
    if !python.exists() {
        lacking(what, "aiohttp");
        return None;
    }
    Some(python)
}

#[test]
fn a_program_is_replaced_by_a_newer_one() {
    let what = "an upgraded program";
    let Some(server) = installed(what, "go-jobs", "server") else {
        return;
    };
    let folder = Folder::new("upgrade");
    let own = folder.at("orders");
    copy(&server, &own);
    let (port, upstream) = (free_port(), upstream::slow());
    let agent = Agent::start();
    let old = started(Command::new(&own), port, upstream);
    exact(&agent, port, upstream, "old");
    copy(&server, &own);
    exact(&agent, port, upstream, "replaced");
    drop(old);
    let _new = started(Command::new(&own), port, upstream);
    exact(&agent, port, upstream, "new");
}

/// The file that has the program's name now is another: nothing of it may be taken for the one
/// that runs.
#[test]
fn a_program_was_replaced_before_the_agent_came() {
    let what = "a program replaced before";
    let (Some(server), Some(other)) = (
        installed(what, "go-jobs", "server"),
        installed(what, "go-http", "server"),
    ) else {
        return;
    };
    let folder = Folder::new("replaced");
    let own = folder.at("orders");
    copy(&server, &own);
    let (port, upstream) = (free_port(), upstream::slow());
    let _service = started(Command::new(&own), port, upstream);
    copy(&other, &own);
    let agent = Agent::start();
    exact(&agent, port, upstream, "replaced");
}

#[test]
fn an_environment_is_made_anew() {
    let what = "a Python environment made anew";
    let Some(venv) = venv(what) else {
        return;
    };
    let folder = Folder::new("environment");
    let (port, upstream) = (free_port(), upstream::slow());
    let agent = Agent::start();
    for mark in ["first", "second"] {
        let python = Python::place(&venv, &folder);
        let _service = started(python.aiohttp(&venv, &folder), port, upstream);
        exact(&agent, port, upstream, mark);
    }
}

#[test]
fn a_library_is_gone_that_is_still_in_use() {
    let what = "a removed library";
    let Some(venv) = venv(what) else {
        return;
    };
    let folder = Folder::new("removed");
    let python = Python::place(&venv, &folder);
    let (port, upstream) = (free_port(), upstream::slow());
    let _service = started(python.aiohttp(&venv, &folder), port, upstream);
    for (_, own) in &python.files {
        fs::remove_file(own).expect("it is ours");
    }
    let agent = Agent::start();
    exact(&agent, port, upstream, "removed");
}

/// A root of its own, in which the interpreter's name is that of another file than on the host.
#[test]
fn a_container_has_its_own_libraries() {
    let what = "a container's own libraries";
    let Some(venv) = venv(what) else {
        return;
    };
    let folder = Folder::new("container");
    let python = Python::place(&venv, &folder);
    let root = folder.at("root");
    fs::create_dir(&root).expect("the folder is ours");
    let mut script = format!("mount --rbind / {0}", root.display());
    for (original, own) in &python.files {
        let place = format!("{}{}", root.display(), original.display());
        script.push_str(&format!(" && mount --bind {} {place}", own.display()));
    }
    let enter = format!("{script} && exec chroot {} \"$@\"", root.display());
    let inside = |then: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", &enter])
            .arg("sh")
            .args(then);
        command
    };
    if !inside(&["true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        return skip!(
            "{what}",
            "a mount namespace",
            "run the tests where mounts are allowed"
        );
    }
    let run = workloads().join("aiohttp/run").display().to_string();
    let (port, upstream) = (free_port(), upstream::slow());
    let agent = Agent::start();
    let _service = started(inside(&[&run]), port, upstream);
    exact(&agent, port, upstream, "contained");
}

/// Rules about ports are answered later than others: the runtime is probed nonetheless.
#[test]
fn a_service_is_chosen_by_its_port() {
    let what = "a service chosen by its port";
    let Some(server) = installed(what, "go-jobs", "server") else {
        return;
    };
    let (port, upstream) = (free_port(), upstream::slow());
    let rule = format!("port={port}");
    let service = started(Command::new(&server), port, upstream);
    let agent = Agent::with(&["--select", &rule], &[]);
    // It is found once more within a second, by its port: nothing of it may be forgotten then.
    lasting(&agent, port, upstream, "before");
    drop(service);
    let _service = started(Command::new(&server), port, upstream);
    until_seen(&agent, port, "after");
    exact(&agent, port, upstream, "after");
}

/// Workers that are forked and never become another program: the master's recipe is theirs.
#[test]
fn workers_are_forked() {
    let what = "forked workers";
    if !able(what) {
        return;
    }
    let agent = Agent::start();
    let upstream = upstream::slow();
    let Some(service) = Service::start("gevent", Some(upstream)) else {
        return lacking(what, "gevent");
    };
    exact(&agent, service.port, upstream, "forked");
}

#[test]
fn a_process_becomes_another_runtime() {
    let what = "another runtime in the same process";
    let (Some(venv), Some(server)) = (venv(what), installed(what, "go-jobs", "server")) else {
        return;
    };
    let script = "import asyncio, os, signal, sys; from aiohttp import web; import server\n\
                  signal.signal(signal.SIGUSR1, lambda *_: os.execv(sys.argv[1], sys.argv[1:]))\n\
                  web.run_app(server.app, host='127.0.0.1', port=int(os.environ['PORT']), print=None)";
    let mut command = Command::new(venv);
    command
        .args(["-c", script])
        .arg(server)
        .current_dir(workloads().join("aiohttp"));
    let (port, upstream) = (free_port(), upstream::slow());
    let agent = Agent::start();
    let mut service = started(command, port, upstream);
    exact(&agent, port, upstream, "python");
    service.signal("USR1");
    up(&mut service, port);
    exact(&agent, port, upstream, "go");
}

/// What was taken out of a program is said, and its calls are refused rather than guessed.
#[test]
fn a_stripped_program_is_named() {
    let what = "a stripped program";
    let Some(orders) = installed(what, "tokio", "target/release/orders") else {
        return;
    };
    if program("strip").is_none() {
        return skip!("{what}", "strip", "apt-get install binutils");
    }
    let folder = Folder::new("stripped");
    let own = folder.at("orders");
    copy(&orders, &own);
    let stripped = Command::new("strip").arg(&own).status();
    assert!(
        stripped.is_ok_and(|status| status.success()),
        "strip failed"
    );
    let (port, upstream) = (free_port(), upstream::slow());
    let service = started(Command::new(&own), port, upstream);
    let explained = said(&mut agent::command(&["explain", &service.id().to_string()]));
    let named = |line: &String| line.contains("its tasks are not told apart: it has no symbols");
    assert!(explained.iter().any(named), "{explained:#?}");
    let agent = Agent::start();
    let outcome = drive(&agent, port, upstream, "stripped");
    assert!(outcome.wrong.is_empty(), "{outcome:#?}");
    assert!(outcome.none > 0, "how were they known? {outcome:#?}");
}

/// Many processes of one program, a hundred of them started and each forked four times more, need
/// no more links than one.
#[test]
fn many_processes_share_their_probes() {
    let what = "many processes of one program";
    let Some(venv) = venv(what) else {
        return;
    };
    let folder = Folder::new("many");
    let script = folder.at("crowd.py");
    let text = "import _asyncio, os, sys, time\n\
                forks = int(sys.argv[1])\n\
                while forks and os.fork():\n    forks -= 1\n\
                os.write(1, b'up\\n')\n\
                time.sleep(600)\n";
    fs::write(&script, text).expect("the folder is ours");
    let crowd = |starts: usize, forks: usize| {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "for i in $(seq \"$1\"); do \"$2\" -S \"$3\" \"$4\" & done; wait",
                "sh",
            ])
            .arg(starts.to_string())
            .arg(&venv)
            .arg(&script)
            .arg(forks.to_string());
        let mut child = Child::spawn(&mut command);
        for _ in 0..starts * (forks + 1) {
            child.line_with("up");
        }
        child
    };
    let rule = format!("command=*{}*", script.display());
    let links = |watched: usize| {
        let agent = Agent::with(&["--select", &rule], &[]);
        assert!(
            agent.watching() >= watched,
            "{} of {watched}",
            agent.watching()
        );
        links_of(agent.id())
    };
    let none = links(0);
    let alone = crowd(1, 0);
    let one = links(1);
    drop(alone);
    let _crowd = crowd(100, 4);
    let many = links(500);
    assert!(
        none < one,
        "{none} links without the program, {one} with it"
    );
    assert_eq!(one, many);
}

/// Links of programs that a process holds.
fn links_of(pid: u32) -> usize {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the agent runs");
    let texts = entries
        .flatten()
        .map(|entry| fs::read_to_string(entry.path()));
    texts
        .filter(|text| text.as_ref().is_ok_and(|text| text.contains("link_type:")))
        .count()
}
