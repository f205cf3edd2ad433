//! Go: calls of `database/sql`, the standard library's way to any database.
//!
//! In: a program. Out: where it asks drivers and has their answers. All of the package's public functions go
//! by the few below, once a connection is there: `queryDC`, `execDC`, `beginDC`, and the two of a prepared
//! statement, which first see to it that the connection knows it. `Commit` and `Rollback` often ask nobody
//! (a deferred `Rollback` behind a `Commit`), so what counts there is where they take the connection.
//!
//! Ends are told at calls that the kernel emulates, where a function makes one on its way out: success does,
//! but of prepared statements. Returns, which it single-steps, tell of the rest. All sites or none.

use super::{Parts, Program, Site};
use crate::probe::site;
use agent_common::runtime::go;

const QUERY: &str = "database/sql.(*DB).queryDC";
const EXEC: &str = "database/sql.(*DB).execDC";
const BEGIN: &str = "database/sql.(*DB).beginDC";
const PREPARED_QUERY: &str = "database/sql.(*Stmt).QueryContext";
const PREPARED_EXEC: &str = "database/sql.(*Stmt).ExecContext";
const COMMIT: &str = "database/sql.(*Tx).Commit";
const ROLLBACK: &str = "database/sql.(*Tx).rollback";
const LOCK: &str = "database/sql.withLock";
/// What is called on the way out.
const ROWS: &str = "database/sql.(*Rows).initContextClose";
const CONVERT: &str = "runtime.convT";
const CANCEL: &str = "context.WithCancel";
const IS: &str = "errors.Is";

/// What is asked for.
pub(super) const FUNCTIONS: &[&str] = &[
    QUERY,
    EXEC,
    BEGIN,
    PREPARED_QUERY,
    PREPARED_EXEC,
    COMMIT,
    ROLLBACK,
    LOCK,
    ROWS,
    CONVERT,
    CANCEL,
    IS,
];

/// The programs that see calls of databases.
pub(in crate::probe::runtime) const PROGRAMS: [&str; 12] = [
    "go_sql_query",
    "go_sql_exec",
    "go_sql_prepared",
    "go_sql_begin",
    "go_sql_commit",
    "go_sql_rollback",
    "go_sql_queried",
    "go_sql_executed",
    "go_sql_began",
    "go_sql_ended",
    "go_sql_returned",
    "go_sql_returned_interface",
];

/// A function that asks from its beginning to its end.
struct Whole {
    name: &'static str,
    begins: &'static str,
    /// What it calls as it succeeds, and the program that tells so.
    succeeds: Option<(&'static str, &'static str)>,
    returns: &'static str,
}

const WHOLE: [Whole; 5] = [
    Whole {
        name: QUERY,
        begins: "go_sql_query",
        succeeds: Some((ROWS, "go_sql_queried")),
        returns: "go_sql_returned",
    },
    Whole {
        name: EXEC,
        begins: "go_sql_exec",
        succeeds: Some((CONVERT, "go_sql_executed")),
        returns: "go_sql_returned_interface",
    },
    Whole {
        name: PREPARED_QUERY,
        begins: "go_sql_prepared",
        succeeds: None,
        returns: "go_sql_returned",
    },
    Whole {
        name: PREPARED_EXEC,
        begins: "go_sql_prepared",
        succeeds: None,
        returns: "go_sql_returned_interface",
    },
    Whole {
        name: BEGIN,
        begins: "go_sql_begin",
        succeeds: Some((CANCEL, "go_sql_began")),
        returns: "go_sql_returned",
    },
];

/// Functions that ask from one call to another.
const WITHIN: [(&str, &str); 2] = [(COMMIT, "go_sql_commit"), (ROLLBACK, "go_sql_rollback")];

pub(super) fn look(program: &Program<'_>) -> Parts {
    // Linked as far as they are called.
    let known = |name: &str| program.function(name).is_some();
    let asks = WHOLE.iter().any(|whole| known(whole.name));
    if !asks {
        return Parts::default();
    }
    match calls(program) {
        Some(parts) => parts,
        None => Parts {
            lacks: Some(
                "database/sql: this build does not show where drivers are asked, so its calls are \
                 not seen",
            ),
            ..Parts::default()
        },
    }
}

fn calls(program: &Program<'_>) -> Option<Parts> {
    let mut parts = Parts {
        at: places(program)?,
        ..Parts::default()
    };
    for whole in &WHOLE {
        if program.function(whole.name).is_some() {
            parts.sites.extend(whole.sites(program)?);
        }
    }
    for (name, begins) in WITHIN {
        if program.function(name).is_some() {
            parts.sites.extend(within(program, name, begins)?);
        }
    }
    Some(parts)
}

/// Where in its objects the kernel side finds what it tells.
fn places(program: &Program<'_>) -> Option<Vec<(usize, u64)>> {
    let types = program.types.as_ref()?;
    let (_, db) = types.find("*sql.DB", &["connector"])?;
    let mut at = vec![(go::TYPES, types.base()), (go::SQL_CONNECTOR, *db.first()?)];
    // The `*DB` is looked for at the beginning of both.
    if let Some((_, offsets)) = types.find("*sql.Stmt", &["db", "query"]) {
        match offsets.as_slice() {
            [0, query] => at.push((go::SQL_QUERY, *query)),
            _ => return None,
        }
    }
    let (_, conn) = types.find("*sql.driverConn", &["db"])?;
    (conn == [0]).then_some(at)
}

impl Whole {
    fn sites(&self, program: &Program<'_>) -> Option<Vec<Site>> {
        let (code, at) = program.code(self.name)?;
        let success = self.succeeds.and_then(|(name, told)| {
            let function = program.function(name)?;
            Some((function.address, told))
        });
        let ends = site::ends(&code, at.address, success.map(|(address, _)| address));
        let mut sites = vec![program.at_entry(self.name, self.begins)?];
        if let Some((_, told)) = success {
            let calls = ends.calls.iter();
            sites.extend(calls.filter_map(|call| program.within(at, *call, told)));
        }
        let returns = ends.returns.iter();
        sites.extend(returns.filter_map(|end| program.within(at, *end, self.returns)));
        (sites.len() == 1 + ends.calls.len() + ends.returns.len() && sites.len() > 1)
            .then_some(sites)
    }
}

/// The one call by which `name` takes the connection, and that which looks at the driver's answer.
fn within(program: &Program<'_>, name: &str, begins: &'static str) -> Option<[Site; 2]> {
    let (code, at) = program.code(name)?;
    let one = |callee: &str| {
        let calls = site::calls(&code, at.address, program.function(callee)?.address);
        match calls.as_slice() {
            [call] => Some(*call),
            _ => None,
        }
    };
    let (asks, answered) = (one(LOCK)?, one(IS)?);
    if asks > answered {
        return None;
    }
    Some([
        program.within(at, asks, begins)?,
        program.within(at, answered, "go_sql_ended")?,
    ])
}
