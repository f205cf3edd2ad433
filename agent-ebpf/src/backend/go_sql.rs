//! Uprobes in Go programs, where `database/sql` asks a driver and has its answer.
//!
//! Attached and filtered as those of `runtime`; ABIInternal as in `go`. Answers of two results stand in rax,
//! or rax and rbx, and the error behind them; the first word of an error is its table, 0 for none.

use agent_common::record::{
    CALLED_BEGIN, CALLED_COMMIT, CALLED_EXEC, CALLED_PREPARED, CALLED_QUERY, CALLED_ROLLBACK,
    RETURNED_WITHIN,
};
use agent_common::runtime::{GO, go as at};
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;

use crate::kernel::read_user;
use crate::probes::fiber;
use crate::probes::go_sql::{self, Place, Question};

#[inline(always)]
fn regs(ctx: &ProbeContext) -> &pt_regs {
    // SAFETY: the context of a uprobe is the registers of the probed thread.
    unsafe { &*ctx.regs }
}

#[inline(always)]
fn place(regs: &pt_regs) -> Place {
    Place {
        g: regs.r14,
        stack: regs.rsp,
    }
}

/// Go: `func (db *DB) queryDC(ctx, txctx context.Context, dc *driverConn, releaseConn func(error),
/// query string, args []any) (*Rows, error)` of `database/sql`, by which every query that is not prepared
/// goes; `db` in rax, `ctx` in rbx and rcx, `query` in r10 and r11.
#[uprobe]
pub fn go_sql_query(ctx: ProbeContext) -> u32 {
    let regs = regs(&ctx);
    let question = Question {
        function: CALLED_QUERY,
        db: regs.rax,
        text: regs.r10,
        len: regs.r11,
        context: regs.rcx,
    };
    called(regs, &question);
    0
}

/// Go: `func (db *DB) execDC(ctx context.Context, dc *driverConn, release func(error), query string, args
/// []any) (res Result, err error)`, likewise; `db` in rax, `ctx` in rbx and rcx, `query` in r8 and r9.
#[uprobe]
pub fn go_sql_exec(ctx: ProbeContext) -> u32 {
    let regs = regs(&ctx);
    let question = Question {
        function: CALLED_EXEC,
        db: regs.rax,
        text: regs.r8,
        len: regs.r9,
        context: regs.rcx,
    };
    called(regs, &question);
    0
}

#[inline(always)]
fn called(regs: &pt_regs, question: &Question) {
    if let Some(runtime) = fiber::runtime(GO) {
        go_sql::called(runtime, &place(regs), question);
    }
}

/// A Go string.
#[repr(C)]
#[derive(Clone, Copy)]
struct Text {
    at: u64,
    len: u64,
}

/// Go: `func (s *Stmt) QueryContext(ctx context.Context, args ...any) (*Rows, error)` and `func (s *Stmt)
/// ExecContext(ctx context.Context, args ...any) (Result, error)`; `s` in rax, whose first field is its
/// `*DB`, `ctx` in rbx and rcx.
#[uprobe]
pub fn go_sql_prepared(ctx: ProbeContext) -> u32 {
    prepared(regs(&ctx));
    0
}

#[inline(always)]
fn prepared(regs: &pt_regs) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    let query: Text = read_user(regs.rax.wrapping_add(runtime.at[at::SQL_QUERY]))?;
    let question = Question {
        function: CALLED_PREPARED,
        db: read_user(regs.rax)?,
        text: query.at,
        len: query.len,
        context: regs.rcx,
    };
    go_sql::called(runtime, &place(regs), &question)
}

/// Go: `func (db *DB) beginDC(ctx context.Context, dc *driverConn, release func(error), opts *TxOptions)
/// (tx *Tx, err error)`; `db` in rax, `ctx` in rbx and rcx.
#[uprobe]
pub fn go_sql_begin(ctx: ProbeContext) -> u32 {
    let regs = regs(&ctx);
    let question = Question {
        function: CALLED_BEGIN,
        db: regs.rax,
        text: 0,
        len: 0,
        context: regs.rcx,
    };
    called(regs, &question);
    0
}

/// Go: the call of `func withLock(lk sync.Locker, fn func())` in `(*Tx).Commit`, where the driver is asked:
/// often it is not. The lock is the `*driverConn`, in rbx, whose first field is its `*DB`.
#[uprobe]
pub fn go_sql_commit(ctx: ProbeContext) -> u32 {
    ending(regs(&ctx), CALLED_COMMIT);
    0
}

/// The same in `(*Tx).rollback`.
#[uprobe]
pub fn go_sql_rollback(ctx: ProbeContext) -> u32 {
    ending(regs(&ctx), CALLED_ROLLBACK);
    0
}

#[inline(always)]
fn ending(regs: &pt_regs, function: u16) {
    let question = Question {
        function,
        db: read_user(regs.rbx).unwrap_or(0),
        text: 0,
        len: 0,
        context: 0,
    };
    called(regs, &question);
}

/// Go: the call of `func (rs *Rows) initContextClose(ctx, txctx context.Context)` in `queryDC`, where it
/// has succeeded.
#[uprobe]
pub fn go_sql_queried(ctx: ProbeContext) -> u32 {
    returned(regs(&ctx), CALLED_QUERY, RETURNED_WITHIN, 0);
    0
}

/// Go: the call of `runtime.convT` in `execDC`, which makes a `Result` of what the driver has answered.
#[uprobe]
pub fn go_sql_executed(ctx: ProbeContext) -> u32 {
    returned(regs(&ctx), CALLED_EXEC, RETURNED_WITHIN, 0);
    0
}

/// Go: the call of `context.WithCancel` in `beginDC`, where the transaction has begun.
#[uprobe]
pub fn go_sql_began(ctx: ProbeContext) -> u32 {
    returned(regs(&ctx), CALLED_BEGIN, RETURNED_WITHIN, 0);
    0
}

/// Go: the call of `func Is(err, target error) bool` of `errors` in `Commit` and `rollback`, where the driver
/// has answered; `err` in rax and rbx.
#[uprobe]
pub fn go_sql_ended(ctx: ProbeContext) -> u32 {
    let regs = regs(&ctx);
    returned(regs, 0, 0, regs.rax);
    0
}

/// Go: a return whose second result is an error.
#[uprobe]
pub fn go_sql_returned(ctx: ProbeContext) -> u32 {
    let regs = regs(&ctx);
    returned(regs, 0, 0, regs.rbx);
    0
}

/// Go: a return whose first result is an interface, and the second an error.
#[uprobe]
pub fn go_sql_returned_interface(ctx: ProbeContext) -> u32 {
    let regs = regs(&ctx);
    returned(regs, 0, 0, regs.rcx);
    0
}

#[inline(always)]
fn returned(regs: &pt_regs, function: u16, flags: u16, error: u64) {
    if let Some(runtime) = fiber::runtime(GO) {
        go_sql::returned(runtime, &place(regs), function, flags, error);
    }
}
