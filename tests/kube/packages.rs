//! The system packages that a cluster needs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// A program or folder that must be there, and the Debian package that brings it.
const NEEDED: &[(&str, &str)] = &[
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("busybox", "busybox"),
    ("setpriv", "util-linux"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
];

/// Names the packages that are missing, each once.
pub(crate) fn missing() -> Vec<&'static str> {
    let mut packages: Vec<&str> = NEEDED
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    packages
}

/// Where a program is: on the PATH, or where only root's programs are.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(Into::into))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The command that installs `packages`.
pub(crate) fn command(packages: &[&str]) -> String {
    format!(
        "apt-get update && apt-get install --no-install-recommends -y {}",
        packages.join(" ")
    )
}

/// Installs `packages` with apt-get.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    println!("installing {}", packages.join(" "));
    ensure!(
        Path::new("/etc/debian_version").exists(),
        "this machine has no apt-get: install what {} are called here",
        packages.join(" ")
    );
    let output = Command::new("sh")
        .args(["-c", &command(packages)])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .context("start apt-get")?;
    ensure!(
        output.status.success(),
        "apt-get ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
