//! Data directories that one make wrote and the other starts on.

use std::time::Duration;

use anyhow::{Context, ensure};
use tests::dump;
use tests::ensemble::{Ensemble, Make};
use tests::load::{self, Load, Shape};
use tokio::runtime::Runtime;

use crate::Setting;

const LIMIT: Duration = Duration::from_secs(60);
const LOAD: Shape = Shape {
    clients: 8,
    in_flight: 32,
    bytes: 200,
};

/// Apache is killed under load, so that its snapshot is fuzzy; ours starts on what is left.
pub(crate) fn apache_on_ours(setting: &Setting) -> anyhow::Result<()> {
    moved(setting, Make::Apache, Make::Ferrokeeper, "")
}

/// The other way round.
pub(crate) fn ours_on_apache(setting: &Setting) -> anyhow::Result<()> {
    moved(setting, Make::Ferrokeeper, Make::Apache, "")
}

/// Apache starts on our snapshots in each compression.
pub(crate) fn compressed_on_apache(setting: &Setting) -> anyhow::Result<()> {
    for method in ["gz", "snappy"] {
        let setting = setting.within(&setting.folder.join(method));
        moved(&setting, Make::Ferrokeeper, Make::Apache, method).context(method)?;
    }
    Ok(())
}

/// One member, killed under load, is copied; the copy runs on the other make, the original on its
/// own again. Both must show the same tree.
fn moved(setting: &Setting, from: Make, to: Make, compression: &str) -> anyhow::Result<()> {
    let settings = format!(
        "snapCount=400\nstandaloneEnabled=false\nextendedTypesEnabled=true\n\
         snapshot.compression.method={compression}"
    );
    let settings = settings.as_str();
    let mut original = Ensemble::new(
        &setting.programs,
        &setting.folder.join("original"),
        &[from],
        settings,
    )?;
    original.start(1)?;
    original.leader(LIMIT)?;
    let server = original.connect_string();
    // A runtime of its own, whose end is the end of the clients, with what they had not sent.
    Runtime::new()?.block_on(async {
        load::within(LIMIT, "make znodes of each kind", variety(&server)).await?;
        let load = Load::start(&server, "moved", &LOAD).await?;
        load.advance(6000, LIMIT).await?;
        original.kill(1)?;
        load.abandon()?;
        anyhow::Ok(())
    })?;
    let mut copy = Ensemble::new(
        &setting.programs,
        &setting.folder.join("copy"),
        &[to],
        settings,
    )?;
    copy_data(&original.member(1).folder, &copy.member(1).folder)?;
    if !compression.is_empty() {
        only_compressed(&copy.member(1).folder, compression)?;
    }
    original.start(1)?;
    original.leader(LIMIT)?;
    copy.start(1)?;
    copy.leader(LIMIT)
        .context("start on the other make's files")?;
    Runtime::new()?.block_on(async {
        let expected = dump::dump(&original.connect_string()).await?;
        let found = dump::dump(&copy.connect_string()).await?;
        ensure!(
            expected.len() > 5000,
            "only {} znodes were written",
            expected.len()
        );
        let differences = dump::difference(&expected, &found);
        ensure!(
            differences.is_empty(),
            "the trees differ:\n{}",
            differences.join("\n")
        );
        Ok(())
    })
}

/// Znodes of each kind, with versions, ACLs and gaps.
async fn variety(server: &str) -> anyhow::Result<()> {
    use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Permission};
    let client = load::connect(server).await?;
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.create("/kinds", b"", &open).await?;
    client.auth("digest", b"user:secret").await?;
    client
        .create(
            "/kinds/own",
            b"1",
            &CreateMode::Persistent.with_acls(Acls::creator_all()),
        )
        .await?;
    let read = [
        Acl::new(Permission::READ, AuthId::anyone()),
        Acl::new(Permission::ALL, AuthId::new("ip", "127.0.0.0/8")),
    ];
    client
        .create(
            "/kinds/acl",
            b"2",
            &CreateMode::Persistent.with_acls(Acls::new(&read)),
        )
        .await?;
    for _ in 0..5 {
        let sequential = CreateMode::PersistentSequential.with_acls(Acls::anyone_all());
        client.create("/kinds/seq-", b"s", &sequential).await?;
    }
    client
        .delete("/kinds/seq-0000000003", None)
        .await
        .or_else(|error| match error {
            zookeeper_client::Error::NoNode => Ok(()),
            other => Err(other),
        })?;
    for number in 0..10u8 {
        client.set_data("/kinds/acl", &[number], None).await?;
    }
    let container = CreateMode::Container.with_acls(Acls::anyone_all());
    client.create("/kinds/container", b"", &container).await?;
    client.create("/kinds/container/child", b"", &open).await?;
    Ok(())
}

fn copy_data(from: &std::path::Path, to: &std::path::Path) -> anyhow::Result<()> {
    let (from, to) = (from.join("version-2"), to.join("version-2"));
    std::fs::create_dir_all(&to).context("create the copy's folder")?;
    for file in std::fs::read_dir(&from).context("list the data")? {
        let file = file.context("list the data")?;
        std::fs::copy(file.path(), to.join(file.file_name())).context("copy")?;
    }
    Ok(())
}

/// Removes the snapshots that are not compressed, of which at least one is left out.
fn only_compressed(folder: &std::path::Path, ending: &str) -> anyhow::Result<()> {
    let files = std::fs::read_dir(folder.join("version-2")).context("list the data")?;
    let mut compressed = 0;
    for file in files {
        let path = file.context("list the data")?.path();
        if !path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"snapshot."))
        {
            continue;
        }
        if path.extension().is_some_and(|given| given == ending) {
            compressed += 1;
        } else {
            std::fs::remove_file(&path).context("remove a plain snapshot")?;
        }
    }
    ensure!(compressed > 0, "no snapshot.*.{ending} was written");
    Ok(())
}

/// The yardstick: what must hold between two genuine servers.
pub(crate) fn apache_on_apache(setting: &Setting) -> anyhow::Result<()> {
    moved(setting, Make::Apache, Make::Apache, "")
}
