//! Looking for damage in a whole folder, and writing a new one of what is intact.

use std::path::Path;
use std::sync::Arc;

use baileys_cask::ErrorKind;
use baileys_cask::backend::Backend;
use baileys_cask::backend::file::FileBackend;
use baileys_cask::backend::file::fs::Fs;
use baileys_cask::backend::file::repair::{Doubtful, RepairOptions, repair};
use baileys_cask::backend::file::verify::{VerifyOptions, verify};

use super::super::folder::{Case, path};
use super::super::memory::MemoryFs;
use super::state::{assert_is_in, state_of};

/// Verifies and repairs a folder.
pub fn run(input: &[u8]) {
    let case = Case::decode(input);
    let image = case.image();
    let memory = MemoryFs::new(path(), &image);
    let fs: Arc<dyn Fs> = Arc::new(memory.clone());
    let is_refusal = |kind| matches!(kind, ErrorKind::InvalidArgument | ErrorKind::Version | ErrorKind::Key);
    let verified = verify(path(), &fs, case.boot_id(), &VerifyOptions::default());
    if let Err(error) = &verified {
        assert!(is_refusal(error.kind()), "{error}");
    }
    let target = Path::new("/repaired");
    let doubtful = [Doubtful::Omit, Doubtful::OmitRatchets, Doubtful::Keep][usize::from(case.how / 16 % 3)];
    let repaired = repair(path(), target, &fs, case.boot_id(), &RepairOptions { doubtful, ..RepairOptions::default() });
    assert!(memory.image(path()) == image, "what is looked at stays as it was");
    match repaired {
        Err(error) => {
            assert!(is_refusal(error.kind()), "{error}");
            assert!(verified.is_err(), "what can be looked at can be repaired: {error}");
        }
        Ok(report) => {
            let backend = FileBackend::open(target, Arc::clone(&fs), &case.options(), None).expect("a repaired cask opens");
            let state = state_of(&backend);
            assert!(state.values().all(Result::is_ok), "all of a repaired cask can be read");
            assert_is_in(&state, &image);
            let kept: u64 = report.accounts.values().map(|account| account.records + u64::from(account.has_creds)).sum();
            assert_eq!(kept, state.len() as u64, "the report counts what is there");
            backend.close().expect("a repaired cask can be closed");
        }
    }
}
