//! OTLP JSON lines in a file.
