//! What ensembles are set to, so that each state of a session comes up.

use super::tally::{Cell, State};

// The superuser's password is Apache's `super:test`.
macro_rules! settings {
    ($more:literal) => {
        concat!(
            "enforceQuota=true\nmaxSessionTimeout=60000\n\
             minSessionTimeout=1000\nznode.container.checkIntervalMs=86400000\n\
             DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=\n",
            $more
        )
    };
}

/// What a stage is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sessions of the ensemble.
    Ordinary,
    /// Sessions of one member, which become the ensemble's when they need to.
    Local,
    /// Sessions of one member, which stay so.
    Confined,
    /// One member is left.
    ReadOnly,
    /// Who says nothing of itself is not served.
    Enforced,
    /// The membership could be changed.
    Reconfig,
}

/// A pair of ensembles, and how much of a run they get.
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) settings: &'static str,
    pub(super) states: &'static [State],
    /// Of a hundred requests.
    pub(super) share: u64,
}

pub(super) const STAGES: &[Stage] = &[
    Stage {
        name: "ordinary",
        kind: Kind::Ordinary,
        settings: settings!("extendedTypesEnabled=true\n"),
        states: &[
            State::Fresh,
            State::Back,
            State::Moved,
            State::Left,
            State::Closing,
            State::Ended,
        ],
        share: 64,
    },
    Stage {
        name: "local",
        kind: Kind::Local,
        settings: settings!(
            "extendedTypesEnabled=true\nlocalSessionsEnabled=true\n\
             localSessionsUpgradingEnabled=true\n"
        ),
        states: &[State::Local, State::Upgraded],
        share: 20,
    },
    Stage {
        name: "confined",
        kind: Kind::Confined,
        settings: settings!("localSessionsEnabled=true\n"),
        states: &[State::Local],
        share: 4,
    },
    Stage {
        name: "read-only",
        kind: Kind::ReadOnly,
        settings: settings!(
            "extendedTypesEnabled=true\nreadonlymode.enabled=true\nlocalSessionsEnabled=true\n"
        ),
        states: &[State::ReadOnly],
        share: 5,
    },
    Stage {
        name: "enforced",
        kind: Kind::Enforced,
        settings: settings!(
            "extendedTypesEnabled=true\nenforce.auth.enabled=true\nenforce.auth.schemes=digest\n"
        ),
        states: &[State::Unauthenticated],
        share: 4,
    },
    Stage {
        name: "reconfig",
        kind: Kind::Reconfig,
        settings: settings!("extendedTypesEnabled=true\nreconfigEnabled=true\n"),
        states: &[State::Fresh, State::Back, State::Moved],
        share: 3,
    },
];

impl Stage {
    /// What sessions start as.
    pub(super) const fn initial(&self) -> State {
        match self.kind {
            Kind::Ordinary | Kind::Enforced | Kind::Reconfig => State::Fresh,
            Kind::Local | Kind::Confined => State::Local,
            Kind::ReadOnly => State::ReadOnly,
        }
    }

    /// Whether it is the one in which a cell comes up.
    pub(super) fn has(&self, cell: &Cell) -> bool {
        let needs_reconfig = cell.name == "reconfig" && matches!(cell.err, -103 | -102 | -13 | -8);
        let needs_confined =
            cell.err == -120 || (cell.name.contains("create") && matches!(cell.err, -6 | -112));
        let fits = match self.kind {
            Kind::Reconfig => needs_reconfig,
            Kind::Confined => needs_confined,
            _ => !needs_reconfig && !needs_confined,
        };
        fits && self.states.contains(&cell.state)
    }
}
