//! One trace as a tree: a row per span, columns aligned, a bar where there is room.

use super::clean::{clean, columns, pad};
use super::{Palette, Style};
use crate::protocol::exchange::{Role, Value};
use crate::semconv;
use crate::span::{Span, SpanId, Status};
use std::collections::{HashMap, HashSet};

/// Deepest indentation; deeper spans are drawn at that depth.
const DEPTH: usize = 12;

/// Most rows of one trace; the others are counted in a last line.
const ROWS: usize = 200;

/// Narrowest bar worth drawing, and widest.
const BAR: std::ops::RangeInclusive<usize> = 8..=40;

struct Row<'a> {
    span: &'a Span,
    /// Branches before it, as drawn.
    branches: String,
    service: String,
    name: String,
    status: String,
    time: String,
    evidence: &'static str,
}

/// Draws one trace; every line ends with a line feed.
#[must_use]
pub fn render(spans: &[&Span], style: Style) -> String {
    let palette = Palette { color: style.color };
    let known: HashSet<SpanId> = spans.iter().map(|span| span.id).collect();
    let (order, orphans) = arrange(spans, &known);
    let rows: Vec<_> = order
        .iter()
        .take(ROWS)
        .map(|(span, branches)| row(span, branches, &known, style.width))
        .collect();
    let mut text = head(spans, orphans, palette);
    let widths = Widths::of(&rows, style.width);
    let window = Window::of(spans);
    for row in &rows {
        text.push_str(&line(row, &widths, &window, palette));
    }
    let left_out = order.len().saturating_sub(rows.len());
    if left_out > 0 {
        text.push_str(&palette.dim(format!("   … and {left_out} more spans")));
        text.push('\n');
    }
    text
}

fn head(spans: &[&Span], orphans: usize, palette: Palette) -> String {
    let id = spans.first().map(|span| span.trace.to_string());
    let id: String = id.unwrap_or_default().chars().take(8).collect();
    let window = Window::of(spans);
    let failed = spans.iter().filter(|span| failed(span)).count();
    let plural = if spans.len() == 1 { "" } else { "s" };
    let mut facts = format!(
        " · {} span{plural} · {}",
        spans.len(),
        duration(window.end - window.start)
    );
    if orphans > 0 {
        let plural = if orphans == 1 { "" } else { "s" };
        facts.push_str(&format!(" · {orphans} missing parent{plural}"));
    }
    let mark = if failed > 0 {
        format!(" · {}", palette.bad("error"))
    } else {
        String::new()
    };
    format!("{}{}{mark}\n", palette.bold(format!("trace {id}")), facts)
}

/// Spans in drawing order with their branches, and how many had a parent that is not here.
fn arrange<'a>(spans: &[&'a Span], known: &HashSet<SpanId>) -> (Vec<(&'a Span, String)>, usize) {
    let mut children: HashMap<SpanId, Vec<&Span>> = HashMap::new();
    let mut roots = Vec::new();
    for span in spans {
        match span.parent {
            Some(parent) if known.contains(&parent.id) && parent.id != span.id => {
                children.entry(parent.id).or_default().push(span);
            }
            _ => roots.push(*span),
        }
    }
    let missing = |span: &&&Span| span.parent.is_some_and(|parent| !parent.remote);
    let orphans = roots.iter().filter(missing).count();
    let mut drawing = Drawing {
        children,
        order: Vec::new(),
        seen: HashSet::new(),
    };
    drawing.walk(roots);
    // Parents in a circle have no root; hostile headers can make some.
    for span in spans {
        if !drawing.seen.contains(&span.id) {
            drawing.walk(vec![span]);
        }
    }
    (drawing.order, orphans)
}

struct Drawing<'a> {
    children: HashMap<SpanId, Vec<&'a Span>>,
    order: Vec<(&'a Span, String)>,
    seen: HashSet<SpanId>,
}

impl<'a> Drawing<'a> {
    /// Depth first with a stack of its own: traces may be deeper than the thread's.
    fn walk(&mut self, roots: Vec<&'a Span>) {
        let mut stack: Vec<(&Span, String, bool)> = Vec::new();
        push(&mut stack, roots, "");
        while let Some((span, before, last)) = stack.pop() {
            if !self.seen.insert(span.id) {
                continue;
            }
            let branch = if last { "└─ " } else { "├─ " };
            self.order.push((span, format!("{before}{branch}")));
            let below = if last { "   " } else { "│  " };
            let deeper = if columns(&before) < 3 * DEPTH {
                format!("{before}{below}")
            } else {
                before
            };
            let children = self.children.remove(&span.id).unwrap_or_default();
            push(&mut stack, children, &deeper);
        }
    }
}

/// Puts siblings on the stack so that they come off by their start.
fn push<'a>(stack: &mut Vec<(&'a Span, String, bool)>, mut spans: Vec<&'a Span>, before: &str) {
    spans.sort_by_key(|span| (span.start, span.id));
    let last = spans.len().saturating_sub(1);
    let siblings = spans.into_iter().enumerate().rev();
    stack.extend(siblings.map(|(index, span)| (span, before.to_owned(), index == last)));
}

/// How the parent is known; or that it is not here although it should be.
fn evidence(span: &Span, known: &HashSet<SpanId>) -> &'static str {
    match span.parent {
        None => "",
        Some(parent) if parent.remote || known.contains(&parent.id) => parent.evidence.as_str(),
        Some(_) => "parent missing",
    }
}

fn row<'a>(span: &'a Span, branches: &str, known: &HashSet<SpanId>, width: usize) -> Row<'a> {
    let status = attribute(span, semconv::HTTP_RESPONSE_STATUS_CODE)
        .or_else(|| attribute(span, semconv::ERROR_TYPE))
        .unwrap_or_default();
    let (most_name, most_service) = (width * 2 / 5, width / 5);
    Row {
        span,
        branches: branches.to_owned(),
        service: clean(&span.service.name, most_service),
        name: clean(&name(span), most_name),
        status: clean(&status, 12),
        time: duration(span.end.saturating_sub(span.start)),
        evidence: evidence(span, known),
    }
}

/// The span's name with what it acted on, the path as it was asked for.
fn name(span: &Span) -> String {
    let verb = span
        .name
        .split_once(' ')
        .map_or(span.name.as_str(), |(verb, _)| verb);
    let target = match span.role {
        Role::Server => attribute(span, semconv::URL_PATH),
        Role::Client => attribute(span, semconv::URL_FULL)
            .map(|full| short(&full).to_owned())
            .or_else(|| attribute(span, semconv::URL_PATH)),
    };
    match target {
        Some(target) => format!("{verb} {target}"),
        None => span.name.clone(),
    }
}

/// A URL without its scheme, and without the host when it is this one.
fn short(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let local = ["localhost", "127.0.0.1", "[::1]"];
    let without = local.iter().find_map(|host| rest.strip_prefix(host));
    without
        .filter(|rest| rest.starts_with([':', '/']))
        .unwrap_or(rest)
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let attribute = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key)?;
    match &attribute.value {
        // What is shown is cut at the terminal's width: no need to copy more.
        Value::Text(text) => Some(text.chars().take(300).collect()),
        Value::Int(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::List(_) => None,
    }
}

fn failed(span: &Span) -> bool {
    span.status == Status::Error
}

/// The columns, each as wide as its widest cell.
struct Widths {
    tree: usize,
    service: usize,
    name: usize,
    status: usize,
    time: usize,
    evidence: usize,
    /// 0: no room for bars.
    bar: usize,
}

impl Widths {
    fn of(rows: &[Row<'_>], width: usize) -> Self {
        let widest = |cell: &dyn Fn(&Row<'_>) -> usize| rows.iter().map(cell).max().unwrap_or(0);
        let mut widths = Self {
            tree: widest(&|row| columns(&row.branches)) + 6,
            service: widest(&|row| columns(&row.service)),
            name: widest(&|row| columns(&row.name)),
            status: widest(&|row| columns(&row.status)),
            time: widest(&|row| columns(&row.time)),
            evidence: widest(&|row| row.evidence.len()),
            bar: 0,
        };
        widths.fit(width);
        widths
    }

    /// Gives what is left to the bars; what is missing is taken from evidence, names, services.
    fn fit(&mut self, width: usize) {
        if self.taken() > width {
            self.evidence = 0;
        }
        let excess = self.taken().saturating_sub(width);
        let from_name = excess.min(self.name.saturating_sub(10));
        self.name -= from_name;
        let from_service = (excess - from_name).min(self.service.saturating_sub(6));
        self.service -= from_service;
        self.tree = self.tree.saturating_sub(excess - from_name - from_service);
        let left = width.saturating_sub(self.taken() + 2);
        if left >= *BAR.start() {
            self.bar = left.min(*BAR.end());
        }
    }

    fn taken(&self) -> usize {
        let gap = |column: usize| if column > 0 { column + 2 } else { 0 };
        self.tree
            + 1
            + self.service
            + 2
            + self.name
            + gap(self.status)
            + gap(self.time)
            + gap(self.evidence)
    }
}

fn line(row: &Row<'_>, widths: &Widths, window: &Window, palette: Palette) -> String {
    let kind = match row.span.role {
        Role::Server => "SERVER",
        Role::Client => "CLIENT",
    };
    let tree = clean(&format!("{}{kind}", row.branches), widths.tree);
    let service = pad(&clean(&row.service, widths.service), widths.service);
    let name = pad(&clean(&row.name, widths.name), widths.name);
    let bad = failed(row.span);
    let mark = |text: String| if bad { palette.bad(text) } else { text };
    let mut line = format!(
        "{} {}  {}",
        pad(&tree, widths.tree),
        palette.service(&row.span.service.name, service),
        mark(name)
    );
    if widths.status > 0 {
        line.push_str(&format!("  {}", mark(pad(&row.status, widths.status))));
    }
    let missing = widths.time.saturating_sub(columns(&row.time));
    line.push_str(&format!(
        "  {}{}",
        " ".repeat(missing),
        palette.bold(&row.time)
    ));
    if widths.bar > 0 {
        let bar = window.bar(row.span, widths.bar);
        line.push_str(&format!(
            "  {}",
            palette.service(&row.span.service.name, bar)
        ));
    }
    if widths.evidence > 0 && !row.evidence.is_empty() {
        line.push_str(&format!("  {}", palette.dim(row.evidence)));
    }
    let kept = line.trim_end().len();
    line.truncate(kept);
    line.push('\n');
    line
}

/// The time from the first start to the last end.
struct Window {
    start: u64,
    end: u64,
}

impl Window {
    fn of(spans: &[&Span]) -> Self {
        let start = spans.iter().map(|span| span.start).min().unwrap_or(0);
        let end = spans.iter().map(|span| span.end).max().unwrap_or(0);
        Self {
            start,
            end: end.max(start),
        }
    }

    /// Where the span lies in the window, as a bar of exactly `width` columns.
    fn bar(&self, span: &Span, width: usize) -> String {
        let column = |at: u64| {
            let all = u128::from(self.end - self.start).max(1);
            let at = u128::from(at.clamp(self.start, self.end) - self.start);
            usize::try_from(at * width as u128 / all).unwrap_or(0)
        };
        let first = column(span.start).min(width.saturating_sub(1));
        let last = column(span.end).clamp(first + 1, width.max(first + 1));
        pad(
            &format!("{}{}", " ".repeat(first), "█".repeat(last - first)),
            width,
        )
    }
}

/// Three digits are enough to compare.
fn duration(nanos: u64) -> String {
    let value = nanos as f64;
    match nanos {
        0..1_000_000 => format!("{:.0} µs", value / 1e3),
        1_000_000..100_000_000 => format!("{:.1} ms", value / 1e6),
        100_000_000..1_000_000_000 => format!("{:.0} ms", value / 1e6),
        1_000_000_000..60_000_000_000 => format!("{:.2} s", value / 1e9),
        _ => format!("{:.0} s", value / 1e9),
    }
}
