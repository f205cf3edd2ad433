//! Bytes of one record: an answer for any, bounded, and the same for what lies behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft::record::Event;
use weft::record::decode::{OFFSET, TIME, decode};

fuzz_target!(|data: &[u8]| {
    let Ok(record) = decode(data) else { return };
    assert!(record.at <= TIME);
    if let Event::Chunk(chunk) = &record.event {
        assert!(chunk.bytes.len() <= chunk.len as usize && chunk.bytes.len() <= data.len());
        assert!(chunk.offset <= OFFSET && chunk.opposite <= OFFSET);
    }
    let longer = [data, b"more"].concat();
    assert_eq!(
        decode(&longer).as_ref(),
        Ok(&record),
        "bytes behind a record matter"
    );
});
