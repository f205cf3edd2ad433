//! One SDK exporter per service, the most recently used kept.

use super::link::{Link, Sender};
use super::{convert, parts};
use crate::export::Failure;
use crate::metadata::Service;
use std::sync::Arc;

pub(super) struct Services {
    link: Link,
    /// The one used last is last.
    known: Vec<(Arc<Service>, Arc<Sender>)>,
    most: usize,
}

impl Services {
    pub(super) fn new(link: Link, most: usize) -> Self {
        Self {
            link,
            known: Vec::new(),
            most: most.max(1),
        }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Number of services that are kept.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.known.len()
    }

    /// The sender of a service; may forget the one that was not used for longest.
    pub(super) fn sender(&mut self, service: &Arc<Service>) -> Result<Arc<Sender>, Failure> {
        let found = self
            .known
            .iter()
            .rposition(|(other, _)| parts::same(other, service));
        let entry = match found {
            Some(index) => self.known.remove(index),
            None => {
                let sender = self.link.sender(&convert::resource(service));
                let sender = sender.map_err(|error| Failure::Final(error.to_string()))?;
                (Arc::clone(service), Arc::new(sender))
            }
        };
        if self.known.len() >= self.most {
            self.known.remove(0);
        }
        let sender = Arc::clone(&entry.1);
        self.known.push(entry);
        Ok(sender)
    }
}
