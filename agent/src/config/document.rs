//! The documented default: `weft config`, and `deploy/weft.toml`.

use super::section::{Key, Section};
use super::{Config, SECTIONS};
use std::fmt::Write;

/// Every key with its explanation and default, as a TOML file that may be used as it is.
#[must_use]
pub fn document() -> String {
    let defaults = toml::Value::try_from(Config::default());
    let mut text = String::from(
        "# Settings of weft, all at their defaults. Delete what you do not change.\n\
         # Every key can be set by a variable too: WEFT_EXPORT__OTLP__ENDPOINT is endpoint in\n\
         # [export.otlp]. Durations are \"500ms\", \"1s\", \"5m\"; sizes are \"64KiB\", \"8MiB\".\n",
    );
    for section in SECTIONS {
        let table = defaults
            .as_ref()
            .ok()
            .and_then(|all| find(all, section.path));
        write(&mut text, section, table);
    }
    text
}

fn find<'a>(all: &'a toml::Value, path: &str) -> Option<&'a toml::Value> {
    path.split('.').try_fold(all, |value, part| value.get(part))
}

fn write(text: &mut String, section: &Section, table: Option<&toml::Value>) {
    text.push('\n');
    comment(text, section.about);
    let _ = writeln!(text, "[{}]", section.path);
    for key in section.keys {
        comment(text, key.about);
        entry(text, key, table.and_then(|table| table.get(key.name)));
    }
}

fn comment(text: &mut String, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(text, "#{line}");
    }
}

/// A key that is unset by default shows its example, commented out.
fn entry(text: &mut String, key: &Key, default: Option<&toml::Value>) {
    let _ = match default {
        Some(value) if key.example.is_empty() => writeln!(text, "{} = {value}", key.name),
        _ => writeln!(text, "# {} = {}", key.name, key.example),
    };
}
