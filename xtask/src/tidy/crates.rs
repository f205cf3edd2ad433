//! Some crates and types belong to named places only, so that all that lies between the ring
//! buffer and the exporters stays a pure function of the record log.

use super::Findings;
use super::source::{Source, names};

/// Where the rule holds.
const UNDER: &str = "agent/src/";

/// What is banned, where it may be, and why.
struct Ban {
    word: &'static str,
    only_in: &'static [&'static str],
    why: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        word: "aya",
        only_in: &["probe/"],
        why: "only probe/ speaks to the kernel",
    },
    Ban {
        word: "aya_obj",
        only_in: &["probe/"],
        why: "only probe/ speaks to the kernel",
    },
    Ban {
        word: "tokio",
        only_in: &[
            "daemon",
            "probe/",
            "export/",
            "discovery/",
            "cli/",
            "main.rs",
        ],
        why: "the pipeline runs without a runtime",
    },
    Ban {
        word: "opentelemetry",
        only_in: OTEL,
        why: OTEL_WHY,
    },
    Ban {
        word: "opentelemetry_sdk",
        only_in: OTEL,
        why: OTEL_WHY,
    },
    Ban {
        word: "opentelemetry_otlp",
        only_in: OTEL,
        why: OTEL_WHY,
    },
    Ban {
        word: "opentelemetry_proto",
        only_in: OTEL,
        why: OTEL_WHY,
    },
    Ban {
        word: "clap",
        only_in: &["cli/", "config/", "main.rs"],
        why: "the command line is an edge",
    },
    Ban {
        word: "SystemTime",
        only_in: CLOCK,
        why: CLOCK_WHY,
    },
    Ban {
        word: "Instant",
        only_in: CLOCK,
        why: CLOCK_WHY,
    },
];

const OTEL: &[&str] = &["export/", "stats"];
const OTEL_WHY: &str = "spans become OTLP at the last stage";
const CLOCK: &[&str] = &[
    "stream/time.rs",
    "export/",
    "daemon",
    "stats",
    "discovery/",
    "probe/",
    "cli/",
];
const CLOCK_WHY: &str = "time comes in with the records, so that a replay gives the same result";

/// Stages that are pure: no input or output, nothing to wait for.
const PURE: [&str; 7] = [
    "record/",
    "stream/",
    "protocol/",
    "span/",
    "trace/",
    "sampling/",
    "pipeline.rs",
];
/// What a pure stage does not do.
const IMPURE: [&str; 5] = [".await", "async fn", "std::fs::", "TcpStream", "UdpSocket"];

/// Findings of one file.
pub(super) fn check(source: &Source) -> Findings {
    let Some(place) = source.path.strip_prefix(UNDER) else {
        return Vec::new();
    };
    let within = |places: &[&str]| places.iter().any(|prefix| place.starts_with(prefix));
    let mut findings = Vec::new();
    for (number, line) in source.product_code() {
        for ban in BANS
            .iter()
            .filter(|ban| !within(ban.only_in) && names(line, ban.word))
        {
            let why = format!(
                "`{}` belongs in {}: {}",
                ban.word,
                ban.only_in.join(", "),
                ban.why
            );
            findings.push(source.finding(number, why));
        }
        for word in IMPURE
            .iter()
            .filter(|word| within(&PURE) && line.contains(**word))
        {
            let why = format!("`{word}` in a pure stage: it works on bytes that others read");
            findings.push(source.finding(number, why));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::check as check_rule;

    #[test]
    fn keeps_crates_in_their_places() {
        let case = |path, text, want: &[usize]| check_rule(check, path, text, want);
        case("agent/src/probe/ring.rs", "use aya::maps::RingBuf;\n", &[]);
        case("agent/src/pipeline.rs", "\nuse aya::maps::RingBuf;\n", &[2]);
        case(
            "agent/src/export/otlp.rs",
            "use opentelemetry_proto::x;\n",
            &[],
        );
        case(
            "agent/src/span/mod.rs",
            "use opentelemetry_proto::x;\n",
            &[1],
        );
        case(
            "agent/src/trace/mod.rs",
            "let now = Instant::now();\n",
            &[1],
        );
        case("agent/src/trace/mod.rs", "let now = Instantly;\n", &[]);
        case(
            "agent/src/stream/time.rs",
            "use std::time::SystemTime;\n",
            &[],
        );
        case("agent/src/config/mod.rs", "use clap::Args;\n", &[]);
        case("agent/src/check.rs", "use clap::Args;\n", &[1]);
        case("agent/src/record/log.rs", "use std::fs::File;\n", &[1]);
        case("agent/src/record/log.rs", "use std::io::Read;\n", &[]);
        case(
            "agent/src/trace/mod.rs",
            "#[cfg(test)]\nuse std::time::Instant;\n",
            &[],
        );
        case("tests/harness/lib.rs", "use aya::Ebpf;\n", &[]);
    }
}
