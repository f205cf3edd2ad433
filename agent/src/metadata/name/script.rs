//! Interpreters of scripts that are no runtimes of their own here: shells, Perl, Lua.

use super::options::Table;
use super::{Hint, Launch, folder};
use crate::discovery::runtime::without_version;

/// Interpreters by file name, versions removed.
const INTERPRETERS: &[&str] = &[
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "mksh",
    "fish",
    "csh",
    "tcsh",
    "busybox",
    "perl",
    "lua",
    "luajit",
    "tclsh",
    "expect",
    "Rscript",
    "R",
    "guile",
    "julia",
    "elixir",
    "escript",
    "awk",
    "gawk",
    "mawk",
    "osascript",
    "env",
];

/// Options of the shells, and of Perl and its like.
const SHELL: Table = Table {
    valued: &["-o", "-O", "--rcfile", "--init-file"],
    last: &["-c"],
    clustered: true,
};
const PERL: Table = Table {
    valued: &["-I", "-M", "-f", "-v", "-l"],
    last: &["-e", "-E"],
    clustered: false,
};

pub(super) fn is_interpreter(program: &str) -> bool {
    let name = without_version(program.trim_start_matches('-'));
    INTERPRETERS.contains(&name)
}

pub(super) fn hint(launch: &Launch<'_>) -> Hint {
    let shell = launch.program.ends_with("sh") || launch.program == "busybox";
    let table = if shell { &SHELL } else { &PERL };
    let parsed = table.parse(launch.arguments());
    match parsed.operands.first() {
        Some(script) if parsed.last.is_none() => Hint::of_file(
            folder::stem(script),
            launch.folder_of(script).as_deref(),
            "script",
        ),
        _ => Hint::default(),
    }
}
