//! Frames of a log to finished spans, over recordings of real services: spans per second of one
//! core, all of user space but discovery and export.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use harness::recording::{Owned, files, options, pipeline, read, story};
use std::hint::black_box;
use weft::daemon::replay::input_of;
use weft::pipeline::{Input, Output, Pipeline};

/// Takes all frames; answers the number of spans.
fn feed(pipeline: &mut Pipeline, frames: &[Owned]) -> usize {
    let mut spans = 0;
    let mut take = |output| {
        if let Output::Trace { spans: found, .. } = black_box(output) {
            spans += found.len();
        }
    };
    for frame in frames {
        if let Some(input) = input_of(&frame.frame()) {
            pipeline.handle(input, &mut take);
        }
    }
    pipeline.handle(Input::Stop, &mut take);
    spans
}

fn benches(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("pipeline");
    for file in files().expect("the recordings are there") {
        let story = story(&file);
        let frames = read(&file).expect("a recording is sound");
        // Identities come once and are dear to read: they are no part of what a request costs.
        let identities: Vec<_> = frames
            .iter()
            .filter(|frame| matches!(frame, Owned::Service(..)))
            .cloned()
            .collect();
        let frames: Vec<_> = frames
            .into_iter()
            .filter(|frame| !matches!(frame, Owned::Service(..)))
            .collect();
        let ready = || {
            let mut pipeline = pipeline(options());
            feed(&mut pipeline, &identities);
            pipeline
        };
        let spans = feed(&mut ready(), &frames);
        group.throughput(Throughput::Elements(spans as u64));
        group.bench_function(story, |bencher| {
            bencher.iter_batched_ref(
                ready,
                |pipeline| feed(pipeline, &frames),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(group, benches);
criterion_main!(group);
