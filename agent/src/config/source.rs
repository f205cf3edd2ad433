//! Where values come from: each source is named, so that messages and `weft config --show` can.

use super::{Config, Invalid};
use figment::providers::{Format as _, Toml, Yaml};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use std::path::Path;

/// One value of one key, from a variable or a flag.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The variable or flag, for messages.
    pub origin: String,
    /// Dotted path of the key.
    pub key: String,
    /// Its value.
    pub value: Value,
}

impl Setting {
    /// A value as text: taken as it stands where the key is a text, read as TOML elsewhere.
    pub fn text(origin: impl Into<String>, key: impl Into<String>, text: &str) -> Self {
        let (origin, key) = (origin.into(), key.into());
        let value = if is_text(&key) {
            Value::from(text)
        } else {
            // Never fails: what is nothing else is a text.
            text.parse().unwrap_or_else(|_| Value::from(text))
        };
        Self { origin, key, value }
    }

    /// A value of any kind.
    pub fn value(
        origin: impl Into<String>,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        Self {
            origin: origin.into(),
            key: key.into(),
            value: value.into(),
        }
    }
}

/// A key whose default is a text, or which has none: those are texts or paths.
fn is_text(key: &str) -> bool {
    let defaults = Value::serialize(Config::default()).ok();
    let default = defaults.and_then(|defaults| defaults.find(key));
    matches!(default, None | Some(Value::String(..)))
}

/// A named set of values.
pub(super) struct Named {
    name: String,
    values: Dict,
}

impl Provider for Named {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

impl From<&Setting> for Named {
    fn from(setting: &Setting) -> Self {
        let mut parts = setting.key.rsplit('.');
        let last = parts.next().unwrap_or_default().to_owned();
        let innermost = Dict::from([(last, setting.value.clone())]);
        let wrap = |values: Dict, part: &str| Dict::from([(part.to_owned(), values.into())]);
        Self {
            name: setting.origin.clone(),
            values: parts.fold(innermost, wrap),
        }
    }
}

/// Reads a settings file; YAML by the ending of its name, else TOML.
pub(super) fn file(path: &Path) -> Result<Named, Invalid> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Invalid::new(
            &name,
            format!("the settings file cannot be read: {error}"),
            "`weft config > FILE` writes one with all defaults",
        )
    })?;
    let ending = path.extension().and_then(|ending| ending.to_str());
    let (language, values) = match ending {
        Some("yaml" | "yml") => ("YAML", parse_yaml(&text)),
        _ => (
            "TOML",
            Toml::from_str::<Dict>(&text).map_err(|e| e.to_string()),
        ),
    };
    let values = values.map_err(|error| {
        let hint = "`weft config` prints a file that is right; YAML files end in .yaml";
        Invalid::new(&name, format!("not {language}: {}", error.trim()), hint)
    })?;
    Ok(Named { name, values })
}

fn parse_yaml(text: &str) -> Result<Dict, String> {
    if text.trim().is_empty() {
        return Ok(Dict::new());
    }
    Yaml::from_str::<Dict>(text).map_err(|error| error.to_string())
}

/// `WEFT_A__B=…` as key `a.b`.
pub(super) fn own(vars: &[(String, String)]) -> Vec<Setting> {
    let setting = |(name, text): &(String, String)| {
        let path = name.strip_prefix("WEFT_")?;
        let key = path.contains("__").then(|| path.replace("__", "."))?;
        Some(Setting::text(name, key.to_ascii_lowercase(), text))
    };
    vars.iter().filter_map(setting).collect()
}
