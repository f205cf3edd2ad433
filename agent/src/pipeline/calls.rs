//! Calls of libraries that ask databases, which no connection shows.
//!
//! In: records of their beginnings and ends. Out: requests and answers for the assembly, of which each call
//! has a connection of its own that nobody has seen.

use super::{Pipeline, handler_of, threading};
use crate::protocol::sql::calls::Answered;
use crate::record::{Called, Nanos, Opened, Task};
use std::sync::Arc;

impl Pipeline {
    /// A call begins.
    pub(super) fn called(&mut self, at: Nanos, task: Task, called: &Called<'_>) {
        if self.is_unwatched(task.tgid) {
            return;
        }
        self.counts.captured_bytes += called.statement.len() as u64;
        let (request, over) = self.calls.called(at, task, called);
        self.over(over);
        let Some(request) = request else { return };
        let info = Arc::new(Opened::unseen(called.call, at));
        let caller = handler_of(&request.start);
        let threading = threading(&self.processes, task.tgid, Some(&request));
        self.assembly.asked(&info, request, (caller, at), threading);
    }

    /// These calls are over.
    pub(super) fn over(&mut self, calls: Vec<Answered>) {
        for (call, answer) in calls {
            self.assembly.answered(call, answer);
        }
    }
}
