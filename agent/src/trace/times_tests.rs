//! Times of both ends of a connection.

use super::*;

#[test]
fn causality_corrects_times() {
    // Client's start and end, server's start and end: before and after.
    for (before, after) in [
        ([10, 50, 20, 40], [10, 50, 20, 40]),
        // The server read before the client's hook told of the sending.
        ([25, 50, 20, 40], [20, 50, 20, 40]),
        // The server's hook told of the answer after the client had it.
        ([10, 50, 20, 60], [10, 50, 20, 50]),
        ([25, 50, 20, 60], [20, 50, 20, 50]),
        // A client that gave up before the server began.
        ([10, 15, 20, 40], [10, 15, 20, 20]),
    ] {
        let [mut a, mut b, mut c, mut d] = before;
        tighten((&mut a, &mut b), (&mut c, &mut d));
        assert_eq!([a, b, c, d], after, "{before:?}");
    }
}
