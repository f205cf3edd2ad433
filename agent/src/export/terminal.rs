//! Traces as trees on the terminal.
