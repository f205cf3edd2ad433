//! `weft run`: what to watch, where traces go, for how long.

use super::{Exit, Host, Options, RunJob, settings};
use crate::config::{Period, Rule, Setting};
use clap::{Args, ValueEnum};
use figment::value::Value;

/// Trace services, or one command and its children
#[derive(Debug, Default, PartialEq, Args)]
pub(super) struct Run {
    /// Send traces by OTLP to this URL
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// How OTLP is spoken; by default grpc on port 4317, else http/protobuf
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<Protocol>,
    /// Watch only what matches: exe=GLOB, command=GLOB, service=GLOB, port=N, pid=N,
    /// container=GLOB, runtime=NAME; several joined by commas must all match
    #[arg(long, value_name = "KEY=VALUE,...")]
    select: Vec<Rule>,
    /// Show traces on the terminal, nowhere, or write OTLP JSON to file:PATH; may be repeated
    #[arg(long, value_name = "terminal|none|file:PATH", value_parser = output)]
    output: Vec<Output>,
    /// Colours: auto is when standard output is a terminal and NO_COLOR is unset
    #[arg(long, value_name = "WHEN")]
    color: Option<Color>,
    /// End after this time, such as 30s
    #[arg(long = "for", value_name = "DURATION")]
    period: Option<Period>,
    /// Command to start and trace
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Protocol {
    Grpc,
    #[value(name = "http/protobuf")]
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Debug, PartialEq)]
enum Output {
    Terminal,
    None,
    File(String),
}

fn output(text: &str) -> Result<Output, String> {
    match (text, text.strip_prefix("file:")) {
        ("terminal", _) => Ok(Output::Terminal),
        ("none", _) => Ok(Output::None),
        (_, Some(path)) if !path.is_empty() => Ok(Output::File(path.to_owned())),
        _ => Err("it is terminal, none or file:PATH".to_owned()),
    }
}

impl Run {
    pub(super) fn call(&self, options: &Options, host: &dyn Host) -> Result<(), Exit> {
        host.run(RunJob {
            config: settings(options, self.flags())?,
            command: self.command.clone(),
            period: self.period.map(|period| period.0),
        })
    }

    fn flags(&self) -> Vec<Setting> {
        let mut flags = Vec::new();
        if let Some(url) = &self.endpoint {
            flags.push(Setting::text("--endpoint", "export.otlp.endpoint", url));
            // What a file or variable says of single signals must not win over the flag.
            flags.push(Setting::text(
                "--endpoint",
                "export.otlp.traces_endpoint",
                "",
            ));
            flags.push(Setting::text(
                "--endpoint",
                "export.otlp.metrics_endpoint",
                "",
            ));
            flags.push(Setting::value("--endpoint", "export.otlp.enabled", true));
        }
        if let Some(protocol) = name(self.protocol) {
            flags.push(Setting::text(
                "--protocol",
                "export.otlp.protocol",
                &protocol,
            ));
        }
        if let Some(color) = name(self.color) {
            flags.push(Setting::text("--color", "export.terminal.color", &color));
        }
        if let (false, Ok(rules)) = (self.select.is_empty(), Value::serialize(&self.select)) {
            flags.push(Setting::value("--select", "select.include", rules));
        }
        flags.extend(outputs(&self.output));
        flags
    }
}

/// Naming one output switches the others off.
fn outputs(outputs: &[Output]) -> Vec<Setting> {
    if outputs.is_empty() {
        return Vec::new();
    }
    let terminal = if outputs.contains(&Output::Terminal) {
        "on"
    } else {
        "off"
    };
    let file = outputs.iter().find_map(|output| match output {
        Output::File(path) => Some(path.as_str()),
        _ => None,
    });
    vec![
        Setting::text("--output", "export.terminal.enabled", terminal),
        Setting::text("--output", "export.file.path", file.unwrap_or("")),
    ]
}

fn name<T: ValueEnum>(value: Option<T>) -> Option<String> {
    Some(value?.to_possible_value()?.get_name().to_owned())
}
