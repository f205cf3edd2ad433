//! Route guessing with a bound.
//!
//! In: a service and a path it was asked for. Out: a path of low cardinality. Two rules:
//!
//! 1. **By form**: a segment that looks like a value (number, UUID, hash, date, mail address,
//!    long token) becomes a placeholder at once.
//! 2. **By number**: other segments are words, and stay: `/process/alice` is `/process/alice`.
//!    When one place has had more than [`Limits::words`] different words, it holds values, and
//!    all of them become `{name}`: `/process/{name}`. A word seen before that keeps the route
//!    that it was given then. The first segment, where the resources of a service stand, may
//!    have more ([`Limits::first`]).
//!
//! Decided so because a wrong placeholder hides a service's few real routes for good, while a
//! wrong word is seen ten times and then gone. A service has at most [`Limits::routes`] routes;
//! a new one beyond is `*`. Memory is bounded by that and by [`Limits::depth`].

mod form;
mod lately;

use foldhash::{HashMap, HashMapExt};
use form::form;
use lately::Lately;
use std::collections::BTreeMap;

/// The route of everything that came when a service had too many.
pub const ANY: &str = "*";

/// Placeholder of a place that holds values.
const NAME: &str = "{name}";

/// Bounds of what is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Different words in one place.
    pub words: usize,
    /// Different words in the first segment.
    pub first: usize,
    /// Segments that are told apart; deeper ones are `*`.
    pub depth: usize,
    /// Routes of one service.
    pub routes: usize,
    /// Services.
    pub services: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            words: 10,
            first: 30,
            depth: 8,
            routes: 100,
            services: 1000,
        }
    }
}

/// The routes seen so far.
#[derive(Debug)]
pub struct Routes {
    limits: Limits,
    services: HashMap<String, Tree>,
    lately: Lately,
}

/// The routes of one service.
#[derive(Debug, Default)]
struct Tree {
    root: Node,
    routes: usize,
}

/// One place in the paths of a service.
#[derive(Debug, Default)]
struct Node {
    children: BTreeMap<String, Node>,
    /// Children that are words.
    words: usize,
    /// Too many words were seen here: all are `{name}`.
    values: bool,
    /// A route ends here.
    ends: bool,
}

impl Routes {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            services: HashMap::new(),
            lately: Lately::default(),
        }
    }

    /// The route of a path, learning from it. None if there are too many services.
    pub fn route(&mut self, service: &str, path: &str) -> Option<String> {
        if let Some(route) = self.lately.find(service, path) {
            return Some(route.to_owned());
        }
        let segments = segments(path, self.limits.depth);
        if !self.services.contains_key(service) {
            if self.services.len() >= self.limits.services {
                return None;
            }
            self.services.insert(service.to_owned(), Tree::default());
        }
        let tree = self.services.get_mut(service)?;
        let (route, learnt) = tree.learn(&segments, &self.limits);
        if learnt {
            self.lately.clear();
        }
        self.lately.keep(service, path, &route);
        Some(route)
    }

    /// The route of a path if it was seen before: for paths that the service does not know, which
    /// anyone may make up.
    #[must_use]
    pub fn known(&self, service: &str, path: &str) -> Option<String> {
        let segments = segments(path, self.limits.depth);
        let (route, ends) = self.services.get(service)?.walk(&segments)?;
        ends.then_some(route)
    }

    /// Forgets a service that is gone.
    pub fn forget(&mut self, service: &str) {
        self.services.remove(service);
        self.lately.clear();
    }
}

impl Tree {
    /// The route of the segments, and whether anything was learnt from them.
    fn learn(&mut self, segments: &[&str], limits: &Limits) -> (String, bool) {
        let general = self.root.generalise(segments, 0, limits);
        if general {
            self.routes = self.root.routes();
        }
        match self.walk(segments) {
            Some((route, true)) => (route, general),
            _ if self.routes >= limits.routes => (ANY.to_owned(), general),
            _ => {
                self.routes = self.routes.saturating_add(1);
                (self.root.insert(segments), true)
            }
        }
    }

    /// The route of the segments and whether it is one, as far as the tree knows them.
    fn walk(&self, segments: &[&str]) -> Option<(String, bool)> {
        let mut node = &self.root;
        let length = segments.iter().map(|segment| segment.len() + 1).sum();
        let mut route = String::with_capacity(length);
        for segment in segments {
            let (key, child) = node.children.get_key_value(node.key(segment))?;
            push(&mut route, key);
            node = child;
        }
        Some((rooted(route), node.ends))
    }
}

impl Node {
    /// Under which key a segment stands here.
    fn key<'a>(&self, segment: &'a str) -> &'a str {
        if self.values && !is_placeholder(segment) {
            NAME
        } else {
            segment
        }
    }

    /// Makes places on the way of `segments` hold values where a word more would be too many.
    /// True if anything changed.
    fn generalise(&mut self, segments: &[&str], depth: usize, limits: &Limits) -> bool {
        let Some((segment, rest)) = segments.split_first() else {
            return false;
        };
        let new = !is_placeholder(segment) && !self.children.contains_key(self.key(segment));
        let mut changed = false;
        if new && !self.values && self.words >= limits.words_at(depth) {
            self.merge_words(depth, limits);
            changed = true;
        }
        let key = self.key(segment);
        match self.children.get_mut(key) {
            Some(child) => child.generalise(rest, depth + 1, limits) | changed,
            None => changed,
        }
    }

    /// All words here become one place.
    fn merge_words(&mut self, depth: usize, limits: &Limits) {
        self.values = true;
        self.words = 0;
        let (words, rest): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.children)
            .into_iter()
            .partition(|(segment, _)| !is_placeholder(segment));
        self.children = rest;
        let merged = self.children.entry(NAME.to_owned()).or_default();
        for child in words.into_values() {
            merged.merge(child, depth + 1, limits);
        }
    }

    fn merge(&mut self, other: Self, depth: usize, limits: &Limits) {
        self.ends |= other.ends;
        if other.values && !self.values {
            self.merge_words(depth, limits);
        }
        for (segment, child) in other.children {
            let key = self.key(&segment);
            if !self.children.contains_key(key) && !is_placeholder(key) {
                self.words = self.words.saturating_add(1);
            }
            let key = key.to_owned();
            self.children
                .entry(key)
                .or_default()
                .merge(child, depth + 1, limits);
        }
        if self.words > limits.words_at(depth) {
            self.merge_words(depth, limits);
        }
    }

    fn insert(&mut self, segments: &[&str]) -> String {
        let mut node = self;
        let mut route = String::new();
        for segment in segments {
            let key = node.key(segment);
            push(&mut route, key);
            if !node.children.contains_key(key) && !is_placeholder(key) {
                node.words = node.words.saturating_add(1);
            }
            node = node.children.entry(key.to_owned()).or_default();
        }
        node.ends = true;
        rooted(route)
    }

    fn routes(&self) -> usize {
        usize::from(self.ends) + self.children.values().map(Self::routes).sum::<usize>()
    }
}

impl Limits {
    const fn words_at(&self, depth: usize) -> usize {
        if depth == 0 { self.first } else { self.words }
    }
}

/// The segments of a path, values by their form already replaced. Empty ones and matrix
/// parameters are left out: they make no other route.
fn segments(path: &str, depth: usize) -> Vec<&str> {
    let mut all = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| segment.split(';').next().unwrap_or(segment))
        .filter(|segment| !segment.is_empty());
    let mut segments: Vec<_> = all
        .by_ref()
        .take(depth)
        .map(|segment| form(segment).unwrap_or(segment))
        .collect();
    if all.next().is_some() {
        segments.push(ANY);
    }
    segments
}

fn is_placeholder(segment: &str) -> bool {
    segment == ANY || segment.starts_with('{')
}

fn push(route: &mut String, segment: &str) {
    route.push('/');
    route.push_str(segment);
}

fn rooted(route: String) -> String {
    if route.is_empty() {
        "/".to_owned()
    } else {
        route
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
