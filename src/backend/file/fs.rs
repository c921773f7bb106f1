//! The file system as the log uses it: a small trait, so that a fault-injecting double can take its place.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

#[cfg(unix)]
use rustix::fs::OFlags;

use crate::error::Error;

/// Bytes that are in memory while a file is copied piece by piece.
const COPIED_AT_ONCE: usize = 1 << 20;

/// An open file of the log.
pub trait FsFile: Send + Sync + Debug {
    /// Reads at most `buf.len()` bytes at an offset; 0 is the end of the file.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Like [`Self::read_at`], but gives `None` where it would have to wait for the disk. A file system that cannot tell waits.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at_once(&self, buf: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        self.read_at(buf, offset).map(Some)
    }

    /// Writes at most `bytes.len()` bytes at an offset and says how many it wrote.
    ///
    /// # Errors
    /// What the operating system says; then nothing of `bytes` counts as written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Waits until all written bytes are on disk.
    ///
    /// # Errors
    /// What the operating system says; then what is on disk is uncertain.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts or extends the file.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Length of the file in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Files and folders.
pub trait Fs: Send + Sync + Debug {
    /// Makes a new file for reading and writing, readable by its owner only.
    ///
    /// # Errors
    /// What the operating system says; `AlreadyExists` where the name is taken.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn FsFile>>;

    /// Opens a file for reading and syncing.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>>;

    /// Names in a folder.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Gives a file another name, in place of the file that has it.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Cuts a file that is longer to a length. Only room is lost where it fails, or where a file system cannot do it.
    ///
    /// # Errors
    /// What the operating system says.
    fn trim(&self, path: &Path, len: u64) -> io::Result<()> {
        let _ = (path, len);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Bytes that are free for this process on the file system of a folder; `None` where that is not known.
    fn free_bytes(&self, folder: &Path) -> Option<u64> {
        let _ = folder;
        None
    }

    /// Removes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder that only its owner may enter.
    ///
    /// # Errors
    /// What the operating system says; `AlreadyExists` where the name is taken.
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives a file a second name.
    ///
    /// # Errors
    /// What the operating system says; `AlreadyExists` where the name is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes a new file of the first `len` bytes of another one, in the cheapest way there is; gives whether it shares the other's
    /// room on disk as long as neither changes.
    ///
    /// # Errors
    /// What the operating system says; `AlreadyExists` where the name is taken, `UnexpectedEof` where the other one is shorter.
    fn copy(&self, from: &Path, to: &Path, len: u64) -> io::Result<bool> {
        let (source, target) = (self.open(from)?, self.create_new(to)?);
        let mut piece = vec![0; COPIED_AT_ONCE.min(usize::try_from(len).unwrap_or(COPIED_AT_ONCE))];
        let mut at = 0;
        while at < len {
            let wanted = usize::try_from(len - at).unwrap_or(usize::MAX).min(piece.len());
            let read = match source.read_at(piece.get_mut(..wanted).unwrap_or_default(), at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => return Err(cause),
            };
            write_all_at(&*target, piece.get(..read).unwrap_or_default(), at).map_err(|(_, cause)| cause)?;
            at += read as u64;
        }
        Ok(false)
    }

    /// Waits until the names of a folder are on disk.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// Reads from an offset of a file until the buffer is full or the file ends; gives the count of bytes read.
///
/// # Errors
/// What the operating system says.
pub fn fill_at(file: &dyn FsFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads a whole file.
///
/// # Errors
/// What the operating system says.
pub fn read_all(file: &dyn FsFile) -> io::Result<Vec<u8>> {
    read_at_most(file, usize::MAX)
}

/// The bytes of the file at a path; `None` where there is none. Of a file of more than `most` bytes, which is not whole then, one more than
/// those.
///
/// # Errors
/// `Io`.
pub fn read_if_there(fs: &dyn Fs, path: &Path, most: usize) -> crate::error::Result<Option<Vec<u8>>> {
    match fs.open(path) {
        Ok(file) => read_at_most(&*file, most).map(Some).map_err(|cause| Error::io("read", path, &cause)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::io("open", path, &cause)),
    }
}

/// Reads a whole file; of one of more than `most` bytes, one more than those.
///
/// # Errors
/// What the operating system says.
pub fn read_at_most(file: &dyn FsFile, most: usize) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?.min(most.saturating_add(1));
    let mut bytes = Vec::new();
    // A file may say that it is longer than any memory.
    bytes.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.resize(len, 0);
    let filled = fill_at(file, &mut bytes, 0)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// Writes all bytes at an offset. On failure says how many were written before it.
///
/// # Errors
/// The count of bytes written before, and what the operating system says.
pub fn write_all_at(file: &dyn FsFile, bytes: &[u8], offset: u64) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, offset + written as u64) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// The operating system's file system.
#[derive(Debug, Default)]
pub struct OsFs;

impl FsFile for File {
    #[cfg(unix)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, buf, offset)
    }

    #[cfg(target_os = "linux")]
    fn read_at_once(&self, buf: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};
        match preadv2(self, &mut [io::IoSliceMut::new(buf)], offset, ReadWriteFlags::NOWAIT) {
            Ok(count) => Ok(Some(count)),
            Err(Errno::AGAIN) => Ok(None),
            // Older kernels, some file systems and sandboxes do not know the flag.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => FsFile::read_at(self, buf, offset).map(Some),
            Err(cause) => Err(cause.into()),
        }
    }

    /// Without the C library, whose `pwrite` is a point at which a thread can be cancelled: that costs, and none of ours ever is.
    #[cfg(target_os = "linux")]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwrite(self, bytes, offset)?)
    }

    #[cfg(all(unix, not(target_os = "linux")))]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(self, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl Fs for OsFs {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        Ok(Arc::new(create_new_file(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        Ok(Arc::new(open_to_read(path)?))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[cfg(unix)]
    fn free_bytes(&self, folder: &Path) -> Option<u64> {
        let facts = rustix::fs::statvfs(folder).ok()?;
        facts.f_bavail.checked_mul(facts.f_frsize)
    }

    fn trim(&self, path: &Path, len: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.set_len(len)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn copy(&self, from: &Path, to: &Path, len: u64) -> io::Result<bool> {
        copy_file(File::open(from)?, to, len)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = folder;
        Ok(())
    }
}

/// Opens a file for reading and syncing. A pipe in its place is read as an empty file: nobody waits for its other end.
pub(super) fn open_to_read(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Windows flushes only through a handle that may write.
    options.read(true).write(cfg!(windows));
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, OFlags::NONBLOCK.bits() as i32);
    options.open(path)
}

/// [`Fs::copy`] of an open file.
pub(super) fn copy_file(source: File, to: &Path, len: u64) -> io::Result<bool> {
    let mut target = create_new_file(to)?;
    if clone_file(&source, &target) {
        if target.metadata()?.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        File::set_len(&target, len)?;
        return Ok(true);
    }
    // The standard library lets the kernel do it where that can.
    if io::copy(&mut io::Read::take(source, len), &mut target)? < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(false)
}

fn create_new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes an empty file share all blocks of another one, where the file system can.
fn clone_file(source: &File, target: &File) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::fs::ioctl_ficlone(target, source).is_ok();
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (source, target);
        false
    }
}
