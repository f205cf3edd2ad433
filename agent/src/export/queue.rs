//! A bounded queue before each exporter.
