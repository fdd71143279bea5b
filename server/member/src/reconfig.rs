//! A client's wish to change the membership: whether it makes sense.

use tree::Tree;
use wire::client::{ErrorCode, ReconfigRequest, Write};
use wire::config::EnsembleConfig;
use wire::{PeerId, Perms};

/// The znode whose ACL says who may change the membership.
const CONFIG: &str = "/zookeeper/config";

/// Below so many voters Apache does not go by reconfig.
const FEWEST_VOTERS: usize = 2;

/// The configuration that is asked for, its version not set.
///
/// # Errors
/// If it is asked for over another configuration than the one in force, or is none that an
/// ensemble could have, or one of which no quorum is here, or who asks may not change it.
pub(crate) fn wanted(
    tree: &Tree,
    current: &EnsembleConfig,
    write: &Write,
    request: &ReconfigRequest,
) -> Result<EnsembleConfig, ErrorCode> {
    if request.config_id != -1 && request.config_id != current.version.cast_signed() {
        return Err(ErrorCode::BadVersion);
    }
    let wanted = if request.new_members.is_empty() {
        incremental(current, request)
    } else {
        EnsembleConfig::from_list(&request.new_members)
    };
    let wanted = wanted.map_err(|_| ErrorCode::BadArguments)?;
    if wanted.voters().count() < FEWEST_VOTERS {
        return Err(ErrorCode::BadArguments);
    }
    // Before the ACL, as Apache.
    let known = |voter: &PeerId| current.members.contains_key(voter);
    if wanted.voters().filter(known).count() * 2 <= wanted.voters().count() {
        return Err(ErrorCode::NewConfigNoQuorum);
    }
    let acl = tree.acl_of(CONFIG).ok_or(ErrorCode::NoNode)?;
    if !tree.allows(acl, Perms::WRITE, &write.identities) {
        return Err(ErrorCode::NoAuth);
    }
    Ok(wanted)
}

fn incremental(
    current: &EnsembleConfig,
    request: &ReconfigRequest,
) -> Result<EnsembleConfig, wire::config::ConfigError> {
    let joining = EnsembleConfig::joining(&request.joining)?;
    let leaving = EnsembleConfig::leaving(&request.leaving)?;
    current.changed(&joining, &leaving, current.version)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wire::client::Request;
    use wire::{Id, PeerId, SessionId};

    use super::*;

    const THREE: &str = "server.1=a:1:2;3,server.2=b:1:2;3,server.3=c:1:2;3,version=7";

    fn request(joining: &str, leaving: &str, new_members: &str) -> ReconfigRequest {
        ReconfigRequest {
            joining: joining.to_owned(),
            leaving: leaving.to_owned(),
            new_members: new_members.to_owned(),
            config_id: -1,
        }
    }

    fn asked(request: ReconfigRequest, identity: Id) -> Result<Vec<PeerId>, ErrorCode> {
        let current = EnsembleConfig::from_list(THREE).expect("a configuration");
        let write = Write {
            session: SessionId(1),
            cxid: 1,
            request: Request::Reconfig(request.clone()),
            identities: Arc::new([identity]),
        };
        let tree = Tree::new(1, tree::Options::default());
        wanted(&tree, &current, &write, &request)
            .map(|config| config.members.keys().copied().collect())
    }

    #[test]
    fn what_is_wanted_must_be_an_ensemble() {
        let super_user = || Id::new("super", "");
        let ids = |ids: &[i64]| Ok(ids.iter().map(|id| PeerId(*id)).collect());
        let bad = Err(ErrorCode::BadArguments);
        let absent = Err(ErrorCode::NewConfigNoQuorum);
        for (joining, leaving, new_members, outcome) in [
            ("server.4=d:1:2;3", "", "", ids(&[1, 2, 3, 4])),
            ("server.4=d:1:2;3", "1,9", "", ids(&[2, 3, 4])),
            ("", "", "server.2=b:1:2;3,server.3=f:1:2;3", ids(&[2, 3])),
            ("", "", "server.5=e:1:2;3,server.6=f:1:2;3", absent.clone()),
            ("", "", "server.1=a:1:2;3,server.6=f:1:2;3", absent),
            ("server.4=d:1:2", "", "", bad.clone()),
            ("server.4=a:1:5;6", "", "", bad.clone()),
            ("x", "", "", bad.clone()),
            ("", "x", "", bad.clone()),
            ("", "1,2", "", bad.clone()),
            ("", "", "server.5=e:1:2;3", bad),
        ] {
            let request = request(joining, leaving, new_members);
            assert_eq!(asked(request.clone(), super_user()), outcome, "{request:?}");
        }
        let mut over_another = request("", "1", "");
        over_another.config_id = 6;
        let outcome = asked(over_another, super_user());
        assert_eq!(outcome, Err(ErrorCode::BadVersion));
        let mut over_this = request("", "1", "");
        over_this.config_id = 7;
        assert_eq!(asked(over_this, super_user()), ids(&[2, 3]));
    }

    #[test]
    fn who_may_only_read_the_configuration_may_not_change_it() {
        let stranger = Id::new("ip", "127.0.0.1");
        let outcome = asked(request("", "1", ""), stranger.clone());
        assert_eq!(outcome, Err(ErrorCode::NoAuth));
        // That nobody of the new one is here counts more.
        let strangers = request("", "", "server.5=e:1:2;3,server.6=f:1:2;3");
        let outcome = asked(strangers, stranger);
        assert_eq!(outcome, Err(ErrorCode::NewConfigNoQuorum));
    }
}
