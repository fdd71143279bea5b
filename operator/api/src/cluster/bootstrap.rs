use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the ensemble begins. It matters once: after birth it is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode == 'Join' || !has(self.join)")
        .message("join is for mode Join alone"),
    validation = Rule::new("self.mode != 'Join' || has(self.join)")
        .message("mode Join needs join.servers"),
    validation = Rule::new("self.mode == 'Adopt' || !has(self.adopt)")
        .message("adopt is for mode Adopt alone")
)]
pub struct Bootstrap {
    /// How.
    pub mode: BootstrapMode,
    /// For mode Adopt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<Adopt>,
    /// For mode Join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
}

/// How an ensemble begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BootstrapMode {
    /// Anew, on empty volumes; or on kept volumes that agree on one cluster id.
    #[default]
    New,
    /// From volumes that hold data, even such that names no ensemble.
    Adopt,
    /// As part of an ensemble that runs elsewhere.
    Join,
}

/// Which data may be adopted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adopt {
    /// The volumes must be of this ensemble; of any, all of the same, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub cluster_id: Option<String>,
}

/// The ensemble to join.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Join {
    /// Its members, as `server.N=…` lines.
    #[schemars(length(min = 1, max = 254), inner(length(min = 1, max = 512)))]
    pub servers: Vec<String>,
}
