//! One line at the end of `weft run`.

use super::{EXPORT_SPANS, Family, Reading, SPANS, Stats, TRACES, Usage};
use std::fmt::Write;

/// What was seen, delivered and lost, in one line without a line end.
#[must_use]
pub fn summary(stats: &Stats, usage: Usage) -> String {
    let readings = stats.snapshot();
    let mut line = format!(
        "{} traces · {} spans",
        stats.total(&TRACES),
        stats.total(&SPANS)
    );
    for reading in of(&readings, &EXPORT_SPANS) {
        let _ = write!(line, " · {} {}", reading.labels.join(" "), reading.value);
    }
    line.push_str(" · ");
    line.push_str(&losses(&readings));
    let megabytes = usage.memory as f64 / f64::from(1 << 20);
    let seconds = usage.cpu.as_secs_f64();
    let _ = write!(line, " · memory {megabytes:.1} MiB · CPU {seconds:.2} s");
    line
}

fn losses(readings: &[Reading]) -> String {
    let lost: Vec<_> = readings
        .iter()
        .filter(|reading| reading.family.loss && reading.value > 0)
        .map(|reading| {
            let name = reading.family.name.trim_start_matches("weft.");
            format!("{name}({}) {}", reading.labels.join(","), reading.value)
        })
        .collect();
    if lost.is_empty() {
        "nothing lost".to_owned()
    } else {
        format!("lost: {}", lost.join(", "))
    }
}

fn of<'a>(readings: &'a [Reading], family: &'static Family) -> impl Iterator<Item = &'a Reading> {
    readings
        .iter()
        .filter(move |reading| reading.family == family)
}

#[cfg(test)]
mod tests {
    use super::super::{CAPTURE_LOST, EXPORT_DROPPED};
    use super::*;
    use std::time::Duration;

    const USAGE: Usage = Usage {
        memory: 18 << 20,
        cpu: Duration::from_millis(420),
    };

    fn check(counts: &[(&'static Family, &[&str], u64)], expected: &str) {
        let stats = Stats::default();
        for (family, labels, count) in counts {
            stats.counter(family, labels).add(*count);
        }
        assert_eq!(summary(&stats, USAGE), expected);
    }

    #[test]
    fn losses_are_named() {
        check(
            &[],
            "0 traces · 0 spans · nothing lost · memory 18.0 MiB · CPU 0.42 s",
        );
        check(
            &[
                (&TRACES, &[], 2),
                (&SPANS, &["a"], 3),
                (&SPANS, &["b"], 4),
                (&EXPORT_SPANS, &["otlp"], 5),
                (&CAPTURE_LOST, &["ring_full"], 6),
                (&CAPTURE_LOST, &["fault"], 0),
                (&EXPORT_DROPPED, &["otlp", "queue_full"], 2),
            ],
            "2 traces · 7 spans · otlp 5 · lost: capture.lost(ring_full) 6, \
             export.dropped(otlp,queue_full) 2 · memory 18.0 MiB · CPU 0.42 s",
        );
    }
}
