//! Route guessing with a bound.
