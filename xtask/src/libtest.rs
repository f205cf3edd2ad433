//! Reads what `cargo test` prints, line by line, and counts. A test that found something missing
//! prints `SKIPPED <name>: <what is missing>: <how to get it>` and passes as far as libtest knows;
//! here it counts as skipped. Wants `--show-output`, so that passing tests' lines are seen.

/// How many tests did what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Ran and held.
    pub(crate) passed: usize,
    /// Ran and did not hold, or could not be run.
    pub(crate) failed: usize,
    /// Could not be run for something missing.
    pub(crate) skipped: usize,
    /// One line for each failure.
    pub(crate) failures: Vec<String>,
    /// One line for each skip: name, what is missing, how to get it.
    pub(crate) skips: Vec<String>,
}

impl Counts {
    /// Adds another layer's counts.
    pub(crate) fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
        self.skips.extend(other.skips);
    }

    /// One check that held.
    pub(crate) fn pass() -> Self {
        Self {
            passed: 1,
            ..Self::default()
        }
    }

    /// One check that did not.
    pub(crate) fn fail(what: impl Into<String>) -> Self {
        Self {
            failed: 1,
            failures: vec![what.into()],
            ..Self::default()
        }
    }

    /// One check that could not be made.
    pub(crate) fn skip(what: impl Into<String>) -> Self {
        Self {
            skipped: 1,
            skips: vec![what.into()],
            ..Self::default()
        }
    }

    /// The summary line.
    #[must_use]
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// What a line was, for whoever shows progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// A test target starts.
    Target(String),
    /// A test ended: its whole line.
    Test(String),
    /// A test target ended: its result line.
    Result(String),
    /// Part of a failure's report.
    Detail,
    /// Anything else: compiler messages, the output of tests.
    Other,
}

/// Counts over the output of one `cargo test`.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    counts: Counts,
    target: String,
    /// The test whose captured output is being read.
    section: Option<String>,
    section_skipped: bool,
    in_failures: bool,
}

impl Reader {
    /// Takes one line, without its newline.
    pub(crate) fn line(&mut self, line: &str) -> Line {
        let text = line.trim_start();
        if let Some(target) = text
            .strip_prefix("Running ")
            .or(text.strip_prefix("Doc-tests "))
        {
            self.target = short_target(target);
            self.leave_section();
            return Line::Target(self.target.clone());
        }
        if let Some(name) = line.strip_prefix("---- ").and_then(section_name) {
            self.leave_section();
            self.section = Some(name.to_owned());
            return self.detail();
        }
        if line.starts_with("SKIPPED ") {
            self.skip(line);
            return Line::Other;
        }
        match line {
            "successes:" => self.in_failures = false,
            "failures:" => {
                self.in_failures = true;
                self.leave_section();
                return Line::Detail;
            }
            _ => {}
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            self.leave_section();
            self.in_failures = false;
            return Line::Result(result.to_owned());
        }
        if self.section.is_none()
            && let Some((name, outcome)) = test_line(line)
        {
            self.test(name, outcome);
            return Line::Test(line.to_owned());
        }
        self.detail()
    }

    /// The counts, once cargo has ended; `success` is its exit status. A failure that no test
    /// explains (a compile error, a crashed test program) counts as one.
    #[must_use]
    pub(crate) fn finish(mut self, layer: &str, success: bool) -> Counts {
        if !success && self.counts.failed == 0 {
            let at = if self.target.is_empty() {
                "before any test"
            } else {
                self.target.as_str()
            };
            let text = format!("{layer}: cargo test failed without a failed test ({at})");
            self.counts.failed = 1;
            self.counts.failures.push(text);
        }
        self.counts
    }

    fn detail(&self) -> Line {
        if self.in_failures {
            Line::Detail
        } else {
            Line::Other
        }
    }

    fn leave_section(&mut self) {
        self.section = None;
        self.section_skipped = false;
    }

    fn skip(&mut self, line: &str) {
        let text = line.trim_start_matches("SKIPPED ");
        self.counts.skips.push(text.to_owned());
        // one test may miss several things: it is still one skipped test
        if self.section_skipped {
            return;
        }
        self.section_skipped = self.section.is_some();
        self.counts.skipped += 1;
        if self.section.is_some() && !self.in_failures {
            self.counts.passed = self.counts.passed.saturating_sub(1);
        }
    }

    fn test(&mut self, name: &str, outcome: &str) {
        if outcome == "ok" {
            self.counts.passed += 1;
        } else if outcome.starts_with("FAILED") {
            self.counts.failed += 1;
            self.counts
                .failures
                .push(format!("{} {name}", self.target).trim().to_owned());
        } else if let Some(reason) = outcome.strip_prefix("ignored") {
            self.counts.skipped += 1;
            let reason = reason.trim_start_matches([',', ' ']);
            let reason = if reason.is_empty() {
                "ignored in its source"
            } else {
                reason
            };
            self.counts.skips.push(format!("{name}: {reason}"));
        }
    }
}

/// `name stdout ----` is `name`.
fn section_name(rest: &str) -> Option<&str> {
    rest.strip_suffix(" ----")?.strip_suffix(" stdout")
}

/// `test a::b ... ok` is `(a::b, ok)`. The outcome of a test that failed as expected, or took
/// long, may carry more words.
fn test_line(line: &str) -> Option<(&str, &str)> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let known = outcome == "ok" || outcome.starts_with("FAILED") || outcome.starts_with("ignored");
    known.then_some((name.trim_end_matches(" - should panic"), outcome))
}

/// `unittests src/lib.rs (target/debug/deps/weft-0a1b)` is `weft`; `weft` stays.
fn short_target(target: &str) -> String {
    let Some((what, path)) = target.split_once(" (") else {
        return target.to_owned();
    };
    let file = path
        .trim_end_matches(')')
        .rsplit('/')
        .next()
        .unwrap_or(path);
    let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
    if what.starts_with("unittests") {
        name.to_owned()
    } else {
        format!("{name} ({what})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str, success: bool) -> Counts {
        let mut reader = Reader::default();
        for line in output.lines() {
            reader.line(line);
        }
        reader.finish("unit", success)
    }

    const MIXED: &str = "\
   Compiling weft v0.1.0
     Running unittests src/lib.rs (target/debug/deps/weft-0a1b2c)

running 5 tests
test a::holds ... ok
test a::needs_root ... ok
test a::panics - should panic ... ok
test a::breaks ... FAILED
test a::slow ... ignored, takes an hour

successes:

---- a::needs_root stdout ----
SKIPPED needs_root: root: run as root
SKIPPED needs_root: nginx: apt-get install nginx-light


successes:
    a::holds
    a::needs_root

failures:

---- a::breaks stdout ----
test of mine ... ok
assertion failed

failures:
    a::breaks

test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out
";

    #[test]
    fn counts_a_skipped_test_once_and_not_as_passed() {
        let counts = read(MIXED, false);
        assert_eq!(counts.summary(), "2 passed, 1 failed, 2 skipped");
        assert_eq!(counts.failures, ["weft a::breaks"]);
        assert_eq!(
            counts.skips,
            [
                "a::slow: takes an hour",
                "needs_root: root: run as root",
                "needs_root: nginx: apt-get install nginx-light"
            ]
        );
    }

    #[test]
    fn a_compile_error_is_a_failure() {
        let counts = read("error[E0425]: cannot find value\n", false);
        assert_eq!(counts.summary(), "0 passed, 1 failed, 0 skipped");
        assert_eq!(
            counts.failures,
            ["unit: cargo test failed without a failed test (before any test)"]
        );
    }

    #[test]
    fn a_failed_test_that_also_says_skipped_is_failed() {
        let output = "test a ... FAILED\nfailures:\n---- a stdout ----\nSKIPPED a: b: c\ntest result: FAILED\n";
        assert_eq!(read(output, false).failed, 1);
        assert_eq!(read(output, false).passed, 0);
    }

    #[test]
    fn names_targets_shortly() {
        let check = |text: &str, want| assert_eq!(short_target(text), want, "{text}");
        check("unittests src/lib.rs (target/debug/deps/weft-0a1b)", "weft");
        check(
            "tests/e2e/main.rs (target/debug/deps/e2e-ff)",
            "e2e (tests/e2e/main.rs)",
        );
        check("weft", "weft");
    }
}
