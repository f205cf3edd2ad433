//! The list of metrics: a stage that counts something names it here.

use super::Family;

/// Every family, in the order of the pipeline.
pub static ALL: &[&Family] = &[
    &CAPTURE_LOST,
    &PROTOCOL_DROPPED,
    &SPANS,
    &SPANS_HURRIED,
    &JOIN_REFUSED,
    &TRACES,
    &SAMPLING_TRACES,
    &EXPORT_OFFERED,
    &EXPORT_SPANS,
    &EXPORT_DROPPED,
];

/// What the kernel side did not see; causes are `agent_common::loss::Loss::name`.
pub static CAPTURE_LOST: Family = Family {
    name: "weft.capture.lost",
    unit: "{event}",
    description: "Records or bytes that were not captured, by cause.",
    labels: &["cause"],
    loss: true,
};

/// Messages that a protocol could not understand or pair.
pub static PROTOCOL_DROPPED: Family = Family {
    name: "weft.protocol.dropped",
    unit: "{message}",
    description: "Messages that could not be understood or paired, by protocol and cause.",
    labels: &["protocol", "cause"],
    loss: true,
};

/// Finished spans.
pub static SPANS: Family = Family {
    name: "weft.spans",
    unit: "{span}",
    description: "Spans finished, by service.",
    labels: &["service"],
    loss: false,
};

/// Finished spans that did not wait for the rest of their trace.
pub static SPANS_HURRIED: Family = Family {
    name: "weft.spans.hurried",
    unit: "{span}",
    description: "Spans that left before the rest of their trace because too many waited.",
    labels: &[],
    loss: false,
};

/// Parents that were refused because the evidence was ambiguous.
pub static JOIN_REFUSED: Family = Family {
    name: "weft.join.refused",
    unit: "{span}",
    description: "Spans left without a parent because the evidence was ambiguous, by cause.",
    labels: &["cause"],
    loss: false,
};

/// Finished traces.
pub static TRACES: Family = Family {
    name: "weft.traces",
    unit: "{trace}",
    description: "Traces finished.",
    labels: &[],
    loss: false,
};

/// What sampling decided.
pub static SAMPLING_TRACES: Family = Family {
    name: "weft.sampling.traces",
    unit: "{trace}",
    description: "Sampling decisions, by verdict and reason.",
    labels: &["verdict", "reason"],
    loss: false,
};

/// Spans that reached an exporter's queue, taken or not.
pub static EXPORT_OFFERED: Family = Family {
    name: "weft.export.offered",
    unit: "{span}",
    description: "Spans offered to an exporter.",
    labels: &["exporter"],
    loss: false,
};

/// Spans that were delivered.
pub static EXPORT_SPANS: Family = Family {
    name: "weft.export.spans",
    unit: "{span}",
    description: "Spans an exporter delivered.",
    labels: &["exporter"],
    loss: false,
};

/// Spans that were not delivered.
pub static EXPORT_DROPPED: Family = Family {
    name: "weft.export.dropped",
    unit: "{span}",
    description: "Spans an exporter could not deliver, by cause.",
    labels: &["exporter", "cause"],
    loss: true,
};
