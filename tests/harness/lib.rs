//! What the tests share.
//!
//! | module | what |
//! |---|---|
//! | `traffic` | recorded traffic of one connection as readable text |
//! | `feeder` | drives a protocol over traffic and holds it to its contract |
//! | `story` | the spans of traffic as readable text |
//! | `hostile` | traffic made of arbitrary bytes, for fuzzing and random tests |

pub mod feeder;
pub mod hostile;
pub mod story;
pub mod traffic;
