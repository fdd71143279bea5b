//! How the machines behave, as a test wants it.

use std::collections::{BTreeMap, BTreeSet};

/// What a test says of the world beneath the API. By default everything works.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Images that no registry has.
    pub missing_images: BTreeSet<String>,
    /// Pods that fit nowhere, by name, and what the scheduler says of them.
    pub unschedulable: BTreeMap<String, String>,
    /// Nodes that do not answer any more: their pods stay as they are.
    pub dead_nodes: BTreeSet<String>,
    /// Pods whose containers run and are not ready, by name.
    pub unready: BTreeSet<String>,
    /// Containers that end as often as they are started, by pod and container.
    pub crashing: BTreeSet<(String, String)>,
    /// No volume is bound while this is so.
    pub volumes_held: bool,
}
