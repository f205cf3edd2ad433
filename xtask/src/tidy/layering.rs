//! Data flows one way: a stage names only stages before it. The table is the one of
//! ARCHITECTURE.md.

use super::Findings;
use super::source::Source;

/// Where the rule holds.
const UNDER: &str = "agent/src/";

/// A module and the modules of the agent that it may name.
const TABLE: &[(&str, &[&str])] = &[
    // the chain: pure, each sees what comes before
    ("record", &[]),
    ("stream", &["record"]),
    ("protocol", &["record", "stream", "semconv"]),
    (
        "span",
        &["record", "stream", "protocol", "metadata", "semconv"],
    ),
    (
        "trace",
        &[
            "record", "stream", "protocol", "span", "metadata", "semconv",
        ],
    ),
    (
        "sampling",
        &[
            "record", "stream", "protocol", "span", "trace", "metadata", "semconv", "config",
            "stats",
        ],
    ),
    (
        "export",
        &[
            "record", "protocol", "span", "trace", "sampling", "metadata", "semconv", "config",
            "stats",
        ],
    ),
    // from the side: never the chain beyond its records
    (
        "discovery",
        &["record", "metadata", "semconv", "config", "stats"],
    ),
    ("metadata", &["discovery", "semconv", "config"]),
    (
        "probe",
        &["record", "discovery", "metadata", "config", "stats"],
    ),
    ("semconv", &[]),
    ("host", &[]),
    ("stats", &["record", "semconv"]),
    // edges: settings are told to the stages, the stages do not ask for them
    (
        "config",
        &[
            "discovery",
            "export",
            "metadata",
            "probe",
            "protocol",
            "record",
            "sampling",
            "semconv",
            "span",
            "stats",
            "stream",
            "trace",
        ],
    ),
    (
        "pipeline",
        &[
            "record", "stream", "protocol", "span", "trace", "sampling", "metadata", "semconv",
            "stats",
        ],
    ),
];

/// These put everything together and name what they like.
const FREE: [&str; 4] = ["daemon", "cli", "main", "lib"];

/// Findings of one file.
pub(super) fn check(source: &Source) -> Findings {
    let Some(module) = module_of(&source.path) else {
        return Vec::new();
    };
    if FREE.contains(&module) {
        return Vec::new();
    }
    let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == module) else {
        let why = format!(
            "module `{module}` has no row in the layering table of xtask/src/tidy/layering.rs"
        );
        return vec![source.finding(1, why)];
    };
    let mut findings = Vec::new();
    for (number, line) in source.product_code() {
        for named in named_modules(line) {
            if named != module && is_module(named) && !allowed.contains(&named) {
                let why = format!("`{module}` must not see `{named}`: see the layering table");
                findings.push(source.finding(number, why));
            }
        }
    }
    findings
}

/// `agent/src/stream/half.rs` is in `stream`.
fn module_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(UNDER)?;
    let first = rest.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

fn is_module(name: &str) -> bool {
    FREE.contains(&name) || TABLE.iter().any(|(module, _)| *module == name)
}

/// All that a line names below `crate::`, with `crate::{a, b::c}` opened.
fn named_modules(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, prefix) in line.match_indices("crate::") {
        let Some(rest) = line.get(at + prefix.len()..) else {
            continue;
        };
        match rest.strip_prefix('{') {
            None => found.extend(first_word(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut starts = true;
                for (i, c) in group.char_indices() {
                    if starts && depth == 0 && (c.is_alphanumeric() || c == '_') {
                        found.extend(group.get(i..).and_then(first_word));
                        starts = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => starts = true,
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn first_word(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    text.get(..end).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::check as check_rule;

    #[test]
    fn holds_the_table() {
        let case = |path, text, want: &[usize]| check_rule(check, path, text, want);
        case(
            "agent/src/stream/mod.rs",
            "use crate::record::Chunk;\n",
            &[],
        );
        case(
            "agent/src/stream/mod.rs",
            "//! x\nuse crate::span::Span;\n",
            &[2],
        );
        case(
            "agent/src/record/mod.rs",
            "fn f() { crate::export::send(); }\n",
            &[1],
        );
        case(
            "agent/src/protocol/http1.rs",
            "use crate::{record::{A, span}, semconv};\n",
            &[],
        );
        case(
            "agent/src/protocol/http1.rs",
            "use crate::{record, trace::Tree};\n",
            &[1],
        );
        case("agent/src/pipeline.rs", "use crate::probe::Ring;\n", &[1]);
        case("agent/src/daemon.rs", "use crate::probe::Ring;\n", &[]);
        case(
            "agent/src/metadata/mod.rs",
            "// use crate::span::Span;\n",
            &[],
        );
        case(
            "agent/src/record/mod.rs",
            "#[cfg(test)]\nuse crate::span::Span;\n",
            &[],
        );
        case("agent/src/novelty.rs", "\n", &[1]);
        case("xtask/src/test.rs", "use crate::{build, setup};\n", &[]);
    }
}
