//! What happens of itself, one step of each at a time.

mod budgets;
mod claims;
mod collector;
mod kubelet;
mod namespaces;
mod pod;
mod quotas;
mod scheduler;
mod sets;

use super::store::Store;

/// The order is fixed, so that a test sees the same each time. A real Kubernetes keeps none, so
/// nothing may rely on it.
const CONTROLLERS: [fn(&mut Store); 8] = [
    namespaces::step,
    collector::step,
    sets::step,
    claims::step,
    scheduler::step,
    kubelet::step,
    budgets::step,
    quotas::step,
];

/// Each controller looks once.
pub(crate) fn step(store: &mut Store) {
    for controller in CONTROLLERS {
        controller(store);
    }
}
