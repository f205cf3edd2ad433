//! Settings: defaults, then a file, then variables, then flags; the later wins.
//!
//! In: a TOML or YAML file, the environment, flags of the command line. Out: [`Config`], and
//! where each value came from. Not here: parsing the command line (`cli`), using the settings.
//!
//! - The file is `--config FILE` or `WEFT_CONFIG`.
//! - `WEFT_SECTION__KEY` sets any key, two underscores between the parts of its path:
//!   `WEFT_EXPORT__OTLP__ENDPOINT`. Variables without two underscores are not settings (a
//!   Kubernetes service named `weft` brings several).
//! - The standard `OTEL_*` variables are below `WEFT_*`: who names weft means weft.

mod capture;
mod document;
mod export;
mod http;
mod invalid;
mod limits;
mod load;
mod log;
mod nearest;
mod sampling;
mod section;
mod select;
mod source;
mod standard;
mod tasks;
mod trace;
mod units;
mod valid;

pub use capture::{Capture, SocketIo};
pub use document::document;
pub use export::{Color, Compression, Export, File, Otlp, Protocol, Queue, Switch, Terminal};
pub use http::{Http, Query};
pub use invalid::Invalid;
pub use limits::Limits;
pub use load::{Loaded, Origin, Sources, load};
pub use log::{Format, Log};
pub use sampling::{Kind, Sampling};
pub use select::{Rule, Select};
pub use source::Setting;
pub use tasks::Tasks;
pub use trace::Trace;
pub use units::{Period, Size};

use serde::{Deserialize, Serialize};

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which processes are watched.
    pub select: Select,
    /// What the kernel side may use.
    pub capture: Capture,
    /// In which runtimes probes tell whose work a call is.
    pub tasks: Tasks,
    /// What of HTTP becomes part of a span.
    pub http: Http,
    /// How a trace comes together.
    pub trace: Trace,
    /// Which traces are kept.
    pub sampling: Sampling,
    /// Where spans go.
    pub export: Export,
    /// The agent's own log.
    pub log: Log,
    /// Other bounds.
    pub limits: Limits,
}

/// Every section, in the order of the documentation.
const SECTIONS: &[section::Section] = &[
    Select::SECTION,
    Capture::SECTION,
    Tasks::SECTION,
    Http::SECTION,
    Trace::SECTION,
    Sampling::SECTION,
    Queue::SECTION,
    Otlp::SECTION,
    Terminal::SECTION,
    File::SECTION,
    Log::SECTION,
    Limits::SECTION,
];

#[cfg(test)]
mod tests;
