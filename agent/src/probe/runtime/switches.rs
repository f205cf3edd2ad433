//! Which runtimes are probed: what their probes cost, and what the settings say.
//!
//! In: the setting of each runtime. Out: whether it is probed, and why. Not here: where probes are
//! put. Runtimes whose tasks are told apart without probes are not switched.

/// A runtime that is probed, as the settings name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Probed {
    /// Go.
    Go,
    /// CPython.
    Python,
    /// Node.
    Node,
    /// tokio.
    Tokio,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
}

/// What the probes of a runtime, and what they lead to at each call, take of the CPU of a service
/// that does little else than call another once a request, per cent: instructions in user and
/// kernel space, counted by `cargo xtask bench instructions`; the table is in `docs/bench`.
const COSTS: [(Probed, f64, &str); 6] = [
    (Probed::Go, 8.4, "net/http that calls another"),
    (Probed::Python, 2.6, "aiohttp that calls another"),
    (Probed::Node, 6.2, "Express that calls another by axios"),
    (Probed::Tokio, 2.1, "axum that calls another by reqwest"),
    (Probed::Nginx, 5.7, "a proxy"),
    (Probed::Haproxy, 2.5, "a proxy"),
];

impl Probed {
    /// What probes may take of a service's CPU, per cent, and still be on unasked.
    pub const AFFORDABLE: f64 = 3.0;

    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Go,
        Self::Python,
        Self::Node,
        Self::Tokio,
        Self::Nginx,
        Self::Haproxy,
    ];

    /// Its key in the settings.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Go => "tasks.go",
            Self::Python => "tasks.python",
            Self::Node => "tasks.node",
            Self::Tokio => "tasks.rust",
            Self::Nginx => "tasks.nginx",
            Self::Haproxy => "tasks.haproxy",
        }
    }

    /// The programs that tell of tasks which hand work to each other, where others need its plan
    /// too: those alone are switched. None: the whole plan is.
    pub(super) const fn handing(self) -> &'static [&'static str] {
        match self {
            Self::Go => &[
                "go_goroutine_made",
                "go_serve",
                "go_round_trip",
                "go_request_write",
                "go_h2_run_handler",
                "go_h2_do_request",
                "go_grpc_handle_stream",
                "go_grpc_new_stream",
            ],
            Self::Python | Self::Node | Self::Tokio | Self::Nginx | Self::Haproxy => &[],
        }
    }

    /// Those of its programs that every request runs, whether it calls anybody or not: by themselves
    /// they take more than is affordable of a service that calls nobody (Go: 15 % for two of them).
    /// Each of the others is run by a call alone, and takes less (Go: some 2.1 %, a fourth of what
    /// the four on the way of a request with a call take).
    pub(super) const fn dear(self) -> &'static [&'static str] {
        match self {
            Self::Go => &[
                "go_goroutine_made",
                "go_serve",
                "go_h2_run_handler",
                "go_grpc_handle_stream",
            ],
            Self::Python | Self::Node | Self::Tokio | Self::Nginx | Self::Haproxy => &[],
        }
    }

    /// What its probes take, and of what service.
    fn cost(self) -> (f64, &'static str) {
        let cost = COSTS.iter().find(|(probed, ..)| *probed == self);
        cost.map_or((0.0, "any service"), |(_, percent, of)| (*percent, of))
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Go => "Go",
            Self::Python => "CPython",
            Self::Node => "Node",
            Self::Tokio => "tokio",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }

    /// Are there probes? Where there are none memory is read as each call is seen, and the cost is
    /// told but turns nothing off.
    const fn has_probes(self) -> bool {
        !matches!(self, Self::Nginx | Self::Haproxy)
    }

    /// Without its probes no call has a parent, not even where one request follows the other: an
    /// event loop has nothing else that tells. Then a service without them is hardly worth watching,
    /// and they are on unasked whatever they take.
    const fn is_needed(self) -> bool {
        matches!(self, Self::Node)
    }

    /// Is all of it probed unless the settings say otherwise?
    #[must_use]
    pub fn affordable(self) -> bool {
        !self.has_probes() || self.is_needed() || self.cost().0 <= Self::AFFORDABLE
    }

    /// Its cost in words.
    #[must_use]
    pub fn price(self) -> String {
        let (percent, of) = self.cost();
        format!("measured at {percent} % of the CPU of {of}")
    }
}

/// How much of a runtime is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All that there is.
    All,
    /// All but what every request would pay for.
    Calls,
    /// Nothing that follows tasks.
    Nothing,
}

/// How much of each runtime is probed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    less: Vec<(Probed, Extent)>,
}

impl Switches {
    /// From the setting of each runtime: on, off, or `None`: what is affordable.
    #[must_use]
    pub fn new(setting: impl Fn(Probed) -> Option<bool>) -> Self {
        let extent = |probed: Probed| match setting(probed) {
            Some(true) => Extent::All,
            Some(false) => Extent::Nothing,
            None if probed.affordable() => Extent::All,
            None if probed.dear().is_empty() => Extent::Nothing,
            None => Extent::Calls,
        };
        let extents = Probed::ALL.map(|probed| (probed, extent(probed)));
        let less = extents.into_iter().filter(|(_, of)| *of != Extent::All);
        Self {
            less: less.collect(),
        }
    }

    /// How much of it is probed.
    #[must_use]
    pub fn extent(&self, probed: Probed) -> Extent {
        let less = self.less.iter().find(|(of, _)| *of == probed);
        less.map_or(Extent::All, |(_, extent)| *extent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_win_over_costs() {
        for probed in Probed::ALL {
            let usual = match probed {
                Probed::Go => Extent::Calls,
                _ => Extent::All,
            };
            for (setting, extent) in [
                (Some(true), Extent::All),
                (Some(false), Extent::Nothing),
                (None, usual),
            ] {
                let found = Switches::new(|_| setting).extent(probed);
                assert_eq!(found, extent, "{probed:?}");
            }
            let handing = probed.handing();
            assert!(probed.dear().iter().all(|dear| handing.contains(dear)));
        }
    }

    #[test]
    fn each_has_a_cost_of_its_own() {
        for probed in Probed::ALL {
            let known = COSTS.iter().filter(|(of, ..)| *of == probed).count();
            assert_eq!(known, 1, "{probed:?}");
            assert!(probed.cost().0 > 0.0, "{probed:?} was not measured");
        }
    }
}
