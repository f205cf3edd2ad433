//! Unmodified services, real clients, the built agent: what it exports is held against what the
//! clients know. Needs root and `cargo xtask setup`; each test skips loudly without.
//!
//! Other processes of the host are traced as well: tests look only at spans of their own ports.

mod ciphertext;
mod cli;
mod clients;
mod faults;
mod handed;
mod http2;
mod life;
mod loaded;
mod maze;
mod messages;
mod parents;
mod reach;
mod services;
mod shared;
mod switched;
mod tls;
mod websockets;
mod written;
