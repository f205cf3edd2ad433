//! Our spans and services as the SDK's.

use crate::metadata::{ResourceValue, Service};
use crate::protocol::exchange::{Attribute, Role, Value};
use crate::semconv;
use crate::span::{Span, SpanId, Status};
use opentelemetry::trace::{SpanContext, SpanKind, TraceFlags, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// The instrumentation scope of everything that weft says.
pub(super) fn scope() -> InstrumentationScope {
    static SCOPE: LazyLock<InstrumentationScope> = LazyLock::new(|| {
        InstrumentationScope::builder("weft")
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(semconv::SCHEMA_URL)
            .build()
    });
    SCOPE.clone()
}

pub(super) fn resource(service: &Service) -> Resource {
    attributes(&service.resource, &service.name)
}

/// A Resource of these attributes; `service.name` is added if it is missing.
pub(super) fn attributes(attributes: &[(String, ResourceValue)], name: &str) -> Resource {
    let pairs = attributes.iter().map(|(key, value)| match value {
        ResourceValue::Int(number) => KeyValue::new(key.clone(), *number),
        ResourceValue::Text(text) => KeyValue::new(key.clone(), text.clone()),
    });
    Resource::builder_empty()
        .with_service_name(name.to_owned())
        .with_schema_url(pairs, semconv::SCHEMA_URL)
        .build()
}

pub(super) fn span(span: &Span) -> SpanData {
    let parent = span.parent.map_or(SpanId::default(), |parent| parent.id);
    SpanData {
        span_context: context(span),
        parent_span_id: opentelemetry::SpanId::from_bytes(parent.0),
        parent_span_is_remote: span.parent.is_some_and(|parent| parent.remote),
        span_kind: match span.role {
            Role::Server => SpanKind::Server,
            Role::Client => SpanKind::Client,
        },
        name: span.name.clone().into(),
        start_time: time(span.start),
        end_time: time(span.end.max(span.start)),
        attributes: span_attributes(span),
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        status: match span.status {
            Status::Unset => opentelemetry::trace::Status::Unset,
            Status::Error => opentelemetry::trace::Status::error(""),
        },
        instrumentation_scope: scope(),
    }
}

fn context(span: &Span) -> SpanContext {
    let state = span.state.as_deref().map(str::parse::<TraceState>);
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(span.trace.0),
        opentelemetry::SpanId::from_bytes(span.id.0),
        TraceFlags::default().with_sampled(span.sampled),
        false,
        // What came over the network may be anything; a broken state is left out.
        state.and_then(Result::ok).unwrap_or_default(),
    )
}

fn span_attributes(span: &Span) -> Vec<KeyValue> {
    let mut attributes: Vec<_> = span.attributes.iter().map(attribute).collect();
    let key = semconv::WEFT_PARENT_EVIDENCE;
    let known = span.attributes.iter().any(|attribute| attribute.key == key);
    if let (Some(parent), false) = (span.parent, known) {
        attributes.push(KeyValue::new(key, parent.evidence.as_str()));
    }
    attributes
}

fn attribute(attribute: &Attribute) -> KeyValue {
    let value: opentelemetry::Value = match &attribute.value {
        Value::Text(text) => text.clone().into(),
        Value::Int(number) => (*number).into(),
        Value::Bool(yes) => (*yes).into(),
        Value::List(list) => {
            let texts = list.iter().cloned().map(StringValue::from).collect();
            opentelemetry::Value::Array(Array::String(texts))
        }
    };
    KeyValue::new(attribute.key, value)
}

fn time(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}
