//! What a service says of itself in its `truth.json`: what it needs beyond its folder, and the
//! rows of the truth bench and of the bench of protocols that it serves. A service without that file
//! needs nothing and has no row.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The file's name in a service's folder.
pub(crate) const FILE: &str = "truth.json";

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Manifest {
    /// Place of its rows among all.
    pub(crate) order: u64,
    /// Language and runtime.
    pub(crate) runtime: String,
    /// Shell command that prints the versions in one line.
    pub(crate) versions: String,
    /// Programs that must be on PATH.
    pub(crate) programs: Vec<String>,
    /// Files that must be there, such as headers.
    pub(crate) files: Vec<String>,
    /// Debian packages that bring them.
    pub(crate) packages: Vec<String>,
    /// Takes long to install: only the truth bench asks for it.
    pub(crate) heavy: bool,
    /// Takes so long that it is neither installed nor measured unless one of its rows is named.
    pub(crate) asked: bool,
    /// Its rows in the truth bench.
    pub(crate) rows: Vec<Row>,
    /// Its rows in the bench of protocols.
    pub(crate) peers: Vec<Peer>,
}

/// One row of the bench of protocols: this service as the server, and who asks it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Peer {
    /// Name, unique among all.
    pub(crate) name: String,
    /// Server, client, and what they speak.
    pub(crate) what: String,
    /// Which requests are sent: `http`, `get` or `grpc`.
    pub(crate) kind: String,
    /// It is asked over TLS.
    pub(crate) tls: bool,
    /// Variables of the service's environment.
    pub(crate) variables: BTreeMap<String, String>,
    /// Who asks it.
    pub(crate) client: Other,
    /// Whom it calls, if anyone.
    pub(crate) upstream: Option<Other>,
    /// Every request is passed on as it is; else only what asks for it.
    pub(crate) proxy: bool,
    /// What is there to see without the plaintext: one span a connection.
    pub(crate) opaque: bool,
    /// It is part of `cargo xtask test`.
    pub(crate) tested: bool,
}

/// A client, or a service that is called.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Other {
    /// Its folder among the services.
    pub(crate) folder: String,
    /// Variables of its environment.
    pub(crate) variables: BTreeMap<String, String>,
    /// It is called over TLS.
    pub(crate) tls: bool,
}

/// One row of the bench.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row {
    /// Name, unique among all.
    pub(crate) name: String,
    /// Framework, client and hand-off.
    pub(crate) what: String,
    /// Variables of the service's environment.
    pub(crate) variables: BTreeMap<String, String>,
    /// Kinds of request it serves.
    pub(crate) paths: Vec<String>,
    /// How often it calls itself, one behind the other, before it calls the upstream.
    pub(crate) hops: usize,
    /// What the service is asked over: `h2c`, `grpc`, or HTTP/1.
    pub(crate) over: String,
    /// Statements that it gives to a database for each call.
    pub(crate) statements: usize,
    /// The least recall in `cargo xtask test`, %; no check there when absent.
    pub(crate) recall: Option<f64>,
}

/// Reads the manifest of a folder.
///
/// # Errors
/// When the file is there and is not what it should be.
pub(crate) fn read(folder: &Path) -> Result<Manifest> {
    let path = folder.join(FILE);
    if !path.is_file() {
        return Ok(Manifest::default());
    }
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is no manifest", path.display()))
}

fn parse(text: &str) -> Result<Manifest> {
    let json: Value = serde_json::from_str(text)?;
    let rows: Vec<Row> = json["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|json| each(row(json), &json["each"]))
        .collect();
    if rows
        .iter()
        .any(|row| row.name.is_empty() || row.paths.is_empty())
    {
        bail!("each of its rows must have a name and paths");
    }
    let peers: Vec<Peer> = json["peers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(peer)
        .collect();
    if peers
        .iter()
        .any(|peer| peer.name.is_empty() || peer.kind.is_empty() || peer.client.folder.is_empty())
    {
        bail!("each of its peers must have a name, a kind and a client");
    }
    Ok(Manifest {
        order: json["order"].as_u64().unwrap_or(u64::MAX),
        runtime: word(&json, "runtime"),
        versions: word(&json, "versions"),
        programs: words(&json, "programs"),
        files: words(&json, "files"),
        packages: words(&json, "packages"),
        heavy: json["heavy"].as_bool().unwrap_or(false),
        asked: json["asked"].as_bool().unwrap_or(false),
        rows,
        peers,
    })
}

/// A row for each value of the variables in `each`, in their order: its name and what it is end with
/// the value.
fn each(row: Row, each: &Value) -> Vec<Row> {
    let mut rows = vec![row];
    for (variable, values) in each.as_object().into_iter().flatten() {
        let values: Vec<&str> = values
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let with = |row: &Row, value: &str| {
            let mut row = row.clone();
            row.name = format!("{}-{value}", row.name);
            row.what = format!("{}, {value}", row.what);
            row.variables.insert(variable.clone(), value.to_owned());
            row
        };
        rows = rows
            .iter()
            .flat_map(|row| values.iter().map(|value| with(row, value)))
            .collect();
    }
    rows
}

fn peer(json: &Value) -> Peer {
    let flag = |key: &str| json[key].as_bool().unwrap_or(false);
    Peer {
        name: word(json, "name"),
        what: word(json, "what"),
        kind: word(json, "kind"),
        tls: flag("tls"),
        variables: variables(json),
        client: other(&json["client"]),
        upstream: json.get("upstream").map(other),
        proxy: flag("proxy"),
        opaque: flag("opaque"),
        tested: flag("tested"),
    }
}

fn other(json: &Value) -> Other {
    Other {
        folder: word(json, "folder"),
        variables: variables(json),
        tls: json["tls"].as_bool().unwrap_or(false),
    }
}

fn variables(json: &Value) -> BTreeMap<String, String> {
    let pairs = json["variables"].as_object().into_iter().flatten();
    pairs
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn row(json: &Value) -> Row {
    Row {
        name: word(json, "name"),
        what: word(json, "what"),
        variables: variables(json),
        paths: words(json, "paths"),
        hops: number(json, "hops"),
        over: word(json, "over"),
        statements: number(json, "statements"),
        recall: json["recall"].as_f64(),
    }
}

fn number(json: &Value, key: &str) -> usize {
    let found = json[key].as_u64().map(usize::try_from);
    found.and_then(Result::ok).unwrap_or(0)
}

fn word(json: &Value, key: &str) -> String {
    json[key].as_str().unwrap_or_default().to_owned()
}

fn words(json: &Value, key: &str) -> Vec<String> {
    let list = json[key].as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rows_and_needs() -> Result<()> {
        let read = parse(
            r#"{"order": 3, "runtime": "Ruby", "programs": ["puma"], "heavy": true, "rows": [
                {"name": "a", "what": "b", "paths": ["work"], "variables": {"MODE": "x"}, "recall": 99.5}]}"#,
        )?;
        assert_eq!((read.order, read.heavy), (3, true));
        assert_eq!(read.programs, ["puma"]);
        let [row] = &read.rows[..] else {
            bail!("one row was written")
        };
        assert_eq!((row.name.as_str(), row.recall), ("a", Some(99.5)));
        assert_eq!(row.variables["MODE"], "x");
        Ok(())
    }

    #[test]
    fn a_row_for_each_value() -> Result<()> {
        let read = parse(
            r#"{"asked": true, "rows": [{"name": "a", "what": "b", "paths": ["work"],
                "each": {"BUILD": ["old", "new"], "WAY": ["x", "y"]}}]}"#,
        )?;
        let names: Vec<&str> = read.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["a-old-x", "a-old-y", "a-new-x", "a-new-y"]);
        let last = read.rows.last().context("four rows")?;
        assert_eq!(last.what, "b, new, y");
        assert_eq!(
            (last.variables["BUILD"].as_str(), read.asked),
            ("new", true)
        );
        Ok(())
    }

    #[test]
    fn refuses_what_cannot_be_run() {
        let check = |text, good: bool| assert_eq!(parse(text).is_ok(), good, "{text}");
        check("{}", true);
        check(r#"{"rows": [{"name": "a"}]}"#, false);
        check(r#"{"rows": [{"paths": ["work"]}]}"#, false);
        check(r#"{"peers": [{"name": "a", "kind": "http"}]}"#, false);
        check(
            r#"{"peers": [{"name": "a", "kind": "http", "client": {"folder": "b"}}]}"#,
            true,
        );
        check("nothing", false);
    }
}
