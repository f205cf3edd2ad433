//! A record log from anywhere: frames are bounded, and written again they are the same bytes.
#![no_main]

use agent_common::record::LAYOUT;
use harness::recording::{Owned, write};
use harness::scenario::check_pipeline;
use libfuzzer_sys::fuzz_target;
use weft::record::log::Reader;

fuzz_target!(|data: &[u8]| {
    let mut log = b"weftlog\n".to_vec();
    log.extend(LAYOUT.to_le_bytes());
    log.extend(data);
    let Ok(mut reader) = Reader::new(log.as_slice()) else {
        panic!("the head is sound")
    };
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = reader.next_frame() {
        frames.push(Owned::of(&frame));
    }
    let again = write(&frames).expect("a frame that was read can be written");
    assert!(
        log.starts_with(&again),
        "the log reads otherwise than it was written"
    );
    check_pipeline(&frames);
});
