//! Files that processes map as code, and what becomes of those that nobody took in time.

use harness::agent::fresh_path;
use harness::host::{python, root};
use harness::process::Child;
use harness::skip;
use std::fs;
use std::path::PathBuf;
use weft::probe::mappings::Mappings;

/// More than the rings of several processors have room for.
const FLOOD: usize = 5000;

/// A file that only this test maps.
struct Code(PathBuf);

impl Code {
    fn named(name: &str) -> Self {
        let path = fresh_path(name);
        fs::write(&path, [0; 4096]).expect("the temporary folder can be written");
        Self(path)
    }

    fn name(&self) -> &[u8] {
        let name = self.0.file_name().expect("it has a name");
        name.as_encoded_bytes()
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn files_mapped_as_code_are_told() {
    let what = "mappings";
    let (Some(python), true) = (python(), root()) else {
        return skip!("{what}", "python3 and root", "run as root, install python3");
    };
    let mut mappings = match Mappings::open() {
        Ok(mappings) => mappings,
        Err(error) => return skip!("{what}", error, "a kernel with perf events"),
    };
    let script = format!("{}/kernel/mappings.py", env!("CARGO_MANIFEST_DIR"));
    let mut child = Child::start(&python, &[&script]);
    child.line_with("ready");
    let pid = child.id();
    let [code, data, flood] = ["code", "data", "flood"].map(Code::named);
    let mut map = |code: &Code, times: usize, how: &str| {
        child.say(&format!("{} {times} {how}", code.0.display()));
        child.line_with("mapped");
    };
    map(&code, 3, "code");
    map(&data, 3, "data");
    let mut seen = Vec::new();
    mappings.drain(|file| seen.push((file.tgid, file.name.to_vec())));
    let of = |code: &Code| seen.iter().filter(|(_, name)| name == code.name()).count();
    assert_eq!((of(&code), of(&data)), (3, 0), "{seen:?}");
    let who = seen.iter().find(|(_, name)| name == code.name());
    assert_eq!(who.map(|(tgid, _)| *tgid), Some(pid));
    // Nobody takes them in time.
    map(&flood, FLOOD, "code");
    assert!(!mappings.drain(|_| {}), "a full ring is no secret");
    // It goes on, and the kernel says how many it did not tell.
    let mut whole = false;
    for _ in 0..100 {
        map(&code, 1, "code");
        let mut count = 0;
        whole |= mappings.drain(|file| count += usize::from(file.name == code.name()));
        assert_eq!(count, 1);
    }
    assert!(whole, "all is told again");
    assert!(mappings.lost() > 0);
}
