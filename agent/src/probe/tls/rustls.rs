//! rustls, which is linked into programs: what its ciphers seal and open records with.
//!
//! Its own way to read and write is inlined in optimised builds. The functions of a cipher are called
//! by a table, so they keep a body of their own, and a name as long as the program keeps its table of
//! symbols: cargo's releases do, unless they are stripped. Those of all versions and providers are
//! alike; where a build has other ones under these names, the kernel side finds nothing.

use super::{Sites, call};
use crate::discovery::elf::Sections;
use crate::discovery::symbols;

/// Names in either mangling of Rust, and which programs go there by version of TLS.
const FUNCTIONS: [Function; 4] = [
    Function {
        mark: "MessageDecrypter$GT$7decrypt17h",
        begins: "_ZN",
        open: true,
    },
    Function {
        mark: "16MessageDecrypter7decrypt",
        begins: "_RNvX",
        open: true,
    },
    Function {
        mark: "MessageEncrypter$GT$7encrypt17h",
        begins: "_ZN",
        open: false,
    },
    Function {
        mark: "16MessageEncrypter7encrypt",
        begins: "_RNvX",
        open: false,
    },
];

/// A function of each cipher.
struct Function {
    /// A part of its name.
    mark: &'static str,
    /// How its name begins: closures within it are named otherwise.
    begins: &'static str,
    /// It opens records.
    open: bool,
}

/// Most functions: two versions, two directions, a few ciphers of a few providers.
const MOST: usize = 64;

/// The programs that go to the function of this name: at its beginning and its return.
fn programs(name: &str) -> Option<(&'static str, &'static str)> {
    let is =
        |function: &&Function| name.starts_with(function.begins) && name.contains(function.mark);
    let function = FUNCTIONS.iter().find(is)?;
    // What else there may be seals nothing.
    let new = match (name.contains("tls13"), name.contains("tls12")) {
        (true, false) => true,
        (false, true) => false,
        _ => return None,
    };
    Some(match (function.open, new) {
        (true, true) => ("rustls_open", "rustls_opened_13"),
        (true, false) => ("rustls_open", "rustls_opened_12"),
        (false, true) => ("rustls_seal", "rustls_sealed_13"),
        (false, false) => ("rustls_seal", "rustls_sealed_12"),
    })
}

/// Where a program's rustls is probed, if it has names.
pub(super) fn look(sections: &Sections) -> Option<Sites> {
    let marks = FUNCTIONS.map(|function| function.mark);
    let mut places = Vec::new();
    for (name, symbol) in symbols::all_containing(sections, &marks, MOST) {
        places.extend(programs(&name).map(|programs| (symbol.address, programs)));
    }
    places.sort_unstable();
    places.dedup();
    // Code that two versions share tells nothing of either.
    let addresses: Vec<u64> = places.iter().map(|(address, _)| *address).collect();
    places.retain(|(address, _)| addresses.iter().filter(|other| *other == address).count() == 1);
    let sites = places
        .iter()
        .filter_map(|(address, (entry, back))| call(sections, *address, entry, back));
    let sites: Vec<_> = sites.flatten().collect();
    (!sites.is_empty()).then(|| Sites {
        name: "rustls".to_owned(),
        sites: sites.into(),
        cookie: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_known_by_their_names() {
        for (name, expected) in [
            (
                "_ZN111_$LT$rustls..crypto..ring..tls13..Tls13MessageDecrypter$u20$as$u20$rustls..crypto..\
                 cipher..MessageDecrypter$GT$7decrypt17h48904f4e3114035eE",
                Some("rustls_opened_13"),
            ),
            (
                "_ZN114_$LT$rustls..crypto..aws_lc_rs..tls12..GcmMessageEncrypter$u20$as$u20$rustls..\
                 crypto..cipher..MessageEncrypter$GT$7encrypt17h2b409661386e27a9E.llvm.8767445927306",
                Some("rustls_sealed_12"),
            ),
            (
                "_RNvXs3_NtNtNtCs7Jd_6rustls6crypto4ring5tls13NtB5_21Tls13MessageEncrypterNtNtB9_6cipher\
                 16MessageEncrypter7encrypt",
                Some("rustls_sealed_13"),
            ),
            // How long a record will be, a closure, and what seals nothing.
            (
                "_ZN111_$LT$rustls..crypto..ring..tls13..Tls13MessageEncrypter$u20$as$u20$rustls..crypto..\
                 cipher..MessageEncrypter$GT$21encrypted_payload_len17h48904f4e3114035eE",
                None,
            ),
            (
                "_RNCNvXs3_NtNtNtCs7Jd_6rustls6crypto4ring5tls13NtB7_21Tls13MessageEncrypterNtNtBb_6cipher\
                 16MessageEncrypter7encrypt0Bb_",
                None,
            ),
            (
                "_ZN108_$LT$rustls..crypto..cipher..InvalidMessageDecrypter$u20$as$u20$rustls..crypto..\
                 cipher..MessageDecrypter$GT$7decrypt17h6b9edc5d60ad0fbbE",
                None,
            ),
            ("", None),
        ] {
            let found = programs(name).map(|(_, back)| back);
            assert_eq!(found, expected, "{name}");
        }
    }
}
