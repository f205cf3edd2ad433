//! `weft replay`: the whole pipeline over a record log, without root.

use super::{Exit, Host, Options, ReplayJob, settings};
use clap::Args;
use std::path::PathBuf;

/// Make traces from a file that `weft record` wrote
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// File to read
    file: PathBuf,
}

impl Replay {
    pub(super) fn call(&self, options: &Options, host: &dyn Host) -> Result<(), Exit> {
        host.replay(ReplayJob {
            config: settings(options, Vec::new())?,
            file: self.file.clone(),
        })
    }
}
