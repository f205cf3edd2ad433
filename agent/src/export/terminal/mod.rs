//! The terminal: each finished trace as a tree.
//!
//! In: batches, each a complete trace. Out: lines of bounded width. Not here: OTLP. What comes
//! from the network is cleaned of control characters before it is shown.

mod clean;
mod palette;
mod tree;

use crate::export::{Delivery, Exporter, Failure, Work};
use palette::Palette;
use std::io::{self, BufWriter, IsTerminal, Write};
pub use tree::render;

/// Width where none can be found out.
pub const WIDTH: usize = 100;

/// How traces are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns at most.
    pub width: usize,
    /// With ANSI colours.
    pub color: bool,
}

impl Style {
    /// The style for standard output: colours as wanted, or on a terminal without `NO_COLOR`.
    #[must_use]
    pub fn of_stdout(color: crate::config::Color) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let terminal = io::stdout().is_terminal();
        Self {
            width: width().unwrap_or(WIDTH).clamp(40, 200),
            color: match color {
                crate::config::Color::Always => true,
                crate::config::Color::Never => false,
                crate::config::Color::Auto => terminal && !no_color,
            },
        }
    }
}

/// Columns of the terminal.
fn width() -> Option<usize> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size()?;
    Some(usize::from(columns))
}

/// Exporter that prints traces.
pub struct Terminal<W: Write> {
    out: BufWriter<W>,
    style: Style,
}

impl Terminal<io::Stdout> {
    /// Prints to standard output.
    #[must_use]
    pub fn stdout(color: crate::config::Color) -> Self {
        Self::new(io::stdout(), Style::of_stdout(color))
    }
}

impl<W: Write> Terminal<W> {
    /// Prints to `out`.
    pub fn new(out: W, style: Style) -> Self {
        Self {
            out: BufWriter::new(out),
            style,
        }
    }

    fn print(&mut self, work: &mut Work) -> Result<(), Failure> {
        let mut text = String::new();
        for trace in traces(work) {
            text.push_str(&render(&trace, self.style));
            text.push('\n');
        }
        let written = self.out.write_all(text.as_bytes());
        match written.and_then(|()| self.out.flush()) {
            Ok(()) => {
                work.delivered = work.len();
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Closed),
            Err(error) => Err(Failure::Final(format!("standard output: {error}"))),
        }
    }
}

/// The spans of each trace, in the order in which the traces came.
fn traces(work: &Work) -> Vec<Vec<&crate::span::Span>> {
    let mut order = std::collections::HashMap::new();
    let mut traces: Vec<Vec<&crate::span::Span>> = Vec::new();
    for span in work.spans() {
        let index = *order.entry(span.trace).or_insert(traces.len());
        match traces.get_mut(index) {
            Some(trace) => trace.push(span),
            None => traces.push(vec![span]),
        }
    }
    traces
}

impl<W: Write + Send> Exporter for Terminal<W> {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn export<'a>(&'a mut self, work: &'a mut Work) -> Delivery<'a> {
        Box::pin(async { self.print(work) })
    }
}

#[cfg(test)]
mod tests;
