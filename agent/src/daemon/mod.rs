//! The running agent: the only place that starts threads and tasks, opens channels and orders
//! the shutdown.
//!
//! | part | what |
//! |---|---|
//! | `capture` | the capture thread's work: ring buffer, pipeline, discovery |
//! | `discover` | the thread that reads `/proc` |
//! | `exports` | exporters, their queues and the runtime they live on |
//! | `inspect` | what `check`, `targets` and `explain` answer |
//! | `live` | `run` and `record` from start to stop |
//! | `plan` | from settings to what the stages are started with |
//! | `replay` | the pipeline over a record log |

pub mod capture;
pub mod discover;
mod exports;
mod heard;
mod inspect;
mod live;
mod meters;
pub mod plan;
pub mod replay;

use crate::cli::{Check, Exit, Fact, Host, RecordJob, ReplayJob, RunJob, Target};
use crate::config::Config;

/// This very host.
pub struct ThisHost;

impl Host for ThisHost {
    fn run(&self, job: RunJob) -> Result<(), Exit> {
        live::run(job, None)
    }

    fn check(&self, config: &Config) -> Result<Check, Exit> {
        Ok(inspect::check(config))
    }

    fn targets(&self, config: &Config) -> Result<Vec<Target>, Exit> {
        inspect::targets(config)
    }

    fn explain(&self, config: &Config, pid: u32) -> Result<Vec<Fact>, Exit> {
        inspect::explain(config, pid)
    }

    fn record(&self, job: RecordJob) -> Result<(), Exit> {
        live::record(job)
    }

    fn replay(&self, job: ReplayJob) -> Result<(), Exit> {
        live::replay(&job)
    }
}
