//! The JSON form of OTLP: one `ExportTraceServiceRequest` per line.

use super::{convert, parts};
use crate::export::Batch;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;

/// The batches as one line without its end.
pub fn line(batches: &[Batch]) -> Result<String, String> {
    let resource_spans = parts::split(batches, usize::MAX)
        .iter()
        .flat_map(|part| {
            let spans = part.spans.iter().map(|span| convert::span(span)).collect();
            let resource = (&convert::resource(part.service)).into();
            group_spans_by_resource_and_scope(spans, &resource)
        })
        .collect();
    let request = ExportTraceServiceRequest { resource_spans };
    serde_json::to_string(&request).map_err(|error| error.to_string())
}
