//! `cargo xtask hooks`: docs/hooks.md from the sources. In: the order of the candidates in
//! `agent/src/probe/hooks.rs`, and the comment of each program in `agent-ebpf/src/backend`. Out:
//! one page of text. `cargo xtask tidy` compares it with the file.
//!
//! A program's comment says what it is called for, then `Kernel:`, the prototype and since when,
//! then `Seen:`, the kernels on which it was attached and fired.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{step, workspace};

/// The page.
pub(crate) const PAGE: &str = "docs/hooks.md";
/// Which subject has which candidates.
const ORDER: &str = "agent/src/probe/hooks.rs";
/// The programs.
const PROGRAMS: &str = "agent-ebpf/src/backend";

const HEAD: &str = "\
# Hooks

Written by `cargo xtask hooks` from the comments in `agent-ebpf/src/backend` and the order in
`agent/src/probe/hooks.rs`: change it there.

For each subject the candidates are tried in this order, each by attaching it, and the first that the
kernel takes is used. `weft check` says what became of each on a host; `capture.socket_io` forces one.
";

/// The command `hooks`.
///
/// # Errors
/// When a source cannot be read or a program is not described.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let path = root.join(PAGE);
    fs::write(&path, page(&root)?).with_context(|| format!("cannot write {}", path.display()))?;
    step::say(format!("wrote {PAGE}"));
    Ok(())
}

const OTHERS: &str = "
## Functions of runtimes

Uprobes, attached file by file to what watched processes run; optional.

";

/// The page as the sources have it now.
///
/// # Errors
/// When a source cannot be read or a program is not described.
pub(crate) fn page(root: &Path) -> Result<String> {
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let folder = root.join(PROGRAMS);
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut programs = String::new();
    for file in files {
        programs.push_str(&read(&file)?);
    }
    render(&read(&root.join(ORDER))?, &programs)
}

fn render(order: &str, programs: &str) -> Result<String> {
    let mut page = HEAD.to_owned();
    let mut place = 0;
    for entry in entries(order) {
        // Writing to a String cannot fail.
        let _ = match entry {
            Entry::Subject {
                name,
                purpose,
                required,
            } => {
                place = 0;
                let need = if required { "required" } else { "optional" };
                writeln!(page, "\n## `{name}`: {purpose} ({need})")
            }
            Entry::Candidate { name, since } => {
                place += 1;
                writeln!(page, "\n### {place}. `{name}`, since {since}\n")
            }
            Entry::Program { name, target } => {
                let told = described(programs, &name)?;
                write!(
                    page,
                    "- `{name}` at {target}. {}\n  - kernel: {}\n  - seen: {}\n",
                    told.purpose, told.kernel, told.seen
                )
            }
        };
    }
    if place == 0 {
        bail!("{ORDER} names no candidates: its form has changed");
    }
    render_others(order, programs, &mut page)?;
    Ok(page)
}

/// Programs that no candidate names: those on functions of programs, which are attached file by
/// file. Others are forgotten ones.
fn render_others(order: &str, programs: &str, page: &mut String) -> Result<()> {
    let named = entries(order);
    let is_named = |wanted: &str| {
        named
            .iter()
            .any(|entry| matches!(entry, Entry::Program { name, .. } if name == wanted))
    };
    let mut others = String::new();
    for (name, kind) in all_programs(programs) {
        if is_named(name) {
            continue;
        }
        if !matches!(kind, "uprobe" | "uretprobe") {
            bail!("no candidate of {ORDER} names the program {name}");
        }
        let purpose = comment_of(programs, name)?.purpose;
        if purpose.is_empty() {
            bail!("the comment of the program {name} does not say its purpose");
        }
        let _ = writeln!(others, "- `{name}`, {kind}. {purpose}");
    }
    if !others.is_empty() {
        let _ = write!(page, "{OTHERS}{others}");
    }
    Ok(())
}

/// Names and kinds of all programs.
fn all_programs(programs: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut kind = None;
    for line in programs.lines() {
        if let Some(attribute) = line.strip_prefix("#[") {
            let word = attribute.split(['(', ']']).next().unwrap_or_default();
            if word.ends_with("tracepoint") || word.ends_with("probe") {
                kind = Some(word);
            }
        } else if let Some(kind) = kind.take()
            && let Some(rest) = line.strip_prefix("pub fn ")
        {
            found.push((rest.split('(').next().unwrap_or_default(), kind));
        }
    }
    found
}

/// A part of the list of hooks.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Subject {
        name: String,
        purpose: String,
        required: bool,
    },
    Candidate {
        name: String,
        since: String,
    },
    Program {
        name: String,
        target: String,
    },
}

/// The list in the order of the source. Formatted code has one field a line, and a struct's own
/// fields stand before the structs inside of it.
fn entries(source: &str) -> Vec<Entry> {
    let (mut name, mut purpose, mut required) = (String::new(), String::new(), false);
    let mut found = Vec::new();
    for line in source.lines().map(str::trim) {
        let Some((field, value)) = line.split_once(": ") else {
            continue;
        };
        let text = quoted(value).first().map(|text| (*text).to_owned());
        match (field, text) {
            ("name", Some(text)) => name = text,
            ("purpose", Some(text)) => purpose = text,
            ("required", None) => required = value.starts_with("true"),
            ("since", Some(since)) => found.push(Entry::Candidate {
                name: std::mem::take(&mut name),
                since,
            }),
            ("target", Some(_)) => found.push(Entry::Program {
                name: std::mem::take(&mut name),
                target: target(value),
            }),
            ("candidates", None) if value.starts_with("&[") => found.push(Entry::Subject {
                name: std::mem::take(&mut name),
                purpose: std::mem::take(&mut purpose),
                required,
            }),
            _ => {}
        }
    }
    found
}

/// Strings in double quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

/// Where a program attaches, in words.
fn target(value: &str) -> String {
    let kind = value.split('(').next().unwrap_or_default();
    match (kind, &quoted(value)[..]) {
        ("TypedTracepoint", [name, ..]) => format!("the typed tracepoint `{name}`"),
        ("RawTracepoint", [name, ..]) => format!("the raw tracepoint `{name}`"),
        ("Tracepoints", [category, "", name]) => format!("the tracepoint `{category}:{name}`"),
        ("Tracepoints", [category, prefix, ..]) => {
            format!("the tracepoints `{category}:{prefix}*`")
        }
        _ => format!("`{value}`"),
    }
}

/// What a program's comment says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    purpose: String,
    kernel: String,
    seen: String,
}

/// The comment of the program `name`, which must be whole.
fn described(programs: &str, name: &str) -> Result<Told> {
    let told = comment_of(programs, name)?;
    for (what, text) in [
        ("its purpose", &told.purpose),
        ("`Kernel:`", &told.kernel),
        ("`Seen:`", &told.seen),
    ] {
        if text.is_empty() {
            bail!("the comment of the program {name} does not say {what}");
        }
    }
    Ok(told)
}

fn comment_of(programs: &str, name: &str) -> Result<Told> {
    let lines: Vec<&str> = programs.lines().collect();
    let start = format!("pub fn {name}(");
    let Some(at) = lines.iter().position(|line| line.starts_with(&start)) else {
        bail!("{PROGRAMS} has no program {name}");
    };
    let above = lines.get(..at).unwrap_or_default().iter().rev();
    let mut comment: Vec<&str> = above
        .take_while(|line| line.starts_with("///") || line.starts_with("#["))
        .filter_map(|line| line.strip_prefix("///"))
        .map(str::trim)
        .collect();
    comment.reverse();
    Ok(told(&comment))
}

fn told(comment: &[&str]) -> Told {
    let mut told = Told::default();
    let mut part = &mut told.purpose;
    for line in comment.iter().filter(|line| !line.is_empty()) {
        let mut line = *line;
        if let Some(rest) = line.strip_prefix("Kernel:") {
            (part, line) = (&mut told.kernel, rest.trim());
        } else if let Some(rest) = line.strip_prefix("Seen:") {
            (part, line) = (&mut told.seen, rest.trim());
        } else if !part.is_empty() {
            part.push(' ');
        }
        part.push_str(line);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
    Subject {
        name: "io",
        purpose: "bytes",
        required: true,
        candidates: &[
            Candidate {
                name: "best",
                since: "6.3",
                programs: &[Program {
                    name: "one",
                    target: TypedTracepoint("one_length"),
                }],
            },
            Candidate {
                name: "last",
                since: "5.8",
                programs: &[Program {
                    name: "two",
                    target: Tracepoints("syscalls", "sys_enter_", CALLS),
                }],
            },
        ],
    },"#;
    const SOURCE: &str = "
/// One thing
/// happens.
///
/// Kernel: `one(int a,
/// int b)`, since 6.3.
/// Seen: 6.18.
#[btf_tracepoint(function = \"one\")]
pub fn one(ctx: X) -> i32 {

/// Another.
/// Kernel: `two()`.
/// Seen: 5.10.
#[tracepoint]
pub fn two(ctx: X) -> u32 {
";

    #[test]
    fn the_page_has_every_hook_in_its_order() {
        let page = render(LIST, SOURCE).unwrap();
        let expected = "
## `io`: bytes (required)

### 1. `best`, since 6.3

- `one` at the typed tracepoint `one_length`. One thing happens.
  - kernel: `one(int a, int b)`, since 6.3.
  - seen: 6.18.

### 2. `last`, since 5.8

- `two` at the tracepoints `syscalls:sys_enter_*`. Another.
  - kernel: `two()`.
  - seen: 5.10.
";
        assert_eq!(page, format!("{HEAD}{expected}"));
    }

    #[test]
    fn programs_that_no_candidate_names_are_listed_or_told() {
        let other = "/// A function of Go.\n#[uprobe]\npub fn go(ctx: X) -> u32 {\n";
        let page = render(LIST, &format!("{SOURCE}{other}")).unwrap();
        let expected = format!("{OTHERS}- `go`, uprobe. A function of Go.\n");
        assert!(page.ends_with(&expected), "{page}");
        let forgotten = other.replace("uprobe", "raw_tracepoint");
        let told = render(LIST, &format!("{SOURCE}{forgotten}")).unwrap_err();
        let expected = format!("no candidate of {ORDER} names the program go");
        assert_eq!(told.to_string(), expected);
    }

    #[test]
    fn what_is_not_described_is_told() {
        let check = |source: &str, expected: &str| {
            let told = render(LIST, source).unwrap_err().to_string();
            assert_eq!(told, expected);
        };
        let missing = format!("{PROGRAMS} has no program one");
        check("", &missing);
        check(
            &SOURCE.replace("/// Seen: 5.10.\n", ""),
            "the comment of the program two does not say `Seen:`",
        );
        check(
            "pub fn one(",
            "the comment of the program one does not say its purpose",
        );
        let empty = format!("{ORDER} names no candidates: its form has changed");
        assert_eq!(render("", SOURCE).unwrap_err().to_string(), empty);
    }
}
