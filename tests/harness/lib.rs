//! What the tests share.
//!
//! | module | what |
//! |---|---|
//! | `traffic` | recorded traffic of one connection as readable text |
//! | `feeder` | drives a protocol over traffic and holds it to its contract |
//! | `story` | the spans of traffic as readable text |
//! | `hostile` | traffic made of arbitrary bytes, for fuzzing and random tests |
//! | `executable` | executables made of arbitrary bytes, and all that looks into them |
//! | `recording` | record logs: frames to change at will, and the pipeline over them |
//! | `tale` | the traces of a recording as readable text, and who is whose parent |
//! | `scenario` | records made of arbitrary bytes, for fuzzing, random tests and benches |
//! | `host` | what this host can do, and skipping loudly what it cannot |
//! | `agent` | the built agent as a child, and the spans it exports |
//! | `service` | the test services |
//! | `upstream` | a slow service in the test's own process |
//! | `client` | an HTTP client that notes its own times |
//! | `wrk` | many requests, from a process of its own |
//! | `process` | child processes that end with the test |
//! | `probes` | the kernel side alone: hooks in, raw records out |

pub mod agent;
pub mod client;
pub mod executable;
pub mod feeder;
pub mod host;
pub mod hostile;
pub mod probes;
pub mod process;
pub mod recording;
pub mod scenario;
pub mod service;
pub mod story;
pub mod tale;
pub mod traffic;
pub mod upstream;
pub mod wrk;
