//! Writes the generated definitions anew: `crds/`, and the chart's copy of it.

fn main() -> std::io::Result<()> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    for folder in ["crds", "charts/ferrokeeper-operator/files/crds"] {
        let folder = format!("{root}/{folder}");
        std::fs::create_dir_all(&folder)?;
        let path = format!("{folder}/zookeepercluster.yaml");
        std::fs::write(&path, api::crd::yaml())?;
        println!("wrote {path}");
    }
    Ok(())
}
