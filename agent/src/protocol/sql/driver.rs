//! Which database a driver is for, by the name of the type with which it connects.

use super::System;
use super::scan::Dialect;

/// Types that implement `Driver` or `Connector` of Go's `database/sql/driver`, as the runtime names them.
const GO: &[(&str, System)] = &[
    // github.com/lib/pq
    ("pq.Driver", POSTGRESQL),
    ("pq.Connector", POSTGRESQL),
    // github.com/jackc/pgx
    ("stdlib.Driver", POSTGRESQL),
    ("stdlib.driverConnector", POSTGRESQL),
    ("stdlib.connector", POSTGRESQL),
    // github.com/go-sql-driver/mysql
    ("mysql.MySQLDriver", MYSQL),
    ("mysql.connector", MYSQL),
    // modernc.org/sqlite, github.com/mattn/go-sqlite3, github.com/ncruces/go-sqlite3
    ("sqlite.Driver", SQLITE),
    ("sqlite3.SQLiteDriver", SQLITE),
    ("driver.SQLite", SQLITE),
    // github.com/microsoft/go-mssqldb
    ("mssql.Driver", SQL_SERVER),
    ("mssql.Connector", SQL_SERVER),
    // github.com/sijms/go-ora, github.com/godror/godror
    ("go_ora.OracleDriver", ORACLE),
    ("go_ora.OracleConnector", ORACLE),
    ("godror.drv", ORACLE),
    ("godror.connector", ORACLE),
    // github.com/ClickHouse/clickhouse-go
    ("clickhouse.stdDriver", CLICKHOUSE),
    ("clickhouse.stdConnOpener", CLICKHOUSE),
];

const POSTGRESQL: System = System {
    name: "postgresql",
    dialect: Dialect::Postgresql,
};
const MYSQL: System = System {
    name: "mysql",
    dialect: Dialect::Mysql,
};
const SQLITE: System = System {
    name: "sqlite",
    dialect: Dialect::Sqlite,
};
const SQL_SERVER: System = System {
    name: "microsoft.sql_server",
    dialect: Dialect::SqlServer,
};
const ORACLE: System = System {
    name: "oracle.db",
    dialect: Dialect::Oracle,
};
const CLICKHOUSE: System = System {
    name: "clickhouse",
    dialect: Dialect::Clickhouse,
};

/// The system of the driver whose type has this name; wrapped drivers hide theirs.
#[must_use]
pub fn of_go(name: &str) -> System {
    let known = GO.iter().find(|(known, _)| *known == name);
    known.map_or(System::OTHER, |(_, system)| *system)
}
