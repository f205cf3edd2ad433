//! Records to the bytes of each connection in order, over recordings of real services.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use harness::recording::{files, read, story};
use std::hint::black_box;
use weft::record::{Event, Record};
use weft::stream::table::{Limits, Table};

fn feed(table: &mut Table<()>, records: Vec<Record<'_>>) -> u64 {
    let mut pieces = 0;
    for Record { at, task, event } in records {
        match event {
            Event::Opened(info) => table.opened(at, task, *info, &mut |_, (), _| pieces += 1),
            Event::Chunk(chunk) => table.chunk(at, task, &chunk, &mut |_, (), piece| {
                black_box(piece);
                pieces += 1;
            }),
            Event::Ended(ended) => table.ended(at, task, &ended, &mut |_, (), _| pieces += 1),
            _ => {}
        }
    }
    pieces
}

fn benches(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("stream");
    for file in files().expect("the recordings are there") {
        let story = story(&file);
        let frames = read(&file).expect("a recording is sound");
        let records: Vec<_> = frames.iter().filter_map(|frame| frame.record()).collect();
        group.throughput(Throughput::Elements(records.len() as u64));
        group.bench_function(story, |bencher| {
            bencher.iter_batched(
                || (Table::new(Limits::default()), records.clone()),
                |(mut table, records)| feed(&mut table, records),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(group, benches);
criterion_main!(group);
