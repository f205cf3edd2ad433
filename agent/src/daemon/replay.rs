//! `weft replay`: the pipeline over a record log, on any machine, without root.

use crate::metadata::Service;
use crate::pipeline::{Counts, Input, Options, Output, Pipeline, Provisional};
use crate::record::decode::decode;
use crate::record::log::{Error, Frame, Reader};
use crate::stream::time::Clock;
use crate::trace::id::Ids;
use std::io::Read;
use std::sync::Arc;

/// Ids of a replay: the same every time.
const SEED: u64 = 0x7765_6674;

/// Runs a log through a pipeline; answers what went through and how many frames made no sense.
///
/// # Errors
/// When the log cannot be read; what was read before has gone to `out`.
pub fn replay(
    log: impl Read,
    options: Options,
    provisional: Provisional,
    out: &mut impl FnMut(Output),
) -> Result<(Counts, u64), Error> {
    let mut reader = Reader::new(log)?;
    let mut pipeline = Pipeline::new(options, Ids::seeded(SEED), provisional);
    let mut senseless = 0;
    let read = loop {
        let frame = match reader.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        match input_of(&frame) {
            Some(input) => pipeline.handle(input, out),
            None => senseless += 1,
        }
    };
    // What came before a damaged frame is worth having.
    pipeline.handle(Input::Stop, out);
    read.map(|()| (pipeline.counts(), senseless))
}

/// What a frame is to the pipeline; `None` when it makes no sense.
#[must_use]
pub fn input_of<'a>(frame: &Frame<'a>) -> Option<Input<'a>> {
    match *frame {
        Frame::Record(bytes) => decode(bytes).ok().map(Input::Record),
        Frame::Service(tgid, json) => serde_json::from_slice::<Service>(json)
            .ok()
            .map(|service| Input::Process(tgid, Arc::new(service))),
        Frame::Clock(offset) => Some(Input::Clock(Clock { offset })),
        Frame::Tick(now) => Some(Input::Tick(now)),
        Frame::Unwatched(tgid) => Some(Input::Unwatched(tgid)),
        Frame::Lost(at) => Some(Input::Lost(at)),
    }
}
