//! Go: calls of `database/sql`, from the moment at which a driver is asked to its answer.
//!
//! A call is known by its goroutine, whose number is never used again, and by how deep in the
//! goroutine's stack it began: a stack may move, but not within itself. Statements are copied as they
//! are; nothing of them is looked at here.

use agent_common::loss::Loss;
use agent_common::record::{
    CALLED, CHUNK_FAULT, Called, RETURNED, RETURNED_FAILED, Returned, STATEMENT_BYTES, TYPE_BYTES,
};
use agent_common::runtime::{Runtime, go as at};

use crate::emit::{emit, header, lost, wakeup};
use crate::kernel::{copy_user, fresh_id, opaque, read_user};
use crate::maps::RECORDS;
use crate::probes::fiber;
use crate::probes::go::{self, Interface};

/// `runtime.g.stack.hi`: the first field of a `g` is its `stack`, whose second one this is.
const STACK_TOP: u64 = 8;
/// `abi.Type.Str`, the name as a distance from where names are.
const NAME: u64 = 40;
/// The driver in the `dsnConnector` that `sql.Open` makes for drivers without connectors of their own, behind
/// the name of the data source.
const DRIVER: u64 = 16;

/// Where a goroutine is.
pub struct Place {
    /// Its `g`.
    pub g: u64,
    /// Its stack pointer.
    pub stack: u64,
}

impl Place {
    /// Bytes of the stack in use.
    #[inline(always)]
    fn depth(&self) -> Option<u64> {
        let top: u64 = read_user(self.g.wrapping_add(STACK_TOP))?;
        Some(top.wrapping_sub(self.stack))
    }
}

/// What is asked.
pub struct Question {
    /// `CALLED_*`.
    pub function: u16,
    /// The `*sql.DB`.
    pub db: u64,
    /// The statement: where it stands, and its bytes.
    pub text: u64,
    /// See `text`.
    pub len: u64,
    /// Data of the context that it is asked with, 0 where that is not known.
    pub context: u64,
}

/// Room for the statement in records of two sizes, as of [`crate::probes::plain`].
const SMALL: usize = 256;

/// A record in the ring.
#[repr(C)]
struct Room<const N: usize> {
    head: Called,
    bytes: [u8; N],
}

/// The goroutine at `place` begins to ask `question`.
#[inline(always)]
pub fn called(runtime: &Runtime, place: &Place, question: &Question) -> Option<()> {
    let goroutine = fiber::goroutine(runtime, place.g)?;
    let len = question.len.min(u64::from(u32::MAX)) as u32;
    let captured = question.len.min(STATEMENT_BYTES as u64) as u32;
    let head = Called {
        header: header(CALLED, size_of::<Called>() + captured as usize),
        call: fresh_id(),
        // Only goroutines of net/http's own take work up for others, and those ask no database.
        fiber: go::asker(runtime, goroutine, question.context),
        task: goroutine,
        depth: place.depth()?,
        len,
        captured,
        function: question.function,
        flags: 0,
        reserved: 0,
        driver: [0; TYPE_BYTES],
    };
    if captured < len {
        lost(Loss::Cut);
    }
    if captured <= SMALL as u32 {
        emit_called::<SMALL>(runtime, head, question);
    } else {
        emit_called::<STATEMENT_BYTES>(runtime, head, question);
    }
    Some(())
}

/// Emits `head` with the driver's name and the statement, of which `N` bytes at most follow.
#[inline(always)]
fn emit_called<const N: usize>(runtime: &Runtime, mut head: Called, question: &Question) {
    let Some(mut entry) = RECORDS.reserve::<Room<N>>(0) else {
        lost(Loss::RingFull);
        return;
    };
    let room = entry.as_mut_ptr();
    let len = opaque(u64::from(head.captured));
    let whole = len <= N as u64 && {
        // SAFETY: `bytes` has `N` bytes, all of them in the reserved place.
        let bytes = unsafe { (&raw mut (*room).bytes).cast() };
        len == 0 || copy_user(bytes, len, question.text)
    };
    if !whole {
        head.flags |= CHUNK_FAULT;
        head.captured = 0;
        head.header.size = size_of::<Called>() as u32;
        lost(Loss::Fault);
    }
    // SAFETY: the place is ours until it is submitted.
    unsafe {
        (*room).head = head;
        driver(runtime, question.db, &mut (*room).head.driver);
    }
    entry.submit(wakeup());
}

/// Writes down the name of the type by which `db` connects.
#[inline(always)]
fn driver(runtime: &Runtime, db: u64, to: &mut [u8; TYPE_BYTES]) -> Option<()> {
    let connector: Interface = read_user(db.wrapping_add(runtime.at[at::SQL_CONNECTOR]))?;
    name(runtime, connector.kind()?, to)?;
    if is_connector_by_name(to) {
        let driver: Interface = read_user(connector.object.wrapping_add(DRIVER))?;
        name(runtime, driver.kind()?, to)?;
    }
    Some(())
}

/// Writes down the name of the type that is described at `kind`, and what stands behind it.
#[inline(always)]
fn name(runtime: &Runtime, kind: u64, to: &mut [u8; TYPE_BYTES]) -> Option<()> {
    let distance: u32 = read_user(kind.wrapping_add(NAME))?;
    let from = runtime.at[at::TYPES].wrapping_add(u64::from(distance));
    copy_user(to.as_mut_ptr(), TYPE_BYTES as u64, from).then_some(())
}

/// Is it the name `sql.dsnConnector`? The linker may keep it as that of the pointer to the type.
#[inline(always)]
fn is_connector_by_name(name: &[u8; TYPE_BYTES]) -> bool {
    let word = |from: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&name[from..from + 8]);
        u64::from_ne_bytes(bytes)
    };
    let [first, second] = [*b"sql.dsnC", *b"onnector"].map(u64::from_ne_bytes);
    let plain = name[1] == 16 && word(2) == first && word(10) == second;
    let pointer = name[1] == 17 && word(3) == first && word(11) == second;
    plain || pointer
}

/// A call of the goroutine at `place` is over, as `RETURNED_*` bits say, with the error whose table is `error`;
/// 0 is none. `function` is that of the call where it does not return yet.
#[inline(always)]
pub fn returned(
    runtime: &Runtime,
    place: &Place,
    function: u16,
    flags: u16,
    error: u64,
) -> Option<()> {
    let mut record = Returned {
        header: header(RETURNED, size_of::<Returned>()),
        task: fiber::goroutine(runtime, place.g)?,
        depth: place.depth()?,
        function,
        flags,
        reserved: 0,
        error: [0; TYPE_BYTES],
    };
    if error != 0 {
        record.flags |= RETURNED_FAILED;
        let error = Interface {
            table: error,
            object: 0,
        };
        if let Some(kind) = error.kind() {
            let _ = name(runtime, kind, &mut record.error);
        }
    }
    emit(&record);
    Some(())
}
