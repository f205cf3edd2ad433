use super::*;
use std::io::Write;
use std::path::PathBuf;

fn sources(ending: &str, text: &str, vars: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("weft.{ending}"));
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let vars = vars
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let sources = Sources {
        file: Some(path),
        vars: vars.collect(),
        flags: Vec::new(),
    };
    (folder, sources)
}

/// The message for a file and variables that are wrong.
fn message(ending: &str, text: &str, vars: &[(&str, &str)]) -> String {
    let (folder, sources) = sources(ending, text, vars);
    let invalid = load(&sources).unwrap_err();
    let folder = folder.path().display().to_string();
    invalid.to_string().replace(&folder, "DIR")
}

#[test]
fn the_documented_default_is_the_default() {
    let (_folder, sources) = sources("toml", &document(), &[]);
    assert_eq!(load(&sources).unwrap().config, Config::default());
}

#[test]
fn the_example_of_every_key_is_right() {
    let uncommented: String = document()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| is_key(key)) => {
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let (_folder, sources) = sources("toml", &uncommented, &[]);
    let config = load(&sources).unwrap().config;
    assert!(config.export.otlp.client_key.is_some());
    assert_eq!(config.select.include.len(), 2);
}

fn is_key(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[test]
fn every_key_is_documented() {
    let defaults = toml::Value::try_from(Config::default()).unwrap();
    let mut known = Vec::new();
    for section in SECTIONS {
        assert!(!section.about.is_empty(), "{}", section.path);
        for key in section.keys {
            assert!(!key.about.is_empty(), "{}.{}", section.path, key.name);
            known.push(format!("{}.{}", section.path, key.name));
        }
    }
    let mut leaves = Vec::new();
    collect(String::new(), &defaults, &mut leaves);
    for leaf in leaves {
        assert!(known.contains(&leaf), "{leaf} is in no section");
    }
}

fn collect(path: String, value: &toml::Value, leaves: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) if !path.ends_with("headers") => {
            for (key, value) in table {
                let dot = if path.is_empty() { "" } else { "." };
                collect(format!("{path}{dot}{key}"), value, leaves);
            }
        }
        _ => leaves.push(path),
    }
}

#[test]
fn the_deployed_file_is_the_documented_default() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/weft.toml"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let deployed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        deployed,
        document(),
        "write it again with UPDATE=1 cargo test"
    );
}

#[test]
fn later_sources_win() {
    let text = "[export.otlp]\nendpoint = \"http://file\"\ntimeout = \"1s\"\n\
                compression = \"gzip\"\n[sampling]\nratio = 0.5\n[trace]\nsettle_ms = 5\n";
    let vars = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
        ("WEFT_EXPORT__OTLP__TIMEOUT", "3s"),
        ("WEFT_TRACE__SETTLE_MS", "7"),
        ("WEFT_EXPORT__OTLP__HEADERS", "{a=\"secret\"}"),
        ("WEFT_SELECT__INCLUDE", "[{port=80}]"),
        ("WEFT_PORT_4317_TCP", "tcp://10.0.0.1:4317"),
    ];
    let (folder, mut sources) = sources("toml", text, &vars);
    sources.flags = vec![Setting::text(
        "--endpoint",
        "export.otlp.endpoint",
        "http://flag",
    )];
    let loaded = load(&sources).unwrap();
    let folder = folder.path().display().to_string();
    let shown: Vec<_> = loaded
        .origins
        .iter()
        .filter(|origin| origin.from != "default")
        .map(|origin| format!("{} = {}  # {}", origin.key, origin.value, origin.from))
        .map(|line| line.replace(&folder, "DIR"))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
    assert_eq!(
        loaded.config.export.otlp.endpoint.as_deref(),
        Some("http://flag")
    );
    assert_eq!(loaded.config.trace.settle_ms, 7);
    assert_eq!(loaded.config.select.include[0].port, Some(80));
}

#[test]
fn yaml_is_read_too() {
    let text = "export:\n  otlp:\n    endpoint: http://yaml\nlog:\n  format: json\n";
    let (_folder, sources) = sources("yaml", text, &[]);
    let config = load(&sources).unwrap().config;
    assert_eq!(config.export.otlp.endpoint.as_deref(), Some("http://yaml"));
    assert_eq!(config.log.format, Format::Json);
}

#[test]
fn messages() {
    let files = [
        ("a slip in a key", "toml", "[export.otlp]\nendpont = \"x\""),
        ("a slip in a section", "toml", "[exprot]\nx = 1"),
        (
            "a key that is nothing like any",
            "toml",
            "[log]\nshoesize = 44",
        ),
        ("a slip in a rule", "toml", "[[select.include]]\nprot = 80"),
        (
            "a text for a number",
            "toml",
            "[trace]\nsettle_ms = \"long\"",
        ),
        (
            "a number for a duration",
            "toml",
            "[export.otlp]\ntimeout = 10",
        ),
        ("nonsense for a size", "yaml", "capture:\n  ring_bytes: big"),
        (
            "no power of two",
            "toml",
            "[capture]\nring_bytes = \"3MiB\"",
        ),
        ("an unknown choice", "toml", "[http]\nquery = \"hide\""),
        ("a ratio above 1", "toml", "[sampling]\nratio = 50"),
        (
            "half of a pair",
            "toml",
            "[export.otlp]\nclient_key = \"k\"",
        ),
        ("no TOML", "toml", "[export\n"),
        ("no YAML", "yaml", "a: [b"),
    ];
    let mut all = String::new();
    for (what, ending, text) in files {
        all.push_str(&format!("# {what}\n{}\n\n", message(ending, text, &[])));
    }
    let vars = [
        ("WEFT_EXPORT__OTLP__ENDPONT", "x"),
        ("WEFT_TRACE__SETTLE_MS", "soon"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "7"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ];
    for var in vars {
        let message = message("toml", "", &[var]);
        all.push_str(&format!("# {}={}\n{message}\n\n", var.0, var.1));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_file_that_is_not_there() {
    let sources = Sources {
        file: Some(PathBuf::from("/nowhere/weft.toml")),
        ..Sources::default()
    };
    insta::assert_snapshot!(load(&sources).unwrap_err().to_string());
}
