//! What a server finds when it starts: its static configuration and its number.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use api::{Kind, MemberId};

use crate::files::write_private;

/// Why a server's files are not in place.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A pod's name does not end in an ordinal that a member can have.
    #[error(
        "{name} is not the name of a member's pod: it must end in -0, -1 and so on, with at most \
         100 voters or 154 observers; name the member with --member instead"
    )]
    PodName {
        /// The name.
        name: String,
    },
    /// A file or folder cannot be written.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The member whose pod has this name: a set counts its pods from 0.
///
/// # Errors
/// If no member's pod can have it.
pub fn member_of(pod: &str, kind: Kind) -> Result<MemberId, ProvisionError> {
    let ordinal = pod.rsplit_once('-').and_then(|(_, ordinal)| {
        let canonical = ordinal == "0" || !ordinal.starts_with(['0', '+']);
        ordinal.parse().ok().filter(|_| canonical)
    });
    let member = ordinal.and_then(|ordinal| match kind {
        Kind::Voter => MemberId::voter(ordinal),
        Kind::Observer => MemberId::observer(ordinal),
    });
    member.ok_or_else(|| ProvisionError::PodName { name: pod.into() })
}

/// Writes `zoo.cfg` into `folder`, `settings` and what only the sidecar knows, and `myid` beside
/// the member's data. The list of members among the settings is what an ensemble is born with:
/// the one on the volume, and the one that the sidecar tells, are newer.
///
/// # Errors
/// If a file cannot be written.
pub fn provision(
    member: MemberId,
    volume: &Path,
    folder: &Path,
    settings: &str,
) -> Result<(), ProvisionError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| ProvisionError::File { path, source }
    };
    let data = volume.join("data");
    fs::create_dir_all(&data).map_err(failed(&data))?;
    let (file, number) = (data.join("myid"), format!("{member}\n"));
    if fs::read_to_string(&file).ok().as_ref() != Some(&number) {
        write_private(&file, number.as_bytes()).map_err(failed(&file))?;
    }
    let file = folder.join("zoo.cfg");
    write_private(&file, zoo_cfg(member, &data, settings).as_bytes()).map_err(failed(&file))
}

fn zoo_cfg(member: MemberId, data: &Path, settings: &str) -> String {
    let settings = settings.trim_end();
    let data = data.display();
    format!(
        "# Made anew at each start of member {member}: a change here is lost.\n\
         {settings}\n\
         dataDir={data}\n\
         # Even without a sidecar nobody votes from an empty disk.\n\
         db.autocreate=false\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_id_follows_from_its_pods_name() {
        let id = |pod, kind| member_of(pod, kind).ok().map(MemberId::get);
        assert_eq!(id("demo-0", Kind::Voter), Some(1));
        assert_eq!(id("demo-2-99", Kind::Voter), Some(100));
        assert_eq!(id("demo-observers-0", Kind::Observer), Some(101));
        assert_eq!(id("demo-observers-153", Kind::Observer), Some(254));
        for wrong in ["demo", "demo-", "demo-00", "demo-+1", "demo-x", "demo-100"] {
            assert_eq!(id(wrong, Kind::Voter), None, "{wrong}");
        }
        assert_eq!(id("demo-observers-154", Kind::Observer), None);
    }

    #[test]
    fn a_server_finds_its_configuration_and_its_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let volume = folder.path().join("volume");
        // As a new disk is mounted.
        fs::create_dir_all(volume.join("lost+found")).expect("made");
        let member = MemberId::voter(2).expect("a member");
        for settings in ["tickTime=1", "tickTime=2000\nserver.3=c:1:2;3\n"] {
            provision(member, &volume, folder.path(), settings).expect("written");
        }
        let read = |path: PathBuf| fs::read_to_string(path).expect("there");
        assert_eq!(read(volume.join("data/myid")), "3\n");
        let data = volume.join("data");
        let expected = format!(
            "# Made anew at each start of member 3: a change here is lost.\n\
             tickTime=2000\nserver.3=c:1:2;3\ndataDir={}\n\
             # Even without a sidecar nobody votes from an empty disk.\ndb.autocreate=false\n",
            data.display()
        );
        assert_eq!(read(folder.path().join("zoo.cfg")), expected);
    }
}
