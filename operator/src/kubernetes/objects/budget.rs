use api::Kind;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Blueprint;
use crate::kubernetes::names::selector;

impl Blueprint<'_> {
    /// One voter at a time. One that does not serve may always go: it holds up the drain of a
    /// node for nothing.
    pub(crate) fn budget(&self) -> PodDisruptionBudget {
        let labels = self.names.labels_of_kind(Kind::Voter);
        PodDisruptionBudget {
            metadata: self.names.metadata(self.names.budget(), labels, self.uid),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(IntOrString::Int(1)),
                selector: Some(selector(self.names.of_kind(Kind::Voter))),
                unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
                ..PodDisruptionBudgetSpec::default()
            }),
            status: None,
        }
    }
}
