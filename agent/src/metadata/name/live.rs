//! Real, unmodified processes of the runtimes that are installed here.
//!
//! In: programs found on `PATH`. Out: their names as the agent gives them. A missing runtime is
//! said on the error output and skipped.

use crate::discovery::procs::Proc;
use crate::metadata::host::Host;
use crate::metadata::service::Identifier;
use crate::metadata::{Runtime, Service};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How often a process is looked at again until it has become its program: launchers are
/// shell scripts that replace themselves.
const LOOKS: usize = 400;
const PAUSE: Duration = Duration::from_millis(25);

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path, program: &str, args: &[&str]) -> Option<Running> {
    let child = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env_remove("OTEL_SERVICE_NAME")
        .env_remove("OTEL_RESOURCE_ATTRIBUTES")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match child {
        Ok(child) => Some(Running(child)),
        Err(error) => {
            eprintln!(
                "SKIPPED: cannot start {program}: {error}\nhint: install {program} to run this test in full"
            );
            None
        }
    }
}

/// The service that the process becomes: the last one seen when it never is what is expected.
/// In the instant of its start a process has no command line yet.
fn settle(pid: u32, runtime: Runtime, name: Option<&str>) -> Option<Arc<Service>> {
    let proc = Proc::at("/proc");
    let identifier = Identifier::new(proc.clone(), Host::of(&proc));
    let mut last = None;
    for _ in 0..LOOKS {
        if let Ok(process) = proc.read(pid) {
            let service = identifier.identify(&process);
            let named = name.is_none_or(|name| service.name == name);
            let done = service.runtime == runtime && named;
            last = Some(service);
            if done {
                break;
            }
        }
        std::thread::sleep(PAUSE);
    }
    last
}

fn check(folder: &Path, program: &str, args: &[&str], runtime: Runtime, expected: &str) {
    let Some(running) = start(folder, program, args) else {
        return;
    };
    let service = settle(running.0.id(), runtime, Some(expected));
    let service = service.unwrap_or_else(|| panic!("{program} {args:?} ended at once"));
    assert_eq!(service.runtime, runtime, "{program} {args:?}: {service:#?}");
    assert_eq!(service.name, expected, "{program} {args:?}: {service:#?}");
}

/// A folder of a project in a directory of its own.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (path, content) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    dir
}

#[test]
fn node() {
    const FOREVER: &str = "setInterval(() => {}, 1000)";
    let dir = project(&[
        ("cart/server.js", FOREVER),
        ("x/dist/main.js", FOREVER),
        ("x/package.json", r#"{"name":"shop"}"#),
    ]);
    let cart = dir.path().join("cart");
    check(&cart, "node", &["server.js"], Runtime::Node, "cart");
    check(&cart, "node", &["-e", FOREVER], Runtime::Node, "cart");
    let shop = dir.path().join("x");
    check(
        &shop,
        "node",
        &["--max-old-space-size=64", "dist/main"],
        Runtime::Node,
        "shop",
    );
}

#[test]
fn python() {
    const FOREVER: &str = "import time\ntime.sleep(600)\n";
    let dir = project(&[("cart/app.py", FOREVER), ("cart/shop/worker.py", FOREVER)]);
    let cart = dir.path().join("cart");
    check(&cart, "python3", &["app.py"], Runtime::Python, "cart");
    check(
        &cart,
        "python3",
        &["-u", "-m", "shop.worker"],
        Runtime::Python,
        "shop",
    );
}

#[test]
fn java() {
    const FOREVER: &str = "class Server { public static void main(String[] a) throws Exception { Thread.sleep(600000); } }";
    let dir = project(&[("Server.java", FOREVER)]);
    check(
        dir.path(),
        "java",
        &["-Xmx64m", "Server.java"],
        Runtime::Java,
        "Server",
    );
}

#[test]
fn shell_and_native() {
    let dir = project(&[("backup.sh", "sleep 600; true\n")]);
    check(dir.path(), "sh", &["backup.sh"], Runtime::Native, "backup");
    check(dir.path(), "sleep", &["600"], Runtime::Native, "sleep");
}

#[test]
fn go() {
    const FOREVER: &str = "package main\nimport \"time\"\nfunc main() { time.Sleep(time.Hour) }\n";
    let dir = project(&[
        ("go.mod", "module acme.dev/orders/v2\n"),
        ("main.go", FOREVER),
    ]);
    let built = Command::new("go")
        .args(["build", "-o", "server", "."])
        .current_dir(dir.path())
        .env("GOFLAGS", "-mod=mod")
        .output();
    match built {
        Ok(output) if output.status.success() => {
            check(dir.path(), "./server", &[], Runtime::Go, "orders");
        }
        Ok(output) => panic!("go build: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("SKIPPED: cannot start go: {error}\nhint: install Go"),
    }
}

#[test]
fn this_program_is_of_rust_and_every_process_has_a_name() {
    let own = settle(std::process::id(), Runtime::Rust, None).expect("the test itself");
    assert_eq!(own.runtime, Runtime::Rust);
    let proc = Proc::at("/proc");
    let identifier = Identifier::new(proc.clone(), Host::of(&proc));
    let mut named = 0;
    for pid in proc.scan().expect("a /proc") {
        let Ok(process) = proc.read(pid) else {
            continue;
        };
        let service = identifier.identify(&process);
        assert!(
            !service.name.is_empty() && service.name != "unknown_service",
            "{process:?}"
        );
        named += 1;
    }
    assert!(named > 0);
}
