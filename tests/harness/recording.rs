//! Record logs: frames to change at will, and the pipeline over them.
//!
//! In: a log, or frames from elsewhere. Out: the traces, counts and sizes of the product's own
//! pipeline, and a panic where it breaks a promise: times in order, ids unique, parents never
//! oneself.

use anyhow::{Context, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use weft::daemon::replay::input_of;
use weft::metadata::{Runtime, Service};
use weft::pipeline::{Counts, Input, Options, Output, Pipeline};
use weft::protocol;
use weft::record::decode::decode;
use weft::record::log::{Frame, Reader, Writer};
use weft::record::{Event, Record, Task};
use weft::span::redact::Query;
use weft::span::{Span, route};
use weft::stream::table;
use weft::trace::assembly;
use weft::trace::id::Ids;

/// A frame that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    /// Bytes of a record.
    Record(Vec<u8>),
    /// A process's identity.
    Service(u32, Vec<u8>),
    /// Wall time minus monotonic time, ns.
    Clock(i64),
    /// Time went on.
    Tick(u64),
    /// A process is not watched.
    Unwatched(u32),
    /// Records were lost before this time.
    Lost(u64),
}

/// Name of the story that the recording `file` tells.
#[must_use]
pub fn story(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

impl Owned {
    /// A copy of `frame`.
    #[must_use]
    pub fn of(frame: &Frame<'_>) -> Self {
        match *frame {
            Frame::Record(bytes) => Self::Record(bytes.to_vec()),
            Frame::Service(tgid, json) => Self::Service(tgid, json.to_vec()),
            Frame::Clock(offset) => Self::Clock(offset),
            Frame::Tick(now) => Self::Tick(now),
            Frame::Unwatched(tgid) => Self::Unwatched(tgid),
            Frame::Lost(at) => Self::Lost(at),
        }
    }

    /// As the log has it.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        match self {
            Self::Record(bytes) => Frame::Record(bytes),
            Self::Service(tgid, json) => Frame::Service(*tgid, json),
            Self::Clock(offset) => Frame::Clock(*offset),
            Self::Tick(now) => Frame::Tick(*now),
            Self::Unwatched(tgid) => Frame::Unwatched(*tgid),
            Self::Lost(at) => Frame::Lost(*at),
        }
    }

    /// The record in it, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<Record<'_>> {
        match self {
            Self::Record(bytes) => decode(bytes).ok(),
            _ => None,
        }
    }
}

/// Reads all frames of a log.
///
/// # Errors
/// When it is no log.
pub fn read(path: &Path) -> Result<Vec<Owned>> {
    let log = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut reader = Reader::new(log.as_slice())?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        frames.push(Owned::of(&frame));
    }
    Ok(frames)
}

/// Frames as a log.
///
/// # Errors
/// When a frame is too long.
pub fn write(frames: &[Owned]) -> Result<Vec<u8>> {
    let mut log = Vec::new();
    let mut writer = Writer::new(&mut log)?;
    for frame in frames {
        writer.write(&frame.frame())?;
    }
    Ok(log)
}

/// All recordings of `tests/recordings`, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub fn files() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Options at the product's defaults.
#[must_use]
pub fn options() -> Options {
    Options {
        table: table::Limits::default(),
        protocol: protocol::Limits::default(),
        assembly: assembly::Limits::default(),
        routes: route::Limits::default(),
        query: Query::Names,
        tls_connections: true,
    }
}

/// A pipeline whose ids are the same every time.
#[must_use]
pub fn pipeline(options: Options) -> Pipeline {
    let provisional = |tgid, comm: &str, _: &[String]| Service {
        name: comm.to_owned(),
        tgid,
        runtime: Runtime::Native,
        resource: Vec::new(),
    };
    Pipeline::new(options, Ids::seeded(1), Box::new(provisional))
}

/// Spans that left together.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The spans.
    pub spans: Vec<Span>,
    /// Nothing of it is missing.
    pub complete: bool,
    /// The sampled flag that came with it.
    pub carried: Option<bool>,
}

/// What came of a recording.
#[derive(Debug, PartialEq)]
pub struct Run {
    /// Traces in the order in which they left.
    pub traces: Vec<Trace>,
    /// What went through.
    pub counts: Counts,
    /// The most that was held of each kind.
    pub most: Vec<(&'static str, usize)>,
    /// What was held after the end of everything.
    pub left: Vec<(&'static str, usize)>,
}

/// Runs frames through a pipeline, then lets every connection expire and every process end.
///
/// # Panics
/// When a promise of the pipeline is broken.
#[must_use]
pub fn run(frames: &[Owned], options: Options) -> Run {
    let mut pipeline = pipeline(options.clone());
    let mut traces = Vec::new();
    let mut most = pipeline.held();
    let mut tasks = HashSet::new();
    let mut now = 0;
    let mut take = |output| {
        if let Output::Trace {
            spans,
            complete,
            carried,
        } = output
        {
            traces.push(Trace {
                spans,
                complete,
                carried,
            });
        }
    };
    for frame in frames {
        if let Owned::Tick(time) = frame {
            now = now.max(*time);
        }
        if let Some(input) = input_of(&frame.frame()) {
            if let Input::Record(record) = &input {
                tasks.insert(record.task);
                now = now.max(record.at);
            }
            pipeline.handle(input, &mut take);
        }
        for (most, (_, held)) in most.iter_mut().zip(pipeline.held()) {
            most.1 = most.1.max(held);
        }
    }
    pipeline.handle(Input::Stop, &mut take);
    let counts = pipeline.counts();
    let idle = options.table.idle.saturating_mul(2);
    for step in 1..4u64 {
        let at = now.saturating_add(idle.saturating_mul(step));
        pipeline.handle(Input::Tick(at), &mut take);
    }
    for Task { tgid, .. } in tasks {
        let task = Task { tgid, tid: tgid };
        let record = Record {
            at: now,
            task,
            event: Event::Exited,
        };
        pipeline.handle(Input::Record(record), &mut take);
    }
    // What only the end of a process ends leaves, and for names nobody waits for ever.
    for step in 4..6u64 {
        let at = now.saturating_add(idle.saturating_mul(step));
        pipeline.handle(Input::Tick(at), &mut take);
    }
    let run = Run {
        traces,
        counts,
        most,
        left: pipeline.held(),
    };
    sound(&run);
    run
}

fn sound(run: &Run) {
    let mut ids = HashSet::new();
    for span in run.traces.iter().flat_map(|trace| &trace.spans) {
        assert!(
            span.start <= span.end,
            "a span ends before it begins: {span:?}"
        );
        assert!(ids.insert(span.id), "two spans of one id: {span:?}");
        let own = span.parent.is_some_and(|parent| parent.id == span.id);
        assert!(!own, "a span is its own parent: {span:?}");
    }
    for trace in &run.traces {
        let one = trace
            .spans
            .iter()
            .all(|span| span.trace == trace.spans[0].trace);
        assert!(one, "spans of several traces left together");
    }
    ancestry(run);
}

/// Every way up ends: no span is its own ancestor.
fn ancestry(run: &Run) {
    let spans = run.traces.iter().flat_map(|trace| &trace.spans);
    let parents: std::collections::HashMap<_, _> = spans
        .filter_map(|span| Some((span.id, span.parent?.id)))
        .collect();
    for start in parents.keys() {
        let mut at = start;
        let mut steps = 0;
        while let Some(above) = parents.get(at) {
            at = above;
            steps += 1;
            assert!(steps <= parents.len(), "a circle of parents at {start}");
        }
    }
}
