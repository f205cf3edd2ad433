//! Which processes are watched, and why.
//!
//! In: a process, its service and ports, the rules of the settings. Out: [`Decision`]. Not here:
//! telling the kernel side.
//!
//! By default everything is watched but what would only watch itself: the agent, those that
//! started it, and other collectors of telemetry. An exclude rule wins over an include rule;
//! with include rules nothing else is watched.

use super::glob::Glob;
use super::procs::Process;
use crate::metadata::{ResourceValue, Runtime, Service};
use crate::semconv;
use serde::Deserialize;
use std::fmt::Write;

/// Programs that collect or deliver telemetry: spans of their exports are noise, and watching
/// the one that receives weft's own would never end. Matched against the executable's name.
const COLLECTORS: &[&str] = &[
    // OpenTelemetry collectors and their distributions.
    "otelcol*",
    "otel-collector*",
    "opentelemetry-collector*",
    "rotel*",
    "alloy",
    "grafana-agent*",
    "aws-otel-collector",
    "adot-collector*",
    "splunk-otel-*",
    // Receivers of traces.
    "jaeger*",
    "zipkin*",
    "tempo",
    "weft",
    // Agents.
    "beyla*",
    "obi",
    "otel-ebpf-*",
    "vector",
    "fluent-bit",
    "fluentd",
    "datadog-agent",
    "trace-agent",
    "process-agent",
    "system-probe",
    "deepflow-agent",
    "coroot-node-agent",
    "telegraf",
    "promtail",
    "newrelic-infra",
    "dynatrace*",
    "oneagent*",
    "filebeat",
    "metricbeat",
    "packetbeat",
    "elastic-agent",
    "apm-server",
    "newrelic-daemon",
    "odigos*",
];

/// Section `[select]` of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// When any are given, only what one of them matches is watched.
    pub include: Vec<Rule>,
    /// What one of these matches is not watched.
    pub exclude: Vec<Rule>,
    /// Watch known collectors of telemetry, too.
    pub collectors: bool,
}

impl Rules {
    /// Does a rule name a port?
    #[must_use]
    pub fn name_ports(&self) -> bool {
        self.include
            .iter()
            .chain(&self.exclude)
            .any(|rule| rule.0.port.is_some())
    }
}

/// A rule: all that it names must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, try_from = "Criteria")]
pub struct Rule(Criteria);

/// What a rule may name. Patterns have `*` and `?`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Criteria {
    /// Path of the executable.
    pub exe: Option<Glob>,
    /// Command line, arguments joined by blanks.
    pub command: Option<Glob>,
    /// `service.name`.
    pub service: Option<Glob>,
    /// A TCP port that it listens on: `8080` or `"8000-8999"`.
    pub port: Option<Ports>,
    /// Process id.
    pub pid: Option<u32>,
    /// Container id, or the beginning of one with a `*` behind it.
    pub container: Option<Glob>,
    /// Runtime.
    pub runtime: Option<Runtime>,
}

impl TryFrom<Criteria> for Rule {
    type Error = String;

    fn try_from(criteria: Criteria) -> Result<Self, Self::Error> {
        if criteria == Criteria::default() {
            return Err(
                "a selection rule names nothing and would match every process\n\
                        hint: name one of exe, command, service, port, pid, container, runtime"
                    .to_owned(),
            );
        }
        Ok(Self(criteria))
    }
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PortsText")]
pub struct Ports {
    first: u16,
    last: u16,
}

/// A range as it is written.
#[derive(Deserialize)]
#[serde(untagged)]
enum PortsText {
    One(u16),
    Range(String),
}

impl TryFrom<PortsText> for Ports {
    type Error = String;

    fn try_from(text: PortsText) -> Result<Self, Self::Error> {
        let text = match text {
            PortsText::One(port) => {
                return Ok(Self {
                    first: port,
                    last: port,
                });
            }
            PortsText::Range(text) => text,
        };
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!(
                "{text:?} is no port or range of ports\nhint: write 8080 or \"8000-8999\""
            )),
        }
    }
}

/// Whether a process is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// It is.
    pub watch: bool,
    /// Why or why not, in words for people.
    pub reason: String,
    /// What else should be known, such as an SDK at work in the process.
    pub notes: Vec<String>,
}

/// Decides by rules.
#[derive(Clone, Debug)]
pub struct Selector {
    rules: Rules,
    own: u32,
    ancestors: Vec<u32>,
}

impl Selector {
    /// By `rules`, on behalf of the agent: process `own`, started by `ancestors`.
    #[must_use]
    pub const fn new(rules: Rules, own: u32, ancestors: Vec<u32>) -> Self {
        Self {
            rules,
            own,
            ancestors,
        }
    }

    /// Decides about `process`, which listens on `ports`.
    #[must_use]
    pub fn decide(&self, process: &Process, service: &Service, ports: &[u16]) -> Decision {
        let (watch, reason) = self.verdict(process, service, ports);
        Decision {
            watch,
            reason,
            notes: notes(process),
        }
    }

    fn verdict(&self, process: &Process, service: &Service, ports: &[u16]) -> (bool, String) {
        let matching = |rules: &[Rule]| {
            let rule = rules
                .iter()
                .find(|rule| rule.0.matches(process, service, ports));
            rule.map(|rule| rule.0.describe())
        };
        if process.tgid == self.own {
            return (false, "it is the agent itself".to_owned());
        }
        if process.kernel_thread {
            return (false, "it is a thread of the kernel".to_owned());
        }
        if let Some(rule) = matching(&self.rules.exclude) {
            return (false, format!("it matches the exclude rule {rule}"));
        }
        if let Some(rule) = matching(&self.rules.include) {
            return (true, format!("it matches the include rule {rule}"));
        }
        if !self.rules.include.is_empty() {
            return (false, "it matches no include rule".to_owned());
        }
        if self.ancestors.contains(&process.tgid) {
            return (false, "the agent was started from it".to_owned());
        }
        let known = COLLECTORS
            .iter()
            .find(|known| Glob::from(**known).matches(process.program()));
        match known {
            Some(known) if !self.rules.collectors => (
                false,
                format!("it collects telemetry itself (its program matches {known})"),
            ),
            _ => (true, "no rule is against it".to_owned()),
        }
    }
}

impl Criteria {
    fn matches(&self, process: &Process, service: &Service, ports: &[u16]) -> bool {
        let exe = || {
            process
                .exe
                .as_deref()
                .map(|exe| exe.to_string_lossy().into_owned())
        };
        let pattern = |glob: &Option<Glob>, text: &dyn Fn() -> Option<String>| {
            glob.as_ref()
                .is_none_or(|glob| text().is_some_and(|text| glob.matches(&text)))
        };
        self.pid.is_none_or(|pid| pid == process.tgid)
            && self
                .runtime
                .is_none_or(|runtime| runtime == service.runtime)
            && self
                .port
                .is_none_or(|range| ports.iter().any(|port| range.contains(*port)))
            && pattern(&self.exe, &exe)
            && pattern(&self.service, &|| Some(service.name.clone()))
            && pattern(&self.container, &|| container(service).map(str::to_owned))
            && pattern(&self.command, &|| Some(process.args.join(" ")))
    }

    /// As it stands in the settings.
    fn describe(&self) -> String {
        let mut text = String::new();
        let mut add = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                let comma = if text.is_empty() { "" } else { ", " };
                let _ = write!(text, "{comma}{key} = {value}");
            }
        };
        let quoted = |glob: &Option<Glob>| glob.as_ref().map(|glob| format!("\"{glob}\""));
        add("exe", quoted(&self.exe));
        add("command", quoted(&self.command));
        add("service", quoted(&self.service));
        add("port", self.port.map(Ports::describe));
        add("pid", self.pid.map(|pid| pid.to_string()));
        add("container", quoted(&self.container));
        let runtime = |runtime| format!("\"{runtime:?}\"").to_ascii_lowercase();
        add("runtime", self.runtime.map(runtime));
        format!("{{ {text} }}")
    }
}

impl Ports {
    const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    fn describe(self) -> String {
        if self.first == self.last {
            return self.first.to_string();
        }
        format!("\"{}-{}\"", self.first, self.last)
    }
}

fn container(service: &Service) -> Option<&str> {
    let (_, value) = service
        .resource
        .iter()
        .find(|(key, _)| key == semconv::CONTAINER_ID)?;
    match value {
        ResourceValue::Text(id) => Some(id),
        ResourceValue::Int(_) => None,
    }
}

/// Settings of an OpenTelemetry SDK do not turn weft off: they are about that SDK.
fn notes(process: &Process) -> Vec<String> {
    let mut notes = Vec::new();
    let environment = &process.environment;
    let is = |name: &str, value: &str| {
        environment
            .value(name)
            .is_some_and(|set| set.eq_ignore_ascii_case(value))
    };
    if is("OTEL_SDK_DISABLED", "true") {
        notes.push("OTEL_SDK_DISABLED=true turns its own SDK off, not weft".to_owned());
    }
    if is("OTEL_TRACES_EXPORTER", "none") {
        notes.push("OTEL_TRACES_EXPORTER=none turns its own exports off, not weft".to_owned());
    }
    if let Some(by) = instrumented_by(process) {
        notes.push(format!(
            "an OpenTelemetry SDK is loaded into it ({by}): requests may have two spans"
        ));
    }
    notes
}

fn instrumented_by(process: &Process) -> Option<&str> {
    const ARGUMENTS: &[&str] = &[
        "opentelemetry-javaagent",
        "@opentelemetry/",
        "opentelemetry-instrument",
    ];
    let argument = process
        .args
        .iter()
        .any(|argument| ARGUMENTS.iter().any(|mark| argument.contains(mark)));
    process
        .environment
        .instrumented_by()
        .or_else(|| argument.then_some("its command line"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::fixture::{Fixture, PID, Spec};
    use crate::metadata::host::Host;
    use crate::metadata::service::Identifier;

    const ID: &str = "3f2a91c0d4b5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f";

    fn rules(toml: &str) -> Rules {
        toml::from_str(toml).unwrap()
    }

    fn decide(selector: &Selector, spec: Spec<'_>) -> Decision {
        let fixture = Fixture::of(spec);
        let process = fixture.process();
        let service = Identifier::new(fixture.proc(), Host::default()).identify(&process);
        selector.decide(&process, &service, &[8080])
    }

    #[test]
    fn rules_and_reasons() {
        let cgroup = format!("/docker/{ID}");
        let shop = Spec {
            exe: "/usr/bin/node",
            command: "node /srv/shop/server.js",
            cgroup: &cgroup,
            ..Spec::default()
        };
        for (toml, watch, reason) in [
            ("", true, "no rule is against it"),
            (
                "exclude = [{ service = \"shop\" }]",
                false,
                "it matches the exclude rule { service = \"shop\" }",
            ),
            (
                "exclude = [{ service = \"cart\" }, { exe = \"*/node\", port = 8080 }]",
                false,
                "it matches the exclude rule { exe = \"*/node\", port = 8080 }",
            ),
            (
                "exclude = [{ exe = \"*/node\", port = 80 }]",
                true,
                "no rule is against it",
            ),
            (
                "include = [{ port = \"8000-8999\" }]",
                true,
                "it matches the include rule { port = \"8000-8999\" }",
            ),
            (
                "include = [{ port = \"9000-9999\" }]",
                false,
                "it matches no include rule",
            ),
            (
                "include = [{ pid = 100 }]",
                true,
                "it matches the include rule { pid = 100 }",
            ),
            (
                "include = [{ runtime = \"node\" }]",
                true,
                "it matches the include rule { runtime = \"node\" }",
            ),
            (
                "include = [{ runtime = \"python\" }]",
                false,
                "it matches no include rule",
            ),
            (
                "include = [{ command = \"*shop/server.js\" }]",
                true,
                "it matches the include rule { command = \"*shop/server.js\" }",
            ),
            (
                "include = [{ container = \"3f2a91c0*\" }]",
                true,
                "it matches the include rule { container = \"3f2a91c0*\" }",
            ),
            (
                "include = [{ container = \"0000*\" }]",
                false,
                "it matches no include rule",
            ),
            (
                "include = [{ pid = 100 }]\nexclude = [{ exe = \"*node\" }]",
                false,
                "it matches the exclude rule { exe = \"*node\" }",
            ),
        ] {
            let decision = decide(&Selector::new(rules(toml), 1, vec![]), shop);
            assert_eq!(
                (decision.watch, decision.reason.as_str()),
                (watch, reason),
                "{toml}"
            );
        }
    }

    #[test]
    fn what_would_watch_itself_is_left_out() {
        let exe = |exe| Spec {
            exe,
            ..Spec::default()
        };
        for (spec, own, ancestors, toml, watch, reason) in [
            (
                exe("/usr/bin/weft"),
                PID,
                vec![],
                "include = [{ pid = 100 }]",
                false,
                "it is the agent itself",
            ),
            (
                exe("/usr/bin/bash"),
                5,
                vec![7, PID],
                "",
                false,
                "the agent was started from it",
            ),
            (
                exe("/usr/bin/bash"),
                5,
                vec![PID],
                "include = [{ pid = 100 }]",
                true,
                "it matches the include rule { pid = 100 }",
            ),
            (
                exe("/otelcol-contrib"),
                5,
                vec![],
                "",
                false,
                "it collects telemetry itself (its program matches otelcol*)",
            ),
            (
                exe("/otelcol-contrib"),
                5,
                vec![],
                "collectors = true",
                true,
                "no rule is against it",
            ),
            (
                exe("/usr/bin/obi-wan"),
                5,
                vec![],
                "",
                true,
                "no rule is against it",
            ),
            (
                Spec {
                    flags: 0x0020_8040,
                    ..exe("")
                },
                5,
                vec![],
                "",
                false,
                "it is a thread of the kernel",
            ),
        ] {
            let decision = decide(&Selector::new(rules(toml), own, ancestors), spec);
            assert_eq!((decision.watch, decision.reason.as_str()), (watch, reason));
        }
    }

    #[test]
    fn sdks_are_noted_and_watched() {
        for (environment, command, note) in [
            (
                "OTEL_SDK_DISABLED=TRUE",
                "x",
                "OTEL_SDK_DISABLED=true turns",
            ),
            (
                "OTEL_TRACES_EXPORTER=none",
                "x",
                "OTEL_TRACES_EXPORTER=none turns",
            ),
            (
                "NODE_OPTIONS=--require=@opentelemetry/auto",
                "x",
                "(NODE_OPTIONS)",
            ),
            (
                "",
                "java -javaagent:/o/opentelemetry-javaagent.jar",
                "(its command line)",
            ),
            ("OTEL_TRACES_EXPORTER=otlp", "x", ""),
        ] {
            let spec = Spec {
                exe: "/x",
                environment,
                command,
                ..Spec::default()
            };
            let decision = decide(&Selector::new(Rules::default(), 1, vec![]), spec);
            assert!(decision.watch);
            let notes = decision.notes.join("\n");
            assert!(
                notes.contains(note) && notes.is_empty() == note.is_empty(),
                "{notes}"
            );
        }
    }

    #[test]
    fn mistakes_in_rules_are_refused() {
        for (toml, message) in [
            ("includes = []", "unknown field `includes`"),
            ("include = [{ sevice = \"x\" }]", "unknown field `sevice`"),
            ("include = [{}]", "names nothing"),
            ("include = [{ port = \"90-80\" }]", "is no port"),
            ("include = [{ runtime = \"cobol\" }]", "unknown variant"),
        ] {
            let error = toml::from_str::<Rules>(toml).unwrap_err().to_string();
            assert!(error.contains(message), "{toml}: {error}");
        }
    }
}
