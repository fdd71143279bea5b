//! An image, written by hand: an OCI archive of one layer, the same bytes for the same content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::programs::hex;

/// What is at a path of an image.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// A folder, with its mode.
    Folder(u32),
    /// The content of a file of this machine; executable.
    File(PathBuf),
    /// A link to another path of the image.
    Link(String),
}

/// What an image is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recipe {
    /// Without its tag, which is a hash of the contents unless `tag` says otherwise.
    pub(crate) name: &'static str,
    /// A fixed tag.
    pub(crate) tag: Option<&'static str>,
    /// Paths without the leading slash; parents are added.
    pub(crate) entries: BTreeMap<String, Entry>,
    /// What runs when a container says nothing else.
    pub(crate) entrypoint: Vec<String>,
    /// User and group, by number.
    pub(crate) user: &'static str,
}

/// An image that nodes can import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// How manifests name it.
    pub(crate) reference: String,
    /// What of the reference changes with the contents.
    pub(crate) tag: String,
    /// The archive.
    pub(crate) archive: PathBuf,
    /// The layer's size in bytes.
    pub(crate) size: u64,
}

/// Where images of `cargo e2e` come from. The first part needs a dot, else nodes look for them
/// elsewhere.
pub(crate) const REGISTRY: &str = "e2e.ferrokeeper.local";

impl Recipe {
    /// Adds a program of this machine at `path`, with the libraries that it is linked to at the
    /// paths where its loader looks for them.
    pub(crate) fn program(&mut self, from: &Path, path: &str) -> anyhow::Result<()> {
        self.entries
            .insert(path.to_owned(), Entry::File(from.to_owned()));
        for library in libraries(from)? {
            let inside = library.display().to_string();
            let inside = inside.trim_start_matches('/').to_owned();
            self.entries.insert(inside, Entry::File(library));
        }
        Ok(())
    }

    /// Adds a folder of this machine, at the same path, without what `skip` names.
    pub(crate) fn folder(&mut self, from: &Path, skip: &[&str]) -> anyhow::Result<()> {
        let entries = std::fs::read_dir(from).with_context(|| from.display().to_string())?;
        for entry in entries {
            let entry = entry.with_context(|| from.display().to_string())?;
            let name = entry.file_name();
            if skip.iter().any(|part| *part == name) {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                self.folder(&path, skip)?;
            } else if path.is_file() {
                let inside = path.display().to_string();
                let inside = inside.trim_start_matches('/').to_owned();
                if path.extension().is_some_and(|extension| extension == "so") {
                    self.program(&path, &inside)?;
                } else {
                    self.entries.insert(inside, Entry::File(path));
                }
            }
        }
        Ok(())
    }

    /// Writes the archive into `folder`.
    pub(crate) fn pack(&self, folder: &Path) -> anyhow::Result<Image> {
        let layer = self
            .layer()
            .with_context(|| format!("the layer of {}", self.name))?;
        let layer_digest = digest(&layer);
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "User": self.user,
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let manifest_digest = digest(&manifest);
        let tag = self.tag.unwrap_or(&manifest_digest[..12]);
        let reference = format!("{REGISTRY}/{}:{tag}", self.name);
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        entry["annotations"] = json!({ "io.containerd.image.name": reference });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });

        let archive = folder.join(format!("{}.tar", self.name));
        let file = std::fs::File::create(&archive).context("an image's archive")?;
        let mut tar = Builder::new(std::io::BufWriter::new(file));
        let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
        append(&mut tar, "oci-layout", EntryType::Regular, 0o644, layout)?;
        let index = index.to_string();
        append(
            &mut tar,
            "index.json",
            EntryType::Regular,
            0o644,
            index.as_bytes(),
        )?;
        for blob in [&manifest, &config, &layer] {
            let name = format!("blobs/sha256/{}", digest(blob));
            append(&mut tar, &name, EntryType::Regular, 0o644, blob)?;
        }
        let file = tar.into_inner().context("an image's archive")?;
        file.into_inner().context("an image's archive")?;
        Ok(Image {
            reference,
            tag: tag.to_owned(),
            archive,
            size: layer.len() as u64,
        })
    }

    fn layer(&self) -> anyhow::Result<Vec<u8>> {
        let mut entries = self.entries.clone();
        entries.insert("tmp".to_owned(), Entry::Folder(0o1777));
        for path in self.entries.keys() {
            for parent in Path::new(path).ancestors().skip(1) {
                let parent = parent.display().to_string();
                if !parent.is_empty() {
                    entries.entry(parent).or_insert(Entry::Folder(0o755));
                }
            }
        }
        let mut tar = Builder::new(Vec::new());
        for (path, entry) in &entries {
            match entry {
                Entry::Folder(mode) => append(&mut tar, path, EntryType::Directory, *mode, &[])?,
                Entry::File(from) => {
                    let content =
                        std::fs::read(from).with_context(|| from.display().to_string())?;
                    append(&mut tar, path, EntryType::Regular, 0o755, &content)?;
                }
                Entry::Link(to) => {
                    let mut header = header(EntryType::Symlink, 0o777, 0);
                    tar.append_link(&mut header, path, to).context("a link")?;
                }
            }
        }
        tar.into_inner().context("a layer")
    }
}

/// The libraries that a program is linked to, and its loader.
pub(crate) fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = std::process::Command::new("ldd").arg(program).output();
    let output = output.context("start ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let is_static = told.contains("not a dynamic executable");
        ensure!(is_static, "ldd {}: {told}", program.display());
        return Ok(Vec::new());
    }
    Ok(text
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

fn append<W: std::io::Write>(
    tar: &mut Builder<W>,
    path: &str,
    kind: EntryType,
    mode: u32,
    content: &[u8],
) -> anyhow::Result<()> {
    let mut header = header(kind, mode, content.len() as u64);
    tar.append_data(&mut header, path, content)
        .with_context(|| path.to_owned())
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn descriptor(kind: &str, blob: &[u8]) -> Value {
    json!({
        "mediaType": kind,
        "digest": format!("sha256:{}", digest(blob)),
        "size": blob.len(),
    })
}

fn digest(blob: &[u8]) -> String {
    hex(&Sha256::digest(blob))
}
