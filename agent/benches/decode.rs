//! Bytes to records, over the records of a recording of real services.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harness::recording::{Owned, files, read, story};
use std::hint::black_box;
use weft::record::decode::decode;

fn benches(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("decode");
    for file in files().expect("the recordings are there") {
        let story = story(&file);
        let mut frames = read(&file).expect("a recording is sound");
        frames.retain(|frame| matches!(frame, Owned::Record(_)));
        group.throughput(Throughput::Elements(frames.len() as u64));
        group.bench_function(story, |bencher| {
            bencher.iter(|| {
                for frame in &frames {
                    if let Owned::Record(bytes) = frame {
                        let _ = black_box(decode(black_box(bytes)));
                    }
                }
            });
        });
    }
    group.finish();
}

criterion_group!(group, benches);
criterion_main!(group);
