//! The Huffman code of HPACK (RFC 7541, 5.2 and appendix B).
//!
//! In: coded bytes. Out: bytes, one at a time, so that what is not kept needs no memory.
//!
//! The code is canonical: within a length, codes count up in the order of the symbols, and each
//! length goes on where the shorter one ended. So the lengths alone tell it.

/// Symbols: the bytes, and the end of the string.
const SYMBOLS: usize = 257;
/// The end of the string, which may not be coded.
const END: u16 = 256;
/// Longest code, bits.
const LONGEST: usize = 30;
/// Codes of so many bits are found by one look.
const SHORT: usize = 9;

/// Length of each symbol's code, bits.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// What the lengths tell, worked out by the compiler.
struct Code {
    /// Symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
    /// By length: where its first symbol stands among them, its first code, and the code behind
    /// its last.
    places: [u16; LONGEST + 1],
    firsts: [u32; LONGEST + 1],
    ends: [u32; LONGEST + 1],
    /// By the next bits: symbol and length of a short code; length 0 for a longer one.
    short: [(u8, u8); 1 << SHORT],
}

static CODE: Code = code();

const fn code() -> Code {
    let mut all = Code {
        symbols: [0; SYMBOLS],
        places: [0; LONGEST + 1],
        firsts: [0; LONGEST + 1],
        ends: [0; LONGEST + 1],
        short: [(0, 0); 1 << SHORT],
    };
    let (mut length, mut next, mut place) = (1, 0, 0);
    while length <= LONGEST {
        next <<= 1;
        all.firsts[length] = next;
        all.places[length] = place as u16;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                all.symbols[place] = symbol as u16;
                if length <= SHORT {
                    let spare = SHORT - length;
                    let mut low = 0;
                    while low < 1 << spare {
                        let bits = ((next as usize) << spare) | low;
                        all.short[bits] = (symbol as u8, length as u8);
                        low += 1;
                    }
                }
                place += 1;
                next += 1;
            }
            symbol += 1;
        }
        all.ends[length] = next;
        length += 1;
    }
    all
}

/// Decodes `coded`, giving each byte to `take`. False if it is no valid code.
pub(super) fn decode(coded: &[u8], mut take: impl FnMut(u8)) -> bool {
    // Bits not yet decoded stand at the top of `window`.
    let (mut window, mut held) = (0_u64, 0_usize);
    let mut rest = coded.iter();
    loop {
        while held <= 56
            && let Some(byte) = rest.next()
        {
            window |= u64::from(*byte) << (56 - held);
            held += 8;
        }
        if held == 0 {
            return true;
        }
        let short = CODE.short.get((window >> (64 - SHORT)) as usize);
        let (symbol, length) = match short {
            Some((symbol, length)) if *length > 0 => (*symbol, usize::from(*length)),
            _ => match long(window) {
                Some(found) => found,
                None => return is_padding(window, held),
            },
        };
        if length > held {
            return is_padding(window, held);
        }
        take(symbol);
        window <<= length;
        held -= length;
    }
}

/// A code longer than the short ones.
fn long(window: u64) -> Option<(u8, usize)> {
    for length in SHORT + 1..=LONGEST {
        let bits = (window >> (64 - length)) as u32;
        let (first, end) = (*CODE.firsts.get(length)?, *CODE.ends.get(length)?);
        if (first..end).contains(&bits) {
            let place = usize::from(*CODE.places.get(length)?) + (bits - first) as usize;
            let symbol = *CODE.symbols.get(place)?;
            // The end of the string is no byte.
            return (symbol != END).then_some((symbol as u8, length));
        }
    }
    None
}

/// Less than a byte of ones fills the last byte.
const fn is_padding(window: u64, held: usize) -> bool {
    held < 8 && window >> (64 - held) == (1 << held) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(coded: &[u8], expected: Option<&[u8]>) {
        let mut out = Vec::new();
        let valid = decode(coded, |byte| out.push(byte));
        assert_eq!(valid.then_some(&out[..]), expected, "{coded:x?}");
    }

    #[test]
    fn the_examples_of_the_standard() {
        check(
            &[
                0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
            ],
            Some(b"www.example.com"),
        );
        check(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], Some(b"no-cache"));
        check(&[0x64, 0x02], Some(b"302"));
        check(&[], Some(b""));
    }

    #[test]
    fn faults() {
        // Padding of a whole byte, of zeros, and the end of the string as a code.
        check(&[0xff], None);
        check(&[0x64, 0x02, 0xff], None);
        check(&[0x00, 0x00], None);
        check(&[0xff, 0xff, 0xff, 0xff], None);
    }

    #[test]
    fn every_byte_has_its_code() {
        for length in 1..=LONGEST {
            for code in CODE.firsts[length]..CODE.ends[length] {
                let place =
                    usize::from(CODE.places[length]) + (code - CODE.firsts[length]) as usize;
                let symbol = CODE.symbols[place];
                if symbol == END {
                    continue;
                }
                // The code, then ones up to the next byte.
                let spare = length.div_ceil(8) * 8 - length;
                let bits = (u64::from(code) << spare) | ((1 << spare) - 1);
                let bytes = bits.to_be_bytes();
                check(&bytes[8 - length.div_ceil(8)..], Some(&[symbol as u8]));
            }
        }
    }
}
