//! How a Kubernetes behaves, as far as the operator relies on it.
//!
//! Each behaviour is a function with a name that says what holds. [`SCRIPT`] lists them all;
//! [`play`] runs one in a namespace of its own, on whatever [`World`] it is given. What holds in
//! memory and not on a real Kubernetes, or the other way round, is a bug of the one in memory.

mod applying;
mod claims;
mod deleting;
mod desk;
mod ensembles;
mod evicting;
mod pods;
mod sets;
mod watching;
mod writing;

use std::sync::Arc;

use anyhow::Context;
use futures::FutureExt;
use futures::future::{BoxFuture, LocalBoxFuture};
use serde_json::json;

use super::memory::Memory;
use super::memory::kinds::NAMESPACE;
pub use desk::Desk;

/// Something that is, or is taken for, a Kubernetes.
pub trait World: Send + Sync {
    /// A client that may do everything.
    fn client(&self) -> kube::Client;

    /// An image that is on every node, and runs for ever without arguments and rights.
    fn image(&self) -> String;

    /// An image that nobody has.
    fn missing_image(&self) -> String;

    /// Lets some time pass for the controllers. `attempt` counts from 0 in each wait; false ends
    /// the wait.
    fn pause(&self, attempt: u32) -> BoxFuture<'_, bool>;
}

impl World for Memory {
    fn client(&self) -> kube::Client {
        Self::client(self)
    }

    fn image(&self) -> String {
        "pause:1".to_owned()
    }

    fn missing_image(&self) -> String {
        let image = "missing:1".to_owned();
        self.rule(|rules| {
            rules.missing_images.insert(image.clone());
        });
        image
    }

    fn pause(&self, attempt: u32) -> BoxFuture<'_, bool> {
        self.tick();
        async move { attempt < 100 }.boxed()
    }
}

/// Something that a Kubernetes does.
pub struct Behaviour {
    /// A statement.
    pub name: &'static str,
    run: fn(Desk) -> LocalBoxFuture<'static, anyhow::Result<()>>,
}

macro_rules! script {
    ($($topic:ident::{$($name:ident),* $(,)?}),* $(,)?) => {
        /// All behaviours.
        pub static SCRIPT: &[Behaviour] = &[$($(Behaviour {
            name: stringify!($name),
            run: |desk| async move { $topic::$name(&desk).await }.boxed_local(),
        }),*),*];
    };
}

script! {
    writing::{
        a_name_is_taken_once,
        a_name_can_be_made_up,
        a_write_on_an_old_version_conflicts,
        a_write_for_another_uid_conflicts,
        writing_the_same_raises_no_version,
        the_generation_counts_changes_of_the_spec_only,
        the_type_of_a_secret_is_fixed,
    },
    applying::{
        a_field_of_another_manager_conflicts_unless_forced,
        what_is_no_longer_applied_goes_unless_others_manage_it,
        applying_the_same_raises_no_version,
        applying_on_an_old_version_conflicts,
        applying_what_is_gone_makes_it_anew_unless_its_uid_is_named,
        what_a_person_edits_is_taken_back_by_force,
        a_set_applied_without_replicas_has_one_and_then_keeps_what_it_has,
    },
    deleting::{
        a_deletion_for_another_uid_or_version_conflicts,
        a_finalizer_holds_an_object,
        what_has_no_owner_left_goes,
        an_owner_of_another_uid_is_none,
        what_never_had_an_owner_stays,
        a_foreground_deletion_waits_for_what_blocks_it,
        an_orphaning_deletion_leaves_everything_without_owner,
        a_namespace_takes_everything_along_and_lets_nothing_in,
    },
    sets::{
        a_parallel_set_makes_all_pods_at_once_with_claims_that_nobody_owns,
        an_on_delete_set_replaces_nothing_and_makes_new_pods_of_the_new_template,
        pods_of_an_orphaned_set_are_adopted_as_they_are,
        a_set_that_comes_back_with_fewer_replicas_ends_pods,
        claim_templates_and_selectors_are_fixed,
        a_smaller_set_keeps_its_claims,
        a_deleted_set_ends_its_pods_and_keeps_its_claims,
        a_pod_refused_by_a_quota_is_an_event_of_its_set_and_is_made_later,
        a_pod_refused_by_pod_security_is_an_event_of_its_set,
    },
    claims::{
        a_claim_in_use_goes_with_its_pod_and_its_set_makes_both_again,
        a_claim_never_shrinks,
        the_owner_of_a_claim_can_be_changed,
    },
    pods::{
        a_pod_that_fits_nowhere_says_so,
        an_image_that_nobody_has_is_named,
        a_pod_waits_for_its_secret,
        a_sidecar_is_up_before_the_container_beside_it,
    },
    evicting::{
        a_budget_forbids_an_eviction,
        an_eviction_for_another_uid_conflicts,
        two_budgets_over_one_pod_are_an_error,
    },
    watching::{
        a_watch_tells_changes_in_their_order,
        what_leaves_a_selection_is_gone_for_its_watch,
        a_list_is_selected_by_labels_and_fields,
    },
    ensembles::{
        a_broken_rule_is_named,
        what_is_fixed_at_birth_stays,
        an_unknown_field_is_dropped_or_refused,
        spec_and_status_are_written_apart,
        the_scale_of_an_ensemble_is_its_voters,
        a_replacement_must_say_what_it_replaces,
    },
}

/// Runs a behaviour in a new namespace, which is deleted afterwards. No operator may watch it:
/// behaviours of our resource write its status.
///
/// # Errors
/// If it does not hold; the namespace stays, to be looked at.
pub async fn play(world: Arc<dyn World>, behaviour: &Behaviour) -> anyhow::Result<()> {
    let namespace = format!("script-{:016x}", fingerprint(behaviour.name));
    let desk = Desk::new(world, &namespace);
    desk.create(&NAMESPACE, json!({ "metadata": { "name": namespace } }))
        .await
        .with_context(|| format!("make namespace {namespace}"))?;
    desk.until_ready_for_pods().await?;
    (behaviour.run)(desk.clone())
        .await
        .with_context(|| format!("{} (in namespace {namespace})", behaviour.name))?;
    desk.delete(&NAMESPACE, &namespace, &kube::api::DeleteParams::default())
        .await
        .with_context(|| format!("delete namespace {namespace}"))
}

/// Names of behaviours are longer than those of namespaces may be.
fn fingerprint(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
