//! Writes `crds/` anew.

fn main() -> std::io::Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds");
    std::fs::create_dir_all(folder)?;
    let path = format!("{folder}/zookeepercluster.yaml");
    std::fs::write(&path, api::crd::yaml())?;
    println!("wrote {path}");
    Ok(())
}
