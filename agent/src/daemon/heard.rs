//! Who is to be looked at because of what it has mapped.
//!
//! In: what the kernel tells of mappings ([`crate::probe::mappings`]). Out: questions to the thread of
//! discovery, one a process and turn, of those that are watched. Not here: the looking.

use super::discover::{Discoverer, Kind, Later};
use crate::probe::mappings::Mappings;
use crate::probe::object::Control;
use crate::probe::tls::names_library;
use std::collections::BTreeMap;

/// What processes map as code, where the kernel tells.
#[derive(Default)]
pub(super) struct Heard {
    mappings: Option<Mappings>,
    /// Some was missed, and nobody knows yet.
    missed: bool,
}

impl Heard {
    /// Listens, and says what becomes of libraries where that cannot be.
    pub(super) fn start(wanted: bool) -> (Self, Later) {
        if !wanted {
            return (Self::default(), Later::Ignored);
        }
        match Mappings::open() {
            Ok(mappings) => {
                let mappings = Some(mappings);
                (
                    Self {
                        mappings,
                        missed: false,
                    },
                    Later::Told,
                )
            }
            Err(error) => {
                tracing::warn!(
                    "the kernel does not tell which libraries processes load ({error}): those of TLS \
                     are looked for every 10 s (`weft check` tells more)"
                );
                (Self::default(), Later::Sought)
            }
        }
    }

    /// Asks `discoverer` to look at those processes that have mapped something, if they are watched.
    pub(super) fn hand_on(&mut self, control: &Control, discoverer: &mut Discoverer) {
        let Some(mappings) = &mut self.mappings else {
            return;
        };
        // One program maps many: it is asked about once.
        let mut mapped: BTreeMap<u32, Kind> = BTreeMap::new();
        self.missed |= !mappings.drain(|file| {
            let kind = mapped.entry(file.tgid).or_insert(Kind::Other);
            if std::str::from_utf8(file.name).is_ok_and(names_library) {
                *kind = Kind::Tls;
            }
        });
        for (tgid, kind) in mapped {
            if control.watches(tgid) {
                self.missed |= !discoverer.mapped(tgid, kind);
            }
        }
        if self.missed {
            self.missed = !discoverer.missed();
        }
    }

    /// Listens where processors have come.
    pub(super) fn follow(&mut self) {
        let followed = self.mappings.as_mut().map(Mappings::follow);
        match followed {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => self.missed = true,
            Some(Err(error)) => {
                tracing::debug!(%error, "not all processors tell which libraries are loaded");
            }
        }
    }

    /// Mappings that were not told.
    pub(super) fn lost(&self) -> u64 {
        self.mappings.as_ref().map_or(0, Mappings::lost)
    }
}
