//! Opening a whole folder: segments, hints, a manifest, markers and other files.

use baileys_cask::ErrorKind;
use baileys_cask::backend::Backend;

use super::super::folder::{Case, path};
use super::super::memory::MemoryFs;
use super::state::{assert_is_in, assert_same, open, state_of, write};

/// Opens a folder; where that is possible, reads, closes, opens again, compacts and writes.
pub fn run(input: &[u8]) {
    let case = Case::decode(input);
    let image = case.image();
    let fs = MemoryFs::new(path(), &image);
    let backend = match open(&fs, &case) {
        Ok(backend) => backend,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Version | ErrorKind::Key), "{error}");
            assert!(fs.image(path()) == image, "a folder that is refused stays as it was: {error}");
            return;
        }
    };
    let state = state_of(&backend);
    assert_is_in(&state, &image);
    backend.close().expect("what was opened can be closed");
    drop(backend);

    let backend = open(&fs, &case).unwrap_or_else(|error| panic!("what was opened and closed cannot be opened again: {error}"));
    assert_eq!(backend.report().cut_frames, 0, "nothing is left to be cut off");
    let again = state_of(&backend);
    if case.forges_knowledge() {
        // A hint of a segment that the manifest has not named before is believed now.
        assert_is_in(&again, &image);
    } else {
        assert_same(&again, &state, "opening again changes nothing that is read");
    }
    let state = again;
    if case.compacts() && !case.forges_knowledge() {
        match backend.compact_all() {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        }
        assert_same(&state_of(&backend), &state, "compaction changes nothing that is read");
    }
    let written = write(&backend, "fuzz", b"\x02written", b"new");
    backend.close().expect("what was written to can be closed");
    drop(backend);

    let backend = open(&fs, &case).unwrap_or_else(|error| panic!("what was written to cannot be opened again: {error}"));
    let mut wanted = state;
    match written {
        Ok(()) => drop(wanted.insert(("fuzz".into(), b"\x02written".to_vec()), Ok(b"new".to_vec()))),
        Err(error) => assert!(error.to_string().contains("are used up"), "what was opened cannot be written to: {error}"),
    }
    assert_same(&state_of(&backend), &wanted, "what was written is there beside the rest, and nothing else");
    backend.close().expect("it can be closed once more");
}
