use super::*;

fn frame(len: u8, kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, len, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn frames_at_the_start_of_a_call() {
    let window = frame(4, 8, 0, 0, &[0, 0, 16, 0]);
    let get = frame(3, 1, 5, 3, &[0x82, 0x86, 0x84]);
    let answer = frame(1, 1, 5, 3, &[0x88]);
    let known = frame(4, 1, 5, 5, &[0xbf, 0x83, 0x86, 0x84]);
    let padded = frame(10, 1, 0x2d, 7, &[1, 0, 0, 0, 0, 9, 0x83, 0x86, 0x84, 0]);
    for (bytes, expected) in [
        (get.clone(), Start::Request),
        ([&window[..], &get].concat(), Start::Request),
        (known, Start::Request),
        (padded, Start::Request),
        (window.clone(), Start::Frames),
        (answer, Start::Frames),
        (Vec::new(), Start::Frames),
        (get[..7].to_vec(), Start::Frames),
        // What follows is no frame, a frame of no stream, of a server's, too long, reserved bit.
        ([&get[..], b"GET / HTTP/1.1"].concat(), Start::No),
        (frame(3, 0, 0, 0, b"abc"), Start::No),
        (frame(3, 1, 5, 2, &[0x82]), Start::No),
        (vec![1, 0, 0, 0, 0, 0, 0, 0, 1], Start::No),
        (vec![0, 0, 3, 1, 5, 0x80, 0, 0, 1], Start::No),
        (frame(7, 6, 0, 0, b"short!!"), Start::No),
        (frame(4, 8, 1, 0, &[0; 4]), Start::No),
        (frame(1, 12, 0, 0, b"x"), Start::No),
        (b"GET / HTTP/1.1\r\n".to_vec(), Start::No),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(), Start::No),
    ] {
        assert_eq!(walk(&bytes), expected, "{}", bytes.escape_ascii());
    }
}
