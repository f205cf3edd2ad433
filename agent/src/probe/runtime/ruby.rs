//! CRuby: its threads, which are not those of the kernel.
//!
//! Thread-local storage names the execution context, which names the Ruby thread. Probes tell which
//! thread made which, and when one ends, by the mutex that each has for its own: the one is
//! initialized by the maker, destroyed by the thread itself while it still holds the interpreter's
//! lock. The kernel's births say nothing, as an ended thread is given to the next `Thread.new`.
//!
//! Offsets are read from the code of two exported functions, so no version is asked for and
//! stripped builds are no different.

use super::{Found, Way, at_entry_of_c, code_of};
use crate::discovery::elf::Sections;
use crate::discovery::mapping::Mapping;
use crate::discovery::pointers::Pointers;
use crate::discovery::procs::Process;
use crate::discovery::symbols;
use crate::probe::site;
use agent_common::runtime::{FIELDS, NOWHERE, RUBY, ruby};

pub(super) const WAY: Way = Way {
    library: Some(is_library),
    look,
    modules: &[],
    check: None,
};

/// `rb_execution_context_t *ruby_current_ec`, thread-local (CRuby 3.0 and later).
const CONTEXT: &str = "ruby_current_ec";
/// `VALUE rb_thread_current(void)`: `ruby_current_ec->thread_ptr->self`.
const CURRENT: &str = "rb_thread_current";
/// `VALUE rb_thread_wakeup_alive(VALUE thread)`: takes `th->interrupt_lock`, then reads `th->ec`.
const WAKEUP: &str = "rb_thread_wakeup_alive";
const INITIALIZE: &str = "rb_native_mutex_initialize";
const DESTROY: &str = "rb_native_mutex_destroy";

fn is_library(mapping: &Mapping) -> bool {
    let file = mapping.path.rsplit('/').next().unwrap_or_default();
    file.starts_with("libruby")
}

fn look(sections: &Sections, _: &Process) -> Result<Found, String> {
    let names = [CONTEXT, CURRENT, WAKEUP, INITIALIZE, DESTROY];
    let found = symbols::find(sections, &names);
    let symbol = |name: &str| {
        let symbol = found.get(name).copied();
        symbol.ok_or_else(|| format!("it has no symbol {name}"))
    };
    let mut at = [NOWHERE; FIELDS];
    let context = symbol(CONTEXT)?.address;
    let mut addresses: &[usize] = &[];
    match Pointers::of(sections).module {
        Some(module) => {
            (at[ruby::MODULE], at[ruby::CONTEXT]) = (module, context);
            addresses = &[ruby::MODULE];
        }
        // The program itself: its block stands before the thread pointer.
        None => {
            let word = sections.from_thread_pointer(context);
            at[ruby::CONTEXT] = word
                .ok_or("it has no thread-local storage")?
                .cast_unsigned();
        }
    }
    at[ruby::THREAD] = site::last_but_one_load(&code_of(sections, symbol(CURRENT)?))
        .ok_or("its code does not show which thread runs")?;
    let [lock, of_thread] = site::part_then_load(&code_of(sections, symbol(WAKEUP)?))
        .ok_or("its code does not show where a thread has its lock")?;
    (at[ruby::LOCK], at[ruby::OF_THREAD]) = (lock, of_thread);
    let site = |name, program| {
        let site = at_entry_of_c(sections, symbol(name)?, program);
        site.ok_or_else(|| format!("the code of {name} is not in the file"))
    };
    Ok(Found {
        sites: [
            site(INITIALIZE, "ruby_lock_made")?,
            site(DESTROY, "ruby_lock_destroyed")?,
        ]
        .into(),
        addresses,
        ..Found::new(sections, RUBY, at)
    })
}
