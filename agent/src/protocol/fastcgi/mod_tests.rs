use super::*;

#[test]
fn only_the_beginning_of_a_request_is_claimed() {
    let whole = [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for (bytes, expected) in [
        (&whole[..], Verdict::Yes(Role::Server)),
        (&whole[..10], Verdict::More),
        (&[], Verdict::More),
        // Parameters, another version, another length, no such role.
        (&[1, 4, 0, 1, 0, 8, 0, 0, 0, 1, 0], Verdict::No),
        (&[2, 1], Verdict::No),
        (&[1, 1, 0, 1, 0, 9], Verdict::No),
        (&[1, 1, 0, 1, 0, 8, 0, 0, 0, 4, 0], Verdict::No),
        (b"GET / HTTP/1.1\r\n", Verdict::No),
    ] {
        assert_eq!(
            FastCgi.probe(Direction::Received, bytes),
            expected,
            "{bytes:?}"
        );
    }
    let sent = FastCgi.probe(Direction::Sent, &whole);
    assert_eq!(sent, Verdict::Yes(Role::Client));
}
