//! The few environment variables of a process that weft looks at.
//!
//! In: `/proc/PID/environ`. Out: [`Environment`]. Everything else in it is dropped here and
//! never stored: environments are where secrets live.

use std::collections::BTreeMap;

/// Variables that are kept.
const KEPT: &[&str] = &[
    // Identity and settings of OpenTelemetry.
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_EXPORTER",
    "OTEL_SDK_DISABLED",
    // Names that launchers give.
    "SPRING_APPLICATION_NAME",
    "FLASK_APP",
    "CELERY_APP",
    "npm_package_name",
    "npm_package_version",
    // Process manager pm2: id, name and script of the application.
    "pm_id",
    "pm_exec_path",
    "name",
    // The folder as the launching shell saw it.
    "PWD",
];

/// Variables whose value is looked at but not kept: with a text that an OpenTelemetry SDK's
/// automatic instrumentation puts into it.
const MARKS: &[(&str, &str)] = &[
    ("NODE_OPTIONS", "@opentelemetry/"),
    ("JAVA_TOOL_OPTIONS", "opentelemetry-javaagent"),
    ("JDK_JAVA_OPTIONS", "opentelemetry-javaagent"),
    ("PYTHONPATH", "opentelemetry/instrumentation"),
    ("RUBYOPT", "opentelemetry"),
    ("OTEL_PHP_AUTOLOAD_ENABLED", "true"),
    ("CORECLR_PROFILER", "918728DD-259F-4A6A-AC2B-B85E1B658318"),
];

/// Longest value kept, bytes. Longer ones are dropped, as a cut one would mean something else.
const VALUE_BYTES: usize = 8 * 1024;

/// The kept part of one process's environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    kept: BTreeMap<&'static str, String>,
    mark: Option<&'static str>,
}

impl Environment {
    /// Picks what is kept out of `NAME=VALUE` strings separated by NUL.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut environment = Self::default();
        for entry in bytes.split(|byte| *byte == 0) {
            let Some(split) = entry.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            let (name, value) = (&entry[..split], &entry[split + 1..]);
            environment.take(name, value);
        }
        if !environment.kept.contains_key("pm_id") {
            environment.kept.remove("name");
        }
        environment
    }

    fn take(&mut self, name: &[u8], value: &[u8]) {
        if let Some(name) = KEPT.iter().find(|kept| kept.as_bytes() == name) {
            if value.len() <= VALUE_BYTES && !value.is_empty() {
                let value = String::from_utf8_lossy(value).into_owned();
                // The first of several equal names is the one that getenv finds.
                self.kept.entry(name).or_insert(value);
            }
        } else if let Some((name, text)) = MARKS.iter().find(|mark| mark.0.as_bytes() == name)
            && String::from_utf8_lossy(value).contains(text)
        {
            self.mark = Some(name);
        }
    }

    /// The value of a kept variable; never an empty one.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.kept.get(name).map(String::as_str)
    }

    /// The variable that loads an OpenTelemetry SDK into the process.
    #[must_use]
    pub fn instrumented_by(&self) -> Option<&'static str> {
        self.mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_it_needs_and_nothing_else() {
        let environment = Environment::parse(
            b"PASSWORD=hunter2\0OTEL_SERVICE_NAME=cart\0garbage\0=x\0PWD=\0name=leak\0\
              OTEL_SERVICE_NAME=second\0NODE_OPTIONS=--require @opentelemetry/auto\0FLASK_APP=a=b",
        );
        assert_eq!(environment.value("OTEL_SERVICE_NAME"), Some("cart"));
        assert_eq!(environment.value("FLASK_APP"), Some("a=b"));
        assert_eq!(environment.value("PWD"), None, "empty is unset");
        assert_eq!(
            environment.value("name"),
            None,
            "only pm2 means its own name"
        );
        assert_eq!(environment.instrumented_by(), Some("NODE_OPTIONS"));
        let shown = format!("{environment:?}");
        for secret in ["hunter2", "leak", "--require"] {
            assert!(!shown.contains(secret), "{secret} is kept: {shown}");
        }
    }

    #[test]
    fn keeps_names_of_pm2() {
        let environment = Environment::parse(b"name=shop\0pm_id=0\0");
        assert_eq!(environment.value("name"), Some("shop"));
    }
}
