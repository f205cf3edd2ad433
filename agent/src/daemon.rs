//! The running agent: the only place that starts threads and tasks.
