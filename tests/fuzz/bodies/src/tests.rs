//! Every target over the bytes that are kept for it.

use std::path::Path;

use super::TARGETS;

#[test]
fn what_fuzzing_has_found_still_holds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    for (name, target) in TARGETS {
        let folder = seeds.join(name);
        let files = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for file in files {
            let path = file.expect("a file").path();
            let bytes = std::fs::read(&path).expect("a file");
            eprintln!("{}", path.display());
            target(&bytes);
            count += 1;
        }
        assert!(count > 0, "{} is empty", folder.display());
    }
}

/// A little fuzzing, the same each time, in every run of the tests.
#[test]
fn whatever_clients_do_what_must_hold_holds() {
    let mut state = 0x5eed_u64;
    for length in (200..4000).step_by(100) {
        let bytes: Vec<u8> = (0..length).map(|_| next(&mut state)).collect();
        super::connection(&bytes);
    }
}

fn next(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 32) as u8
}
