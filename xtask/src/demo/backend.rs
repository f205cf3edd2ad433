//! What the backend says it received: its debug print of spans comes in, [`Seen`] goes out.
//! It decodes OTLP by its own code, so agreement with weft's file is worth something.

use super::spans::Seen;

/// All spans in the print. The last one may still be half written: it is left out until the
/// next heading or the line that ends it has come.
pub(super) fn parse(text: &str) -> Vec<Seen> {
    let mut found: Vec<Seen> = Vec::new();
    let mut service = String::new();
    let mut open: Option<Seen> = None;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("ResourceSpans #") {
            service.clear();
            found.extend(open.take());
        } else if line.starts_with("Span #") {
            found.extend(open.take());
            open = Some(Seen {
                service: service.clone(),
                ..Seen::default()
            });
        } else if let Some((key, value)) = line.strip_prefix("-> ").and_then(|l| l.split_once(": "))
        {
            attribute(key, value, &mut service, open.as_mut());
        } else if let (Some(span), Some((key, value))) = (open.as_mut(), line.split_once(':')) {
            field(span, key.trim(), value.trim());
        }
    }
    found.extend(open.filter(|span| !span.kind.is_empty()));
    found
}

fn attribute(key: &str, value: &str, service: &mut String, span: Option<&mut Seen>) {
    let Some(text) = value.strip_prefix("Str(").and_then(|v| v.strip_suffix(')')) else {
        return;
    };
    match (key, span) {
        ("service.name", None) => *service = text.to_owned(),
        ("url.path", Some(span)) => span.path = text.to_owned(),
        _ => {}
    }
}

fn field(span: &mut Seen, key: &str, value: &str) {
    match key {
        "Trace ID" => span.trace = value.to_owned(),
        "Parent ID" => span.parent = value.to_owned(),
        "ID" => span.span = value.to_owned(),
        "Name" => span.name = value.to_owned(),
        "Kind" => span.kind = value.trim_start_matches("SPAN_KIND_").to_owned(),
        "Status code" => span.error = value == "STATUS_CODE_ERROR",
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
2026-11-21T11:21:28Z  INFO Starting Rotel. grpc_endpoint=\"127.0.0.1:4130\"
ResourceSpans #0
Resource SchemaURL: 
Resource attributes:
     -> service.name: Str(shop)
     -> process.pid: Int(7)
ScopeSpans #0
ScopeSpans SchemaURL: 
InstrumentationScope weft 
Span #0
    Trace ID       : 5b8e
    Parent ID      : c173
    ID             : c174
    Name           : GET /x
    Kind           : SPAN_KIND_SERVER
Start time: 1544712660000000000
End time: 1544712661000000000
    Status code    : STATUS_CODE_ERROR
    Status message : 
Attributes:
     -> url.path: Str(/x)
     -> service.name: Str(not the resource's)
Span #1
    Trace ID       : 5b8e
    Parent ID      : 
    ID             : c175
    Name           : POST
    Kind           : SPAN_KIND_CLIENT
    Status code    : STATUS_CODE_UNSET
ResourceSpans #0
Span #0
    Trace ID       : 5b";

    #[test]
    fn reads_the_print_and_leaves_out_the_half_written() {
        let found = parse(PRINTED);
        let server = Seen {
            trace: "5b8e".into(),
            span: "c174".into(),
            parent: "c173".into(),
            service: "shop".into(),
            name: "GET /x".into(),
            kind: "SERVER".into(),
            error: true,
            path: "/x".into(),
        };
        let client = Seen {
            trace: "5b8e".into(),
            span: "c175".into(),
            service: "shop".into(),
            name: "POST".into(),
            kind: "CLIENT".into(),
            ..Seen::default()
        };
        assert_eq!(found, [server, client]);
    }
}
