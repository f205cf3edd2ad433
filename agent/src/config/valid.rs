//! Values that are of the right type and still make no sense.

use super::Config;

/// Key, what is wrong, what to do.
type Fault = (&'static str, String, String);

/// The first fault, if there is one.
pub(super) fn check(config: &Config) -> Result<(), Fault> {
    ring(config)?;
    ratio(config)?;
    at_least(
        "capture.connections",
        config.capture.connections as usize,
        1,
    )?;
    at_least("trace.max_open_spans", config.trace.max_open_spans, 1)?;
    at_least("limits.services", config.limits.services, 1)?;
    let queue = &config.export.queue;
    at_least("export.queue.batch", queue.batch, 1)?;
    at_least("export.queue.spans", queue.spans, queue.batch)?;
    tls(config)
}

fn ring(config: &Config) -> Result<(), Fault> {
    let bytes = config.capture.ring_bytes.0;
    if bytes.is_power_of_two() && (64 << 10..=1 << 30).contains(&bytes) {
        return Ok(());
    }
    Err((
        "capture.ring_bytes",
        format!("{bytes} bytes is no power of two from 64KiB to 1GiB"),
        "try \"8MiB\", or \"16MiB\" where records are lost".to_owned(),
    ))
}

fn ratio(config: &Config) -> Result<(), Fault> {
    let ratio = config.sampling.ratio;
    if (0.0..=1.0).contains(&ratio) {
        return Ok(());
    }
    Err((
        "sampling.ratio",
        format!("{ratio} is not from 0 to 1"),
        "0.1 keeps one trace in ten".to_owned(),
    ))
}

fn at_least(key: &'static str, value: usize, least: usize) -> Result<(), Fault> {
    if value >= least {
        return Ok(());
    }
    let why = format!("{value} is too small");
    Err((key, why, format!("it must be {least} at least")))
}

fn tls(config: &Config) -> Result<(), Fault> {
    let otlp = &config.export.otlp;
    if otlp.client_certificate.is_some() == otlp.client_key.is_some() {
        return Ok(());
    }
    let given = match otlp.client_key {
        Some(_) => "export.otlp.client_key",
        None => "export.otlp.client_certificate",
    };
    Err((
        given,
        "a client certificate and its key belong together, and only one is given".to_owned(),
        "set both client_certificate and client_key".to_owned(),
    ))
}
