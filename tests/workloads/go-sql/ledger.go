package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"
)

// ledger is a table of items in a database.
type ledger struct {
	db *sql.DB
	// the mark around names
	quote string
	asked atomic.Int64
}

var store ledger

// open connects by the driver DRIVER to the database DATABASE.
func (l *ledger) open(ctx context.Context) error {
	driver := os.Getenv("DRIVER")
	l.quote = "\""
	if driver == "sqlite" {
		l.quote = "`"
	}
	db, err := sql.Open(driver, os.Getenv("DATABASE"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	l.db = db
	for _, statement := range []string{
		"DROP TABLE IF EXISTS items",
		"CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, count INTEGER)",
		"INSERT INTO items VALUES (1, 'bolt', 10), (2, 'nut', 20), (3, 'it''s', 30)",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// one reads one item.
func (l *ledger) one(ctx context.Context) error {
	var name string
	return l.db.QueryRowContext(ctx, "SELECT name FROM items WHERE id = 1").Scan(&name)
}

// ask runs one statement about path, in one of the ways there are.
func (l *ledger) ask(ctx context.Context, path string) error {
	alias := l.quote + path + l.quote
	read := fmt.Sprintf("SELECT name, count FROM items AS %s WHERE id IN (1, 2) AND name <> 'secret'", alias)
	write := fmt.Sprintf("UPDATE items AS %s SET name = 'secret' WHERE id = 3", alias)
	switch l.asked.Add(1) % 6 {
	case 0:
		return l.rows(l.db.QueryContext(ctx, read))
	case 1:
		_, err := l.db.ExecContext(ctx, write)
		return err
	case 2:
		return l.prepared(ctx, read)
	case 3:
		return l.transaction(ctx, write)
	case 4:
		var name string
		var count int
		return l.db.QueryRowContext(ctx, read).Scan(&name, &count)
	default:
		_, err := l.db.ExecContext(ctx, fmt.Sprintf("DELETE FROM missing AS %s WHERE id = 4711", alias))
		if err == nil {
			return errors.New("a table that is not there was written to")
		}
		return nil
	}
}

func (l *ledger) rows(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var count int
		if err := rows.Scan(&name, &count); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (l *ledger) prepared(ctx context.Context, read string) error {
	statement, err := l.db.PrepareContext(ctx, read)
	if err != nil {
		return err
	}
	defer statement.Close()
	return l.rows(statement.QueryContext(ctx))
}

func (l *ledger) transaction(ctx context.Context, write string) error {
	transaction, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// Asks nobody once it is committed.
	defer transaction.Rollback()
	statement, err := transaction.PrepareContext(ctx, write)
	if err != nil {
		return err
	}
	defer statement.Close()
	if _, err := statement.ExecContext(ctx); err != nil {
		return err
	}
	return transaction.Commit()
}
