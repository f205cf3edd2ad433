//! Colours: one per service, the same in every run.

use std::fmt::Display;

/// Writes with ANSI colours, or without.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    pub(super) color: bool,
}

/// Colours that are readable on dark and light grounds, red left to errors.
const SERVICES: [u8; 12] = [33, 35, 36, 34, 32, 94, 95, 96, 92, 93, 90, 37];

impl Palette {
    pub(super) fn service(self, name: &str, text: impl Display) -> String {
        // FNV-1a: stable over runs and machines, unlike std's hashes.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let index = usize::try_from(hash % SERVICES.len() as u64).unwrap_or(0);
        self.paint(SERVICES.get(index).copied().unwrap_or(36), text)
    }

    pub(super) fn bad(self, text: impl Display) -> String {
        self.paint(31, text)
    }

    pub(super) fn bold(self, text: impl Display) -> String {
        self.paint(1, text)
    }

    pub(super) fn dim(self, text: impl Display) -> String {
        self.paint(2, text)
    }

    fn paint(self, code: u8, text: impl Display) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}
