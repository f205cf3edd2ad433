//! Puts the sources together, and says precisely what is wrong with them.

use super::nearest::nearest;
use super::source::{self, Named};
use super::standard::standard;
use super::{Config, Invalid, Setting, valid};
use figment::Figment;
use figment::error::Kind;
use figment::providers::Serialized;
use figment::value::Value;
use std::path::PathBuf;

/// Everything that settings come from, but the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The settings file, if one was named.
    pub file: Option<PathBuf>,
    /// The environment.
    pub vars: Vec<(String, String)>,
    /// Flags of the command line.
    pub flags: Vec<Setting>,
}

/// Settings, and where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Each value that is set, sorted by key.
    pub origins: Vec<Origin>,
}

/// One value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Dotted path.
    pub key: String,
    /// As TOML.
    pub value: String,
    /// `default`, a file, a variable or a flag.
    pub from: String,
}

/// Loads and checks the settings.
pub fn load(sources: &Sources) -> Result<Loaded, Invalid> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(path) = &sources.file {
        figment = figment.merge(source::file(path)?);
    }
    let settings = [
        standard(&sources.vars)?,
        source::own(&sources.vars),
        sources.flags.clone(),
    ];
    for setting in settings.iter().flatten() {
        figment = figment.merge(Named::from(setting));
    }
    let config: Config = figment
        .extract()
        .map_err(|error| explain(&figment, &error))?;
    valid::check(&config)
        .map_err(|(key, why, hint)| Invalid::new(subject(&figment, key), why, hint))?;
    let origins = origins(&figment);
    Ok(Loaded { config, origins })
}

/// Where the key stands, and its name.
fn subject(figment: &Figment, key: &str) -> String {
    match from(figment, key) {
        Some(from) if from == key => from,
        Some(from) => format!("{from}: {key}"),
        None => key.to_owned(),
    }
}

/// The source of a key, or of the table it would stand in; `None` for defaults.
fn from(figment: &Figment, key: &str) -> Option<String> {
    let mut path = key;
    loop {
        if let Some(metadata) = figment.find_metadata(path) {
            let name = metadata.name.to_string();
            return (!name.starts_with("weft::")).then_some(name);
        }
        (path, _) = path.rsplit_once('.')?;
    }
}

fn explain(figment: &Figment, error: &figment::Error) -> Invalid {
    let mut path = error.path.clone();
    if let Kind::UnknownField(name, known) = &error.kind {
        if path.last().is_none_or(|last| last != name) {
            path.push(name.clone());
        }
        return unknown(&subject(figment, &path.join(".")), name, known);
    }
    let why = match &error.kind {
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!(
                "found {found}, but it must be {}",
                plain(&expected.to_string())
            )
        }
        Kind::UnknownVariant(found, known) => {
            format!("`{found}` is none of {}", known.join(", "))
        }
        Kind::Message(text) => text.clone(),
        other => other.to_string(),
    };
    let hint = "`weft config` explains every key";
    Invalid::new(subject(figment, &path.join(".")), why, hint)
}

/// Rust's names of types in words.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f64" => "a number",
        "a string" | "path string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

fn unknown(subject: &str, name: &str, known: &[&str]) -> Invalid {
    let hint = match nearest(name, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Invalid::new(subject, format!("there is no setting `{name}`"), hint)
}

fn origins(figment: &Figment) -> Vec<Origin> {
    let mut leaves = Vec::new();
    if let Ok(all) = figment.extract::<figment::value::Dict>() {
        for (key, value) in all {
            walk(key, &value, &mut leaves);
        }
    }
    let origin = |(key, value): (String, String)| {
        let from = from(figment, &key).unwrap_or_else(|| "default".to_owned());
        Origin { key, value, from }
    };
    leaves.into_iter().map(origin).collect()
}

fn walk(key: String, value: &Value, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Dict(_, inner) if !inner.is_empty() => {
            for (name, value) in inner {
                walk(format!("{key}.{name}"), value, leaves);
            }
        }
        Value::Empty(..) => {}
        _ => leaves.push((key.clone(), shown(&key, value))),
    }
}

/// Headers carry secrets: their values are never shown.
fn shown(key: &str, value: &Value) -> String {
    if key.starts_with("export.otlp.headers.") {
        return "\"…\"".to_owned();
    }
    toml::Value::try_from(value).map_or_else(|_| "?".to_owned(), |value| value.to_string())
}
