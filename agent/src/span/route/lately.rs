//! Routes that were told lately.
//!
//! In: services and paths with the routes that they were given. Out: the same again, without
//! taking the path apart, as long as nothing was learnt meanwhile. Most services are asked for few
//! paths most of the time.

use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hasher};

/// Places; a path that falls on another's takes it.
const PLACES: usize = 128;
/// Longest service and path together that are kept, bytes: 20 KiB in all.
const LONGEST: usize = 160;

/// What was told of one path.
#[derive(Debug)]
struct Told {
    /// Service and path, one behind the other.
    asked: Box<str>,
    /// Where the path begins.
    path: usize,
    route: Box<str>,
}

/// The latest routes.
#[derive(Debug, Default)]
pub(super) struct Lately {
    places: Vec<Option<Told>>,
}

impl Lately {
    /// The route that `path` of `service` was given.
    #[must_use]
    pub(super) fn find(&self, service: &str, path: &str) -> Option<&str> {
        let told = self.places.get(place(service, path))?.as_ref()?;
        let (of, asked) = told.asked.split_at_checked(told.path)?;
        (asked == path && of == service).then_some(&*told.route)
    }

    /// `path` of `service` was given `route`.
    pub(super) fn keep(&mut self, service: &str, path: &str, route: &str) {
        if service.len() + path.len() > LONGEST {
            return;
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        if let Some(found) = self.places.get_mut(place(service, path)) {
            *found = Some(Told {
                asked: [service, path].concat().into(),
                path: service.len(),
                route: route.into(),
            });
        }
    }

    /// Something was learnt: routes may be others from now on.
    pub(super) fn clear(&mut self) {
        self.places.clear();
    }
}

fn place(service: &str, path: &str) -> usize {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(service.as_bytes());
    hasher.write(path.as_bytes());
    hasher.finish() as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_service_and_path_are_found() {
        let mut lately = Lately::default();
        lately.keep("ab", "/c", "/route");
        assert_eq!(lately.find("ab", "/c"), Some("/route"));
        assert_eq!(lately.find("a", "b/c"), None);
        assert_eq!(lately.find("ab", "/d"), None);
        lately.clear();
        assert_eq!(lately.find("ab", "/c"), None);
    }

    #[test]
    fn what_is_long_is_not_kept() {
        let mut lately = Lately::default();
        let long = "/x".repeat(LONGEST);
        lately.keep("s", &long, "/{name}");
        assert_eq!(lately.find("s", &long), None);
    }
}
