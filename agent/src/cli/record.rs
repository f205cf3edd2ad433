//! `weft record`: the record log, for `weft replay` on any machine.

use super::{Exit, Host, Options, RecordJob, settings};
use crate::config::Period;
use clap::Args;
use std::path::PathBuf;

/// Save what the kernel reports, to replay it later on any machine
#[derive(Debug, Args)]
pub(super) struct Record {
    /// File to write
    file: PathBuf,
    /// End after this time, such as 30s
    #[arg(long = "for", value_name = "DURATION")]
    period: Option<Period>,
    /// Command to start and record
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

impl Record {
    pub(super) fn call(&self, options: &Options, host: &dyn Host) -> Result<(), Exit> {
        host.record(RecordJob {
            config: settings(options, Vec::new())?,
            file: self.file.clone(),
            command: self.command.clone(),
            period: self.period.map(|period| period.0),
        })
    }
}
