//! Builds the kernel object (`agent-ebpf`) with a BPF-capable toolchain and puts it into
//! `OUT_DIR`. Where there is none, an empty object is embedded and `weft run` says how to get
//! it; `WEFT_REQUIRE_BPF=1` makes that an error of the build instead.

#[path = "../xtask/src/bpf_toolchain.rs"]
mod bpf_toolchain;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=WEFT_REQUIRE_BPF");
    println!(
        "cargo::rerun-if-env-changed={}",
        bpf_toolchain::RUSTC_VARIABLE
    );
    println!(
        "cargo::rerun-if-env-changed={}",
        bpf_toolchain::LINKER_VARIABLE
    );
    for input in [
        "../agent-ebpf/src",
        "../agent-ebpf/Cargo.toml",
        "../agent-common/src",
    ] {
        println!("cargo::rerun-if-changed={input}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let object = out.join("weft-ebpf.o");
    match build(&out, &object) {
        Ok(()) => {}
        Err(why) if env::var_os("WEFT_REQUIRE_BPF").is_some() => panic!("{why}"),
        Err(why) => {
            // Look again at the next build: the toolchain may have been installed since.
            println!("cargo::rerun-if-changed={}", out.join("absent").display());
            println!("cargo::warning={}", why.replace('\n', "; "));
            fs::write(&object, []).expect("OUT_DIR is writable");
        }
    }
}

fn build(out: &Path, object: &Path) -> Result<(), String> {
    let toolchain = bpf_toolchain::find()?;
    let target_dir = out.join("ebpf");
    let output = toolchain
        .cargo("build")
        .args([
            "--release",
            "--bin",
            "weft-ebpf",
            "--manifest-path",
            "../agent-ebpf/Cargo.toml",
        ])
        .arg("--target-dir")
        .arg(&target_dir)
        .output()
        .map_err(|error| format!("cannot start {}: {error}", toolchain.cargo.display()))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        panic!("the kernel object does not build:\n{log}");
    }
    let built = target_dir
        .join(bpf_toolchain::TARGET)
        .join("release/weft-ebpf");
    fs::copy(&built, object)
        .map_err(|error| format!("cannot copy {}: {error}", built.display()))?;
    Ok(())
}
