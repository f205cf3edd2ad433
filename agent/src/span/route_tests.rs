use super::*;

const LIMITS: Limits = Limits {
    words: 3,
    first: 4,
    depth: 4,
    routes: 8,
    services: 2,
};

/// Asks for every path in order and compares the routes.
fn check(paths: &[(&str, &str)]) {
    let mut routes = Routes::new(LIMITS);
    for (path, expected) in paths {
        assert_eq!(
            routes.route("s", path).as_deref(),
            Some(*expected),
            "{path}"
        );
    }
}

#[test]
fn words_stay_and_values_go() {
    check(&[
        ("/", "/"),
        ("", "/"),
        ("/a/b/", "/a/b"),
        ("//a//b", "/a/b"),
        ("/a;v=1/7", "/a/{id}"),
        ("/a/8/c", "/a/{id}/c"),
        ("/a/b/c/d/e/f", "/a/b/c/d/*"),
    ]);
}

#[test]
fn too_many_words_are_values() {
    check(&[
        ("/process/alice", "/process/alice"),
        ("/process/bob", "/process/bob"),
        ("/process/carol", "/process/carol"),
        ("/process/alice", "/process/alice"),
        ("/process/dave", "/process/{name}"),
        ("/process/alice", "/process/{name}"),
        ("/process/7", "/process/{id}"),
        ("/other/alice", "/other/alice"),
    ]);
}

#[test]
fn what_stands_below_values_is_joined() {
    check(&[
        ("/u/a/x", "/u/a/x"),
        ("/u/b/y", "/u/b/y"),
        ("/u/c/z", "/u/c/z"),
        ("/u/d/x", "/u/{name}/x"),
        ("/u/e/y", "/u/{name}/y"),
        ("/u/e/w", "/u/{name}/{name}"),
    ]);
}

#[test]
fn the_first_segment_may_have_more_words() {
    check(&[
        ("/a", "/a"),
        ("/b", "/b"),
        ("/c", "/c"),
        ("/d", "/d"),
        ("/e", "/{name}"),
    ]);
}

#[test]
fn routes_are_bounded() {
    let mut routes = Routes::new(LIMITS);
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..4000_usize {
        // Words only, so that nothing is replaced by its form.
        let word = |shift: usize| char::from(b'a' + u8::try_from(number / shift % 26).unwrap_or(0));
        let path = format!("/{}/x{}/{}", ["p", "q", "r"][number % 3], word(1), word(7));
        seen.extend(routes.route("s", &path));
    }
    // Those given before places became values count, too.
    assert!(seen.len() <= 3 * LIMITS.routes, "{seen:?}");
    assert!(routes.services["s"].root.routes() <= LIMITS.routes);
}

#[test]
fn beyond_the_bound_all_is_one_route() {
    let mut routes = Routes::new(Limits {
        routes: 2,
        ..LIMITS
    });
    let mut check = |path: &str, expected: &str| {
        assert_eq!(routes.route("s", path).as_deref(), Some(expected), "{path}");
    };
    check("/a", "/a");
    check("/b", "/b");
    check("/c", "*");
    check("/a/b", "*");
    check("/a", "/a");
}

#[test]
fn services_are_apart_and_bounded() {
    let mut routes = Routes::new(LIMITS);
    assert_eq!(routes.route("one", "/a").as_deref(), Some("/a"));
    assert_eq!(routes.known("one", "/a").as_deref(), Some("/a"));
    assert_eq!(routes.known("one", "/b"), None);
    assert_eq!(routes.known("two", "/a"), None);
    assert_eq!(routes.route("two", "/a").as_deref(), Some("/a"));
    assert_eq!(routes.route("three", "/a"), None);
    routes.forget("one");
    assert_eq!(routes.route("three", "/a").as_deref(), Some("/a"));
}

proptest::proptest! {
    /// A route that was given is given again for itself, and nothing grows beyond the limits.
    #[test]
    fn bounds_hold(paths in proptest::collection::vec("(/[a-f0-9{]{0,3}){0,6}", 0..200)) {
        let mut routes = Routes::new(LIMITS);
        for path in &paths {
            let first = routes.route("s", path);
            assert_eq!(routes.route("s", path), first);
            assert!(routes.services["s"].routes <= LIMITS.routes);
            assert_eq!(routes.services["s"].routes, routes.services["s"].root.routes());
        }
    }
}
