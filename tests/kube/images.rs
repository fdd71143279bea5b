//! The images that pods of the tests run.

pub(crate) mod archive;

use std::path::Path;

use anyhow::Context;

use crate::packages;
use crate::programs::Programs;
use archive::{Entry, Image, Recipe};

/// What holds a pod's namespaces: the same shell image under a fixed name, since containerd's
/// configuration names it.
pub(crate) const PAUSE: &str = "e2e.ferrokeeper.local/pause:1";

/// The images of every cluster.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    /// Holds a pod's namespaces.
    pub(crate) pause: Image,
    /// A shell.
    pub(crate) busybox: Image,
    /// The cluster's DNS.
    pub(crate) coredns: Image,
}

impl Images {
    /// Packs them into `folder`.
    pub(crate) fn pack(programs: &Programs, folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).context("the folder of images")?;
        let shell = shell()?;
        let pause = Recipe {
            name: "pause",
            tag: Some("1"),
            entrypoint: ["/bin/busybox", "sleep", "2147483647"]
                .map(str::to_owned)
                .into(),
            user: "65535:65535",
            ..shell.clone()
        };
        let mut coredns = Recipe {
            name: "coredns",
            entrypoint: vec!["/coredns".to_owned()],
            user: "0:0",
            ..Recipe::default()
        };
        let program = programs.get("coredns");
        coredns
            .entries
            .insert("coredns".to_owned(), Entry::File(program));
        Ok(Self {
            pause: pause.pack(folder)?,
            busybox: shell.pack(folder)?,
            coredns: coredns.pack(folder)?,
        })
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<&Image> {
        vec![&self.pause, &self.busybox, &self.coredns]
    }
}

/// Commands of the shell that scripts in pods use.
const APPLETS: &[&str] = &[
    "cat", "chmod", "cp", "date", "dd", "echo", "env", "false", "find", "grep", "head", "hostname",
    "id", "kill", "ls", "mkdir", "mv", "nc", "nslookup", "ps", "rm", "sed", "sh", "sleep", "sort",
    "stat", "sync", "tail", "test", "timeout", "touch", "tr", "true", "wc", "wget", "xargs",
];

fn shell() -> anyhow::Result<Recipe> {
    let busybox = packages::find("busybox").context("busybox is not installed")?;
    let mut shell = Recipe {
        name: "busybox",
        entrypoint: vec!["/bin/sh".to_owned()],
        user: "65532:65532",
        ..Recipe::default()
    };
    shell.program(&busybox, "bin/busybox")?;
    for applet in APPLETS {
        let link = Entry::Link("busybox".to_owned());
        shell.entries.insert(format!("bin/{applet}"), link);
    }
    Ok(shell)
}
