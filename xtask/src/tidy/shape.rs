//! The shape of a Rust file: a header that says what it is, names that say something, no globs,
//! no length beyond reading.

use super::Findings;
use super::source::Source;

/// No file is longer; most are a few hundred lines.
const LONGEST: usize = 800;
/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 9] = [
    "util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "stuff",
];

/// Findings of one file.
pub(super) fn check(source: &Source) -> Findings {
    if !source.is_rust() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let has_header = source
        .lines
        .first()
        .is_some_and(|line| line.starts_with("//! "));
    if !has_header && !source.is_beside() {
        findings.push(source.finding(
            1,
            "no module header: what comes in, what goes out, what is not here",
        ));
    }
    if source.lines.len() > LONGEST {
        let why = format!(
            "{} lines: more than {LONGEST} are two files",
            source.lines.len()
        );
        findings.push(source.finding(LONGEST, why));
    }
    if let Some(name) = path_names(&source.path).find(|name| EMPTY_NAMES.contains(name)) {
        findings.push(source.finding(1, format!("`{name}` says nothing of what is inside")));
    }
    for (number, line) in source.numbered_code() {
        findings.extend(check_line(source, number, line));
    }
    findings
}

fn check_line(source: &Source, number: usize, line: &str) -> Findings {
    let mut findings = Vec::new();
    let text = line.trim();
    if let Some(at) = text.find("fn get_")
        && !text
            .get(..at)
            .is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric()))
    {
        findings.push(source.finding(number, "a getter is named by what it gives, without `get_`"));
    }
    let module = text
        .trim_start_matches("pub ")
        .strip_prefix("mod ")
        .unwrap_or_default();
    let name = module.trim_end_matches([' ', '{', ';']);
    if EMPTY_NAMES.contains(&name) {
        findings.push(source.finding(number, format!("`{name}` says nothing of what is inside")));
    }
    let import = text
        .trim_start_matches("pub ")
        .strip_prefix("use ")
        .unwrap_or_default();
    if import.contains("::*") {
        let in_tests = number > source.tests_from;
        let usual = import.starts_with("super::*") || import.contains("prelude::*");
        if !(in_tests && usual) {
            findings.push(source.finding(number, "a glob hides where names come from"));
        }
    }
    findings
}

/// The folders and the file below `src`, without the ending.
fn path_names(path: &str) -> impl Iterator<Item = &str> {
    let below = path.split_once("src/").map_or("", |(_, below)| below);
    below
        .split('/')
        .map(|part| part.strip_suffix(".rs").unwrap_or(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::check as check_rule;

    #[test]
    fn wants_headers_names_and_no_globs() {
        let case = |path, text, want: &[usize]| check_rule(check, path, text, want);
        case("agent/src/a.rs", "//! What it is.\nfn a() {}\n", &[]);
        case("agent/src/a.rs", "fn a() {}\n", &[1]);
        case("agent/src/a.rs", "//! x\npub(crate) fn get_a() {}\n", &[2]);
        case(
            "agent/src/a.rs",
            "//! x\nfn budget_a() { bpf_get_smp_processor_id(); }\n",
            &[],
        );
        case("agent/src/a.rs", "//! x\nmod utils;\n", &[2]);
        case("agent/src/a.rs", "//! x\npub mod helpers {\n}\n", &[2]);
        case("agent/src/utils/a.rs", "//! x\n", &[1]);
        case("agent-common/src/record.rs", "//! x\n", &[]);
        case("agent/src/a.rs", "//! x\nuse crate::record::*;\n", &[2]);
        case("agent/src/a.rs", "//! x\nuse super::*;\n", &[2]);
        case(
            "agent/src/a.rs",
            "//! x\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n",
            &[],
        );
        case("agent/src/a.rs", "//! x\n// use a::*;\n", &[]);
        case("agent/src/a_tests.rs", "use super::*;\n", &[]);
        case("agent/src/a/tests.rs", "use super::*;\n", &[]);
        case("deploy/Dockerfile", "FROM scratch\n", &[]);
        case(
            "agent/src/a.rs",
            &format!("//! x\n{}", "\n".repeat(LONGEST)),
            &[LONGEST],
        );
    }
}
