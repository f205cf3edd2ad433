//! Finds what builds the kernel object: a Rust compiler for `bpfel-unknown-none` and
//! `bpf-linker`. Comes in: the environment and the disk. Goes out: a [`BpfToolchain`], or a
//! message that says how to get one. Nothing is installed here (`setup` does that), and only
//! std is used, because `agent/build.rs` includes this very file.

#![allow(
    dead_code,
    reason = "each of the two programs that include this file uses a part"
)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target of the kernel object: little-endian, as are all hosts weft runs on.
pub(crate) const TARGET: &str = "bpfel-unknown-none";
/// Names a compiler to take before any other.
pub(crate) const RUSTC_VARIABLE: &str = "WEFT_BPF_RUSTC";
/// Names a linker to take before any other.
pub(crate) const LINKER_VARIABLE: &str = "WEFT_BPF_LINKER";
/// How to get what is missing: the same for whoever includes this file.
pub(crate) const HINT: &str = "hint: run `cargo xtask setup --only bpf`, or install a nightly with \
                        `rustup toolchain install nightly --component rust-src` and \
                        `cargo install bpf-linker`";

/// Flags for every kernel object: BTF must survive the link, and needs debug information.
const RUSTFLAGS: [&str; 4] = ["-C", "link-arg=--btf", "-C", "debuginfo=2"];
/// Cargo sets these for build scripts and wrappers; an inner cargo must not inherit them.
const NOT_INHERITED: [&str; 7] = [
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// A compiler, a linker and the way to call them.
#[derive(Debug, Clone)]
pub(crate) struct BpfToolchain {
    /// The compiler that has `core` for the target, prebuilt or as source.
    pub(crate) rustc: PathBuf,
    /// The cargo that goes with it (build-std wants the same release as the compiler).
    pub(crate) cargo: PathBuf,
    /// Arguments of cargo beyond the usual: `--target`, and `-Z build-std` where needed.
    pub(crate) cargo_args: Vec<String>,
    /// Variables to set for cargo.
    pub(crate) env: Vec<(String, String)>,
    /// The linker.
    pub(crate) bpf_linker: PathBuf,
    /// Whether `core` comes prebuilt with the compiler.
    pub(crate) prebuilt_core: bool,
}

impl BpfToolchain {
    /// A cargo command such as `build`, ready for the crate's own arguments. The caller chooses
    /// `--manifest-path`, `--target-dir` and the profile.
    #[must_use]
    pub(crate) fn cargo(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.cargo);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        command
            .arg(verb)
            .args(&self.cargo_args)
            .envs(self.env.iter().map(|(k, v)| (k, v)));
        command
    }
}

/// Finds a toolchain: a named compiler first, then a rustup nightly with rust-src, then any
/// compiler that has the target prebuilt.
///
/// # Errors
/// When the compiler or the linker is missing; the message ends with a hint.
pub(crate) fn find() -> Result<BpfToolchain, String> {
    let found = find_compiler();
    let linker = find_linker();
    match (found, linker) {
        (Some(compiler), Some(linker)) => Ok(assemble(compiler, linker)),
        (compiler, linker) => {
            let mut missing = Vec::new();
            if compiler.is_none() {
                missing.push(format!("a Rust compiler for {TARGET}"));
            }
            if linker.is_none() {
                missing.push("bpf-linker".to_owned());
            }
            Err(format!(
                "cannot build the kernel object: {} not found\n{HINT}",
                missing.join(" and ")
            ))
        }
    }
}

/// A compiler and whether its `core` for the target is prebuilt.
#[derive(Debug, Clone)]
pub(crate) struct Compiler {
    /// The `rustc`.
    pub(crate) rustc: PathBuf,
    /// No `-Z build-std` needed.
    pub(crate) prebuilt_core: bool,
}

/// The first compiler that can produce the target.
#[must_use]
pub(crate) fn find_compiler() -> Option<Compiler> {
    if let Some(named) = env::var_os(RUSTC_VARIABLE) {
        return judge_compiler(PathBuf::from(named));
    }
    nightly_compilers()
        .into_iter()
        .chain(env::var_os("RUSTC").map(PathBuf::from))
        .chain(on_path("rustc"))
        .chain([PathBuf::from("/usr/bin/rustc")])
        .find_map(judge_compiler)
}

/// The first bpf-linker that starts (one whose LLVM library went away does not).
#[must_use]
pub(crate) fn find_linker() -> Option<PathBuf> {
    if let Some(named) = env::var_os(LINKER_VARIABLE) {
        return Some(PathBuf::from(named)).filter(|path| starts(path));
    }
    cargo_bin_dirs()
        .into_iter()
        .map(|dir| dir.join("bpf-linker"))
        .chain(on_path("bpf-linker"))
        .filter(|path| path.is_file())
        .find(|path| starts(path))
}

fn assemble(compiler: Compiler, bpf_linker: PathBuf) -> BpfToolchain {
    let beside = compiler.rustc.with_file_name("cargo");
    let cargo = match env::var_os("CARGO") {
        // build-std reads the sources of std: only the cargo of the same release knows them
        _ if !compiler.prebuilt_core && beside.is_file() => beside,
        Some(outer) => PathBuf::from(outer),
        None => PathBuf::from("cargo"),
    };
    let mut cargo_args = vec!["--target".to_owned(), TARGET.to_owned()];
    if !compiler.prebuilt_core {
        cargo_args.push("-Zbuild-std=core".to_owned());
    }
    let env = vec![
        ("RUSTC".to_owned(), compiler.rustc.display().to_string()),
        // inline assembly and build-std are unstable for this target
        ("RUSTC_BOOTSTRAP".to_owned(), "1".to_owned()),
        (
            "CARGO_ENCODED_RUSTFLAGS".to_owned(),
            RUSTFLAGS.join("\u{1f}"),
        ),
        (
            "CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER".to_owned(),
            bpf_linker.display().to_string(),
        ),
    ];
    let prebuilt_core = compiler.prebuilt_core;
    BpfToolchain {
        rustc: compiler.rustc,
        cargo,
        cargo_args,
        env,
        bpf_linker,
        prebuilt_core,
    }
}

fn judge_compiler(rustc: PathBuf) -> Option<Compiler> {
    let sysroot = sysroot(&rustc)?;
    if has_core(&sysroot) {
        return Some(Compiler {
            rustc,
            prebuilt_core: true,
        });
    }
    let source = sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml");
    let nightly = sysroot
        .file_name()?
        .to_string_lossy()
        .starts_with("nightly");
    (nightly && source.is_file()).then_some(Compiler {
        rustc,
        prebuilt_core: false,
    })
}

fn has_core(sysroot: &Path) -> bool {
    let dir = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    std::fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("libcore-"))
        })
    })
}

/// The root of a compiler, as it tells itself.
fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .env_remove("RUSTUP_TOOLCHAIN")
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// Nightlies that rustup keeps and that have the sources of std, the newest name first.
fn nightly_compilers() -> Vec<PathBuf> {
    let Some(home) = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| home(".rustup"))
    else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(home.join("toolchains")) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("nightly"))
                && path
                    .join("lib/rustlib/src/rust/library/core/Cargo.toml")
                    .is_file()
        })
        .map(|path| path.join("bin/rustc"))
        .collect();
    found.sort();
    found.reverse();
    found
}

fn cargo_bin_dirs() -> Vec<PathBuf> {
    [env::var_os("CARGO_HOME").map(PathBuf::from), home(".cargo")]
        .into_iter()
        .flatten()
        .map(|dir| dir.join("bin"))
        .collect()
}

fn home(below: &str) -> Option<PathBuf> {
    env::var_os("HOME").map(|home| PathBuf::from(home).join(below))
}

fn on_path(program: &str) -> Vec<PathBuf> {
    let Some(path) = env::var_os("PATH") else {
        return Vec::new();
    };
    env::split_paths(&path)
        .map(|dir| dir.join(program))
        .filter(|p| p.is_file())
        .collect()
}

fn starts(program: &Path) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}
