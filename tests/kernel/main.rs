//! The kernel side on the running kernel: every subject's candidates attach, fire, and see
//! exactly what went over the sockets. Needs root; skips loudly without.

mod life;
mod mappings;
mod rustls;
mod sockets;
mod tls;
mod uring;
