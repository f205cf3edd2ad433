//! The real agent over real services: `weft run` as a child, its traces as OTLP JSON lines.

use crate::process::Child;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

/// How long spans may take to come: settling, the queue's interval, a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Side of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It answered.
    Server,
    /// It asked.
    Client,
}

/// A span as it was exported.
#[derive(Clone, Debug)]
pub struct Span {
    /// `service.name`.
    pub service: String,
    /// Server or client.
    pub kind: Kind,
    /// Name.
    pub name: String,
    /// Trace id, hex.
    pub trace: String,
    /// Span id, hex.
    pub id: String,
    /// Parent span id, hex; empty for a root.
    pub parent: String,
    /// `tracestate`.
    pub state: String,
    /// Wall clock, ns.
    pub start: u64,
    /// Wall clock, ns.
    pub end: u64,
    /// Status is Error.
    pub error: bool,
    /// Attributes, values as text.
    pub attributes: BTreeMap<String, String>,
    /// Attributes of the resource, values as text.
    pub resource: BTreeMap<String, String>,
}

impl Span {
    /// An attribute; empty when there is none.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// `server.port`, 0 when there is none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.text("server.port").parse().unwrap_or(0)
    }

    /// `http.response.status_code`, 0 when there is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.text("http.response.status_code").parse().unwrap_or(0)
    }

    /// Path and query as in the request line.
    #[must_use]
    pub fn target(&self) -> String {
        match self.text("url.query") {
            "" => self.text("url.path").to_owned(),
            query => format!("{}?{query}", self.text("url.path")),
        }
    }

    /// What it is, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let Self {
            service,
            kind,
            name,
            id,
            parent,
            ..
        } = self;
        let (port, target, status) = (self.port(), self.target(), self.status());
        let evidence = self.text("weft.parent.evidence");
        format!(
            "{kind:?} {service} {name} :{port}{target} {status} {id} under {parent:?} {evidence}"
        )
    }

    /// Server side?
    #[must_use]
    pub fn is_server(&self) -> bool {
        self.kind == Kind::Server
    }
}

/// The built agent: `WEFT_BIN`, or beside the test's own target folder.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("WEFT_BIN") {
        return PathBuf::from(path);
    }
    // target/debug/deps/e2e-… -> target/debug
    let own = env::current_exe().expect("a test has an executable");
    let profile = own
        .ancestors()
        .nth(2)
        .expect("it is in target/PROFILE/deps");
    let found = profile.join("weft");
    assert!(
        found.is_file(),
        "no {}\nhint: cargo build -p weft",
        found.display()
    );
    found
}

/// A command of the agent without any of the caller's settings.
#[must_use]
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in env::vars().filter(|(n, _)| n.starts_with("WEFT_") || n.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command.args(args);
    command
}

/// A path in the temporary folder that no other test uses.
#[must_use]
pub fn fresh_path(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("weft-e2e-{}-{number}-{name}", process::id()))
}

/// A running agent; killed when dropped.
pub struct Agent {
    child: Child,
    file: PathBuf,
    watching: usize,
}

impl Agent {
    /// Starts it over the whole host and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[], &[])
    }

    /// Starts it with arguments and settings in the environment.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn with(args: &[&str], settings: &[(&str, &str)]) -> Self {
        let file = fresh_path("traces.jsonl");
        let output = format!("file:{}", file.display());
        let mut command = command(&["run", "--output", &output]);
        command
            .args(args)
            .env("WEFT_EXPORT__QUEUE__INTERVAL", "100ms");
        // An agent that is not optimised sees all that runs beside the test: it may fall behind for
        // longer than its users' does.
        command.env("WEFT_CAPTURE__RING_BYTES", "32MiB");
        // Others of this host may be under load: what is waited for must not be moved away.
        command.env("WEFT_EXPORT__FILE__MAX_BYTES", "1GiB");
        // The ids of the tests stand in queries.
        command.env("WEFT_HTTP__QUERY", "keep");
        // Also where that costs more than is taken by default.
        for runtime in ["GO", "PYTHON", "NODE", "RUST", "NGINX", "HAPROXY"] {
            command.env(format!("WEFT_TASKS__{runtime}"), "on");
        }
        command.envs(settings.iter().copied());
        let mut child = Child::spawn(&mut command);
        let ready = child.error_with("weft: ready");
        let words = ready
            .split_whitespace()
            .skip_while(|word| *word != "watching");
        let watching = words.skip(1).find_map(|word| word.parse().ok());
        Self {
            child,
            file,
            watching: watching.unwrap_or(0),
        }
    }

    /// Processes that it watched when it was ready.
    #[must_use]
    pub fn watching(&self) -> usize {
        self.watching
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What was exported so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        spans_of(&self.file)
    }

    /// What it exports, as it comes.
    #[must_use]
    pub fn exported(&self) -> Exported<'_> {
        Exported::to(&self.file)
    }

    /// Waits until there are `count` spans that `wanted` accepts.
    ///
    /// # Panics
    /// When they do not come.
    pub fn wait_for(&self, count: usize, wanted: impl Fn(&Span) -> bool) -> Vec<Span> {
        let end = Instant::now() + PATIENCE;
        let mut exported = self.exported();
        let (mut found, mut total) = (Vec::new(), 0);
        loop {
            exported.more(|span| {
                total += 1;
                if wanted(&span) {
                    found.push(span);
                }
            });
            if found.len() >= count {
                found.sort_by_key(|span| span.start);
                return found;
            }
            if Instant::now() > end {
                let found: Vec<String> = found.iter().map(Span::line).collect();
                panic!(
                    "{} of {count} spans came ({total} of all): {found:#?}",
                    found.len()
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as an operator does; answers all spans and the summary line.
    ///
    /// # Panics
    /// When it does not end with exit code 0 and a summary.
    #[must_use]
    pub fn stop(mut self) -> (Vec<Span>, String) {
        self.child.signal("TERM");
        let code = self.child.wait();
        let said = self.child.remaining_errors();
        assert_eq!(code, Some(0), "{said}");
        let summary = said.lines().rfind(|line| line.contains(" traces · "));
        (
            self.spans(),
            summary
                .unwrap_or_else(|| panic!("no summary: {said}"))
                .to_owned(),
        )
    }

    /// Ends it without any chance to clean up.
    ///
    /// # Panics
    /// When it is gone already.
    pub fn kill(mut self) {
        self.child.signal("KILL");
        self.child.wait();
    }
}

/// How long an agent may take for its last words.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl Drop for Agent {
    fn drop(&mut self) {
        if thread::panicking() && self.child.alive() {
            // What it lost may be why.
            self.child.signal("TERM");
            let end = Instant::now() + LAST_WORDS;
            while self.child.alive() && Instant::now() < end {
                thread::sleep(Duration::from_millis(10));
            }
            eprintln!("the agent said:\n{}", self.child.errors());
        }
        let _ = fs::remove_file(&self.file);
    }
}

/// Spans of a file of OTLP JSON lines; a line that is still being written does not count.
///
/// # Panics
/// When a whole line is no OTLP.
#[must_use]
pub fn spans_of(file: &Path) -> Vec<Span> {
    let mut spans = Vec::new();
    Exported::to(file).more(|span| spans.push(span));
    // traces leave as they become whole
    spans.sort_by_key(|span| span.start);
    spans
}

/// A file that spans are exported to, each read once: in a storm it becomes long.
pub struct Exported<'a> {
    file: &'a Path,
    read: u64,
}

impl<'a> Exported<'a> {
    fn to(file: &'a Path) -> Self {
        Self { file, read: 0 }
    }

    /// What came since the last call, as far as its lines are whole.
    ///
    /// # Panics
    /// When the file cannot be read.
    pub fn more(&mut self, mut each: impl FnMut(Span)) {
        let mut file = match File::open(self.file) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => panic!("{}: {error}", self.file.display()),
        };
        file.seek(SeekFrom::Start(self.read))
            .expect("a file has places");
        let mut line = String::new();
        while file.read_line(&mut line).expect("a file of text") > 0 && line.ends_with('\n') {
            self.read += line.len() as u64;
            spans_in(&line, &mut each);
            line.clear();
        }
    }
}

fn spans_in(line: &str, each: &mut impl FnMut(Span)) {
    let json: Value = serde_json::from_str(line).expect("a line is JSON");
    for group in list(&json["resourceSpans"]) {
        let resource = attributes(&group["resource"]["attributes"]);
        for scope in list(&group["scopeSpans"]) {
            let spans = list(&scope["spans"]).iter();
            spans.for_each(|span| each(read(span, &resource)));
        }
    }
}

fn read(json: &Value, resource: &BTreeMap<String, String>) -> Span {
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    let time = |key: &str| text(key).parse().expect("times are decimal text");
    Span {
        service: resource.get("service.name").cloned().unwrap_or_default(),
        kind: match json["kind"].as_u64() {
            Some(2) => Kind::Server,
            Some(3) => Kind::Client,
            other => panic!("a span of kind {other:?}"),
        },
        name: text("name"),
        trace: text("traceId"),
        id: text("spanId"),
        parent: text("parentSpanId"),
        state: text("traceState"),
        start: time("startTimeUnixNano"),
        end: time("endTimeUnixNano"),
        error: json["status"]["code"].as_u64() == Some(2),
        attributes: attributes(&json["attributes"]),
        resource: resource.clone(),
    }
}

fn attributes(json: &Value) -> BTreeMap<String, String> {
    let pair = |attribute: &Value| {
        let key = attribute["key"].as_str()?.to_owned();
        let value = attribute["value"].as_object()?.values().next()?;
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        Some((key, text))
    };
    list(json).iter().filter_map(pair).collect()
}

fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}
