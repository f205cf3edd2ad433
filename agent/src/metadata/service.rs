//! The name people would give a process, and all else that identifies it.
//!
//! In: a process, its environment, files, container and host. Out: [`Service`]. Not here: how a
//! command line is read (`name`).
//!
//! Order: `OTEL_SERVICE_NAME` of the process; `service.name` in its `OTEL_RESOURCE_ATTRIBUTES`;
//! what it runs. Attributes of that variable win over what was found out, but for those that
//! are facts about the process and the agent (`process.*`, `telemetry.*`).

use super::container::Container;
use super::host::Host;
use super::name::{self, Launch, Name, folder};
use super::{ResourceValue, Runtime, Service, attributes};
use crate::discovery::environment::Environment;
use crate::discovery::files::Tree;
use crate::discovery::procs::{Proc, Process};
use crate::discovery::runtime::{self, Detected};
use crate::semconv;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// Namespace of instance ids that are made from other ids, fixed by the semantic conventions.
const INSTANCES: Uuid = Uuid::from_u128(0x4d63_009a_8d0f_11ee_aad7_4c79_6ed8_e320);
/// Parents that are asked for a worker's name.
const PARENTS: usize = 4;
/// The agent in attributes of telemetry.
const AGENT: &str = "weft";
const VERSION: &str = env!("CARGO_PKG_VERSION");

type Resource = BTreeMap<String, ResourceValue>;

/// Gives processes their identity.
#[derive(Clone, Debug)]
pub struct Identifier {
    proc: Proc,
    host: Host,
}

/// What was found out of one process.
struct Found {
    name: Name,
    detected: Detected,
    container: Container,
}

impl Identifier {
    /// Of processes of `proc` on `host`.
    #[must_use]
    pub const fn new(proc: Proc, host: Host) -> Self {
        Self { proc, host }
    }

    /// The identity of `process`. Reads files of its file system; see `discovery::files`.
    #[must_use]
    pub fn identify(&self, process: &Process) -> Arc<Service> {
        Arc::new(self.service(process, self.find(process, PARENTS)))
    }

    /// Its name alone, with what said so.
    #[must_use]
    pub fn name(&self, process: &Process) -> Name {
        self.find(process, PARENTS).name
    }

    /// The identity of a process that is gone, from what the kernel reported of it: its own name
    /// and the head of its command line, the last argument perhaps cut.
    #[must_use]
    pub fn from_command(&self, tgid: u32, comm: &str, command: &[String]) -> Service {
        let process = Process {
            tgid,
            comm: comm.to_owned(),
            args: command.to_vec(),
            ..Process::default()
        };
        let detected = runtime::of_program(process.program())
            .unwrap_or(Runtime::Native)
            .into();
        let container = Container::default();
        let name = given(&process.environment)
            .unwrap_or_else(|| named(&process, &detected, &container, &Tree::none(), None));
        self.service(
            &process,
            Found {
                name,
                detected,
                container,
            },
        )
    }

    fn find(&self, process: &Process, parents: usize) -> Found {
        let files = self.proc.files(process.tgid);
        let detected = runtime::detect(&self.proc, process, &files);
        let container = Container::of(&self.proc, process);
        let name = given(&process.environment)
            .or_else(|| self.inherited(process, &detected, &files, parents))
            .unwrap_or_else(|| {
                let own = container.name(&files, &self.host.name);
                named(process, &detected, &container, &files, own.as_deref())
            });
        Found {
            name,
            detected,
            container,
        }
    }

    /// The parent's name, for a worker that only its parent tells about.
    fn inherited(
        &self,
        process: &Process,
        detected: &Detected,
        files: &Tree,
        parents: usize,
    ) -> Option<Name> {
        let parents = parents.checked_sub(1)?;
        if !launch(process, detected, files).continues_parent() {
            return None;
        }
        let parent = self.proc.read(process.ppid).ok()?;
        Some(self.find(&parent, parents).name)
    }

    fn service(&self, process: &Process, found: Found) -> Service {
        let mut resource = Resource::new();
        for (key, value) in self.host.attributes() {
            resource.insert(key.to_owned(), value);
        }
        put(&mut resource, semconv::CONTAINER_ID, found.container.id);
        put(&mut resource, semconv::K8S_POD_UID, found.container.pod);
        put(&mut resource, semconv::SERVICE_VERSION, found.name.version);
        let instance = self.instance(process).to_string();
        put(&mut resource, semconv::SERVICE_INSTANCE_ID, Some(instance));
        for (key, value) in given_attributes(&process.environment) {
            resource.insert(key, ResourceValue::Text(value));
        }
        let name = found.name.name;
        put(&mut resource, semconv::SERVICE_NAME, Some(name.clone()));
        describe_process(&mut resource, process);
        let detected = found.detected;
        put(&mut resource, semconv::PROCESS_RUNTIME_NAME, detected.name);
        put(
            &mut resource,
            semconv::PROCESS_RUNTIME_VERSION,
            detected.version,
        );
        describe_agent(&mut resource, detected.runtime);
        Service {
            name,
            tgid: process.tgid,
            runtime: detected.runtime,
            resource: resource.into_iter().collect(),
        }
    }

    /// Stable while the process lives and used by no other: of machine, boot, process id and
    /// start. One gone before it was read has its command in place of the start.
    fn instance(&self, process: &Process) -> Uuid {
        let machine = self.host.id.as_deref().unwrap_or(&self.host.name);
        let mut key = format!(
            "{machine}/{}/{}/{}",
            self.host.boot, process.tgid, process.start
        );
        if process.start == 0 {
            key.push('/');
            key.push_str(&process.args.join("\0"));
        }
        Uuid::new_v5(&INSTANCES, key.as_bytes())
    }
}

fn launch<'a>(process: &'a Process, detected: &'a Detected, files: &'a Tree) -> Launch<'a> {
    Launch {
        program: process.program(),
        exe: process.exe.as_deref(),
        args: &process.args,
        cwd: process.cwd.as_deref(),
        environment: &process.environment,
        files,
        runtime: detected.runtime,
        go: detected.go.as_ref(),
        unit: None,
        container: None,
    }
}

fn named(
    process: &Process,
    detected: &Detected,
    container: &Container,
    files: &Tree,
    own: Option<&str>,
) -> Name {
    name::of(&Launch {
        unit: container.unit.as_deref(),
        container: own,
        ..launch(process, detected, files)
    })
}

/// The name that the process's environment gives it.
fn given(environment: &Environment) -> Option<Name> {
    let name = |text: &str, origin| {
        Some(Name {
            name: folder::clean(text)?,
            version: None,
            origin,
        })
    };
    environment
        .value("OTEL_SERVICE_NAME")
        .and_then(|text| name(text, "OTEL_SERVICE_NAME"))
        .or_else(|| {
            let mut given = given_attributes(environment).into_iter();
            let (_, text) = given.rfind(|(key, _)| key == semconv::SERVICE_NAME)?;
            name(&text, "OTEL_RESOURCE_ATTRIBUTES")
        })
}

fn given_attributes(environment: &Environment) -> Vec<(String, String)> {
    environment
        .value("OTEL_RESOURCE_ATTRIBUTES")
        .and_then(attributes::parse)
        .unwrap_or_default()
}

fn describe_process(resource: &mut Resource, process: &Process) {
    let text = |path: &Path| Some(path.to_string_lossy().into_owned());
    let exe = process.exe.as_deref();
    put_int(resource, semconv::PROCESS_PID, Some(process.tgid));
    put_int(resource, semconv::PROCESS_VPID, process.own_pid());
    let parent = Some(process.ppid).filter(|parent| *parent != 0);
    put_int(resource, semconv::PROCESS_PARENT_PID, parent);
    let name = Some(process.program().to_owned());
    put(resource, semconv::PROCESS_EXECUTABLE_NAME, name);
    put(
        resource,
        semconv::PROCESS_EXECUTABLE_PATH,
        exe.and_then(text),
    );
    // The first argument only: the others may hold secrets. A title in its place is none.
    let command = process.args.first().filter(|first| !first.contains(' '));
    put(resource, semconv::PROCESS_COMMAND, command.cloned());
    put(resource, semconv::PROCESS_OWNER, process.owner.clone());
}

fn describe_agent(resource: &mut Resource, runtime: Runtime) {
    for (key, value) in [
        (semconv::TELEMETRY_SDK_NAME, AGENT),
        (semconv::TELEMETRY_SDK_VERSION, VERSION),
        (semconv::TELEMETRY_SDK_LANGUAGE, language(runtime)),
        (semconv::TELEMETRY_DISTRO_NAME, AGENT),
        (semconv::TELEMETRY_DISTRO_VERSION, VERSION),
    ] {
        put(resource, key, Some(value.to_owned()));
    }
}

fn put(resource: &mut Resource, key: &str, value: Option<String>) {
    if let Some(value) = value {
        resource.insert(key.to_owned(), ResourceValue::Text(value));
    }
}

fn put_int(resource: &mut Resource, key: &str, value: Option<u32>) {
    if let Some(value) = value {
        resource.insert(key.to_owned(), ResourceValue::Int(i64::from(value)));
    }
}

/// `telemetry.sdk.language`: a language of the observed program, as the attribute is required
/// and backends choose icons by it. The conventions have no word for "compiled, of unknown
/// language": `cpp` stands for it, as most such programs are C or C++.
const fn language(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Node => "nodejs",
        Runtime::Python => "python",
        Runtime::Java => "java",
        Runtime::Go => "go",
        Runtime::Ruby => "ruby",
        Runtime::Php => "php",
        Runtime::Dotnet => "dotnet",
        Runtime::Rust => "rust",
        Runtime::Native => "cpp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::fixture::{Fixture, PID, Spec};

    fn host() -> Host {
        Host {
            name: "host01".to_owned(),
            id: Some("machine".to_owned()),
            boot: "boot".to_owned(),
            arch: "amd64",
        }
    }

    fn shown(service: &Service) -> String {
        let line = |(key, value): &(String, ResourceValue)| match value {
            ResourceValue::Int(number) => format!("{key}={number}"),
            ResourceValue::Text(text) => format!("{key}={text}"),
        };
        service
            .resource
            .iter()
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn cart(environment: &str) -> Arc<Service> {
        let id = "3f2a91c0d4b5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f";
        let cgroup = format!("/kubepods/pod0a1b2c3d-1111-2222-3333-444455556666/{id}");
        let fixture = Fixture::of(Spec {
            ppid: 7,
            exe: "/opt/node-v18.1.0/bin/node",
            command: "node server.js --password=hunter2",
            cwd: "/srv/x",
            environment,
            cgroup: &cgroup,
            files: r#"/srv/x/package.json => {"name":"cart","version":"1.2.0"}"#,
            ..Spec::default()
        });
        fixture.add(
            1,
            Spec {
                files: "/etc/passwd => root:x:0:0::/:/sh\\nshop:x:1001:1::/:/sh",
                ..Spec::default()
            },
        );
        Identifier::new(fixture.proc(), host()).identify(&fixture.process())
    }

    #[test]
    fn a_resource_in_full() {
        let service = cart("SECRET=hunter2");
        assert_eq!(service.name, "cart");
        assert_eq!(service.tgid, PID);
        assert_eq!(service.runtime, Runtime::Node);
        insta::assert_snapshot!(shown(&service).replace(VERSION, "VERSION"), @r"
        container.id=3f2a91c0d4b5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f
        host.arch=amd64
        host.id=machine
        host.name=host01
        k8s.pod.uid=0a1b2c3d-1111-2222-3333-444455556666
        os.type=linux
        process.command=node
        process.executable.name=node
        process.executable.path=/opt/node-v18.1.0/bin/node
        process.owner=shop
        process.parent_pid=7
        process.pid=100
        process.runtime.name=nodejs
        process.runtime.version=18.1.0
        process.vpid=12
        service.instance.id=70784938-c036-568b-8822-fb2b08a5e986
        service.name=cart
        service.version=1.2.0
        telemetry.distro.name=weft
        telemetry.distro.version=VERSION
        telemetry.sdk.language=nodejs
        telemetry.sdk.name=weft
        telemetry.sdk.version=VERSION
        ");
        assert!(
            !format!("{service:?}").contains("hunter2"),
            "secrets stay where they are"
        );
    }

    #[test]
    fn attributes_that_the_user_gives() {
        for (given, expected) in [
            ("service.namespace=shops", "service.namespace=shops"),
            ("service.version=9", "service.version=9"),
            ("service.instance.id=mine", "service.instance.id=mine"),
            ("host.name=other", "host.name=other"),
            ("team=a%20b", "team=a b"),
            ("process.pid=1", "process.pid=100"),
            ("telemetry.sdk.name=x", "telemetry.sdk.name=weft"),
        ] {
            let resource = shown(&cart(&format!("OTEL_RESOURCE_ATTRIBUTES={given}")));
            let key = expected.split('=').next().unwrap();
            let found: Vec<_> = resource
                .lines()
                .filter(|line| line.starts_with(key))
                .collect();
            assert!(found.contains(&expected), "{given}: {found:?}");
        }
    }

    #[test]
    fn instances_differ_by_process_and_start_and_are_stable() {
        let identifier = Identifier::new(Proc::at("/nowhere"), host());
        let id = |tgid, start| {
            identifier.instance(&Process {
                tgid,
                start,
                ..Process::default()
            })
        };
        assert_eq!(id(1, 2), id(1, 2));
        assert_eq!(id(1, 2).get_version_num(), 5);
        let distinct = [id(1, 2), id(1, 3), id(2, 2), id(12, 1), id(1, 21)];
        let set: std::collections::BTreeSet<_> = distinct.iter().collect();
        assert_eq!(set.len(), distinct.len());
    }

    #[test]
    fn processes_that_are_gone() {
        let identifier = Identifier::new(Proc::at("/nowhere"), host());
        for (comm, command, name, runtime) in [
            ("node", "node server.js", "server", Runtime::Node),
            (
                "node",
                "/usr/bin/node /srv/shop/server.js",
                "shop",
                Runtime::Node,
            ),
            ("python3", "python3 -m shop.job", "shop", Runtime::Python),
            ("java", "java -jar shop-1.0.jar", "shop", Runtime::Java),
            ("curl", "curl http://x", "curl", Runtime::Native),
            ("curl", "", "curl", Runtime::Native),
            ("sh", "sh -c true", "sh", Runtime::Native),
            ("", "", "unknown_service", Runtime::Native),
        ] {
            let command: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
            let service = identifier.from_command(5, comm, &command);
            assert_eq!(
                (service.name.as_str(), service.runtime),
                (name, runtime),
                "{command:?}"
            );
            assert_eq!(service.tgid, 5);
        }
    }
}
