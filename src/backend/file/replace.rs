//! Small files that are replaced as a whole.

use std::io;
use std::path::Path;

use super::fs::{Fs, write_all_at};
use crate::error::{Error, Result};

/// Puts a file in the place of the one of that name: after a crash exactly one of the two is there, whole. `temp` is its name until then.
///
/// # Errors
/// `Io`.
pub(super) fn replace(fs: &dyn Fs, folder: &Path, name: &str, temp: &str, bytes: &[u8]) -> Result<()> {
    let (place, temp) = (folder.join(name), folder.join(temp));
    match fs.remove(&temp) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(Error::io("unlink", &temp, &cause)),
        _ => {}
    }
    let file = fs.create_new(&temp).map_err(|cause| Error::io("open", &temp, &cause))?;
    write_all_at(&*file, bytes, 0).map_err(|(_, cause)| Error::io("write", &temp, &cause))?;
    file.sync_data().map_err(|cause| Error::io("fdatasync", &temp, &cause))?;
    fs.rename(&temp, &place).map_err(|cause| Error::io("rename", &place, &cause))?;
    fs.sync_folder(folder).map_err(|cause| Error::io("fsync", folder, &cause))
}
