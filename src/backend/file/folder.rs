//! The folder of a cask: made, checked, and held against other processes.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(unix)]
use rustix::fs::OFlags;
use serde_json::{Value, json};

use super::folder_fs;
use super::fs::{Fs, open_to_read};
use super::manifest_file::{MANIFEST, MANIFEST_TEMP, POISON_MARKER};
use super::network_fs;
use super::sealing::{KEY, KEY_CHANGES, KEY_TEMP};
use crate::error::{Error, ErrorKind, Result};

/// File that is locked while the folder is held. It is never removed and never renamed.
pub const LOCK: &str = "lock";
/// File that says who holds the lock.
pub const OWNER: &str = "owner";
/// End of the name of a folder that is being written and does not count yet.
pub const PARTIAL_SUFFIX: &str = ".partial";
/// File that says that a folder is being written and does not count yet.
pub const INCOMPLETE: &str = "incomplete";
/// More than what an owner file says.
const MOST_OWNER_BYTES: u64 = 64 << 10;
/// How long to look for an owner that is alive before giving up on naming it.
const OWNER_WAIT: Duration = Duration::from_millis(100);

/// What identifies an open folder: two paths to one folder have the same, a folder that replaced another has not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FolderKey {
    #[cfg(unix)]
    inode: (u64, u64),
    #[cfg(not(unix))]
    path: PathBuf,
}

impl FolderKey {
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata, _: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { inode: (metadata.dev(), metadata.ino()) }
    }

    #[cfg(not(unix))]
    fn of(_: &fs::Metadata, path: &Path) -> Self {
        Self { path: path.into() }
    }
}

/// A folder that is ready to be locked.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    file: File,
    key: FolderKey,
    /// Things its owner may want to know, in sentences.
    pub warnings: Vec<String>,
}

/// A folder that this process holds.
#[derive(Debug)]
pub struct FolderHold {
    path: PathBuf,
    file: File,
    key: FolderKey,
}

impl Folder {
    /// Makes or checks the folder and opens its lock file.
    ///
    /// # Errors
    /// `InvalidArgument` for a path that is no folder or holds something else, `Io`. What was there stays as it was.
    pub fn prepare(path: &Path) -> Result<Self> {
        let mut warnings = Vec::new();
        refuse_unfinished(path)?;
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(refuse(path, "is a file; give the path of a folder"));
            }
            Ok(metadata) => {
                check_existing(path, &metadata, &mut warnings)?;
                // Whoever made the folder may not have lived to bring its name to disk, or has left that to us.
                if !path.join(MANIFEST).exists() {
                    let _ = sync_name(path);
                }
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => {
                return Err(refuse(path, "lies inside a file; give the path of a folder"));
            }
            Err(cause) => return Err(Error::io("stat", path, &cause)),
        }
        let path = fs::canonicalize(path).map_err(|cause| Error::io("realpath", path, &cause))?;
        warnings.extend(network_fs::warning(&path));
        let lock_path = path.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            // A link that leads nowhere would have a file made there.
            options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
        }
        let file = options.open(&lock_path).map_err(|cause| Error::io("open", &lock_path, &cause))?;
        let metadata = file.metadata().map_err(|cause| Error::io("fstat", &lock_path, &cause))?;
        let key = FolderKey::of(&metadata, &path);
        Ok(Self { path, file, key, warnings })
    }

    /// A folder that holds a cask already, though it may be a damaged one.
    ///
    /// # Errors
    /// `InvalidArgument` where there is none, `Io`. Nothing is made there then.
    pub fn existing(path: &Path) -> Result<Self> {
        if !holds_cask(path)? {
            return Err(refuse(path, "holds no cask; give the path of one, or mount what is to be there"));
        }
        Self::prepare(path)
    }

    /// Keeps a folder from being opened while it is only looked at. Changes nothing in it.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no folder or it is not finished, `Locked` where somebody has it open, `Io`.
    pub fn hold_shared(path: &Path) -> Result<SharedHold> {
        refuse_unfinished(path)?;
        let path = fs::canonicalize(path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => refuse(path, "does not exist; give the path of a cask"),
            _ => Error::io("realpath", path, &cause),
        })?;
        let lock_path = path.join(LOCK);
        let file = match open_to_read(&lock_path) {
            Ok(file) => file,
            // Who opens a cask makes this file first, and who makes a backup: a copy that somebody made without it has none.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(SharedHold { path, file: None }),
            Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => {
                return Err(refuse(&path, "is a file; give the path of a cask"));
            }
            Err(cause) => return Err(Error::io("open", &lock_path, &cause)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(SharedHold { path, file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(locked(&path)),
            Err(TryLockError::Error(cause)) => Err(Error::io("flock", &lock_path, &cause)),
        }
    }

    /// What identifies the folder at a path, where it has been one of a cask. Changes nothing.
    #[must_use]
    pub fn key_at(path: &Path) -> Option<FolderKey> {
        let path = fs::canonicalize(path).ok()?;
        let metadata = fs::metadata(path.join(LOCK)).ok()?;
        Some(FolderKey::of(&metadata, &path))
    }

    /// Absolute path, links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What identifies the folder.
    #[must_use]
    pub const fn key(&self) -> &FolderKey {
        &self.key
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// `Locked` where somebody else holds it, with `pid` and `host` where they can be told; `Io`.
    pub fn hold(self) -> Result<FolderHold> {
        match self.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(&self.path)),
            Err(TryLockError::Error(cause)) => return Err(Error::io("flock", &self.path.join(LOCK), &cause)),
        }
        let hold = FolderHold { path: self.path, file: self.file, key: self.key };
        hold.check_in_place()?;
        // It is for messages only. On a full disk there is no room for it, and the cask has to be opened to give some back.
        if hold.write_owner().is_err() {
            let _ = fs::remove_file(hold.path.join(OWNER));
        }
        Ok(hold)
    }
}

/// A folder that nobody can open meanwhile.
#[derive(Debug)]
pub struct SharedHold {
    path: PathBuf,
    file: Option<File>,
}

impl SharedHold {
    /// Absolute path, links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SharedHold {
    /// As for [`FolderHold`].
    fn drop(&mut self) {
        let _ = self.file.as_ref().map(File::unlock);
    }
}

fn locked(folder: &Path) -> Error {
    let shown = folder.display();
    let base = |message: String| Error::new(ErrorKind::Locked, message).with_text("path", shown.to_string());
    match find_owner(folder) {
        // Two containers with one volume may well run the same process number.
        Some((pid, host)) if pid == std::process::id() && host == host_name() => base(format!(
            "{shown} is open in this process through another copy of baileys-cask (a second version, a bundle, or a fresh \
             module cache); use one copy, or close it there first"
        ))
        .with_number("pid", u64::from(pid)),
        Some((pid, host)) => base(format!(
            "{shown} is held by process {pid} on {host}; stop that process or set openWaitMs, and never run two gateways on one folder"
        ))
        .with_number("pid", u64::from(pid))
        .with_text("host", host),
        None => base(format!("{shown} is held by an unknown process; stop it or set openWaitMs")),
    }
}

/// Who holds the lock. The owner file is written after the lock is taken, so it may lag behind for a moment.
fn find_owner(folder: &Path) -> Option<(u32, String)> {
    let deadline = Instant::now() + OWNER_WAIT;
    loop {
        if let Some(owner) = read_owner(&folder.join(OWNER)) {
            return Some(owner);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl FolderHold {
    /// Whether the path still leads to the folder that is held, as far as that can be told.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        match fs::metadata(self.path.join(LOCK)) {
            Ok(metadata) => FolderKey::of(&metadata, &self.path) == self.key,
            Err(cause) => !matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    fn check_in_place(&self) -> Result<()> {
        if self.is_in_place() {
            return Ok(());
        }
        let shown = self.path.display().to_string();
        Err(Error::new(ErrorKind::Locked, format!("{shown} was replaced while it was being opened; try again"))
            .with_text("path", shown))
    }

    /// The file system for what is done in the folder that is held, whatever comes to stand at its path.
    ///
    /// # Errors
    /// `Io`; `Locked` where something stands there by now.
    pub fn fs(&self) -> Result<Arc<dyn Fs>> {
        let fs = folder_fs::hold(&self.path).map_err(|cause| Error::io("open", &self.path, &cause))?;
        self.check_in_place()?;
        Ok(fs)
    }

    fn write_owner(&self) -> Result<()> {
        let path = self.path.join(OWNER);
        let facts = json!({
            "pid": std::process::id(),
            "host": host_name(),
            "started": process_start(std::process::id()),
            "bootId": hex(&boot_id()),
            "version": env!("CARGO_PKG_VERSION"),
        });
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            // What is there may be a link that somebody else has put there, or a pipe: nothing is written through it.
            options.mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
        }
        let mut file = options.open(&path).map_err(|cause| Error::io("open", &path, &cause))?;
        io::Write::write_all(&mut file, facts.to_string().as_bytes()).map_err(|cause| Error::io("write", &path, &cause))
    }

    /// Lets the folder go, without a word of who has held it.
    pub fn release(self, fs: &dyn Fs) {
        let _ = fs.remove(&self.path.join(OWNER));
    }
}

impl Drop for FolderHold {
    /// Closing the file is not enough: a child process that is being started has a copy of its descriptor for a moment.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn refuse(path: &Path, what: &str) -> Error {
    refuse_argument("path", path, what)
}

/// Says what is wrong with a path that an argument gave.
pub(super) fn refuse_argument(argument: &str, path: &Path, what: &str) -> Error {
    let shown = path.display();
    Error::new(ErrorKind::InvalidArgument, format!("{shown} {what}"))
        .with_text("path", shown.to_string())
        .with_text("argument", argument)
}

/// Whether a folder has the manifest or a segment of a cask: a manifest is made before anything else.
fn holds_cask(path: &Path) -> Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(false),
        Err(cause) => return Err(Error::io("readdir", path, &cause)),
    };
    for entry in entries {
        let name = entry.map_err(|cause| Error::io("readdir", path, &cause))?.file_name();
        let name = name.to_string_lossy();
        if name == MANIFEST || super::segments::id_of_file_name(&name).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses a backup or a repaired cask that is not finished.
fn refuse_unfinished(path: &Path) -> Result<()> {
    let is_named_so = path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(PARTIAL_SUFFIX));
    if is_named_so || path.join(INCOMPLETE).exists() {
        return Err(refuse(path, "is a backup or a repaired cask that was not finished, and lacks records; make it again"));
    }
    Ok(())
}

fn create(path: &Path) -> Result<()> {
    // Every folder on the way that is made here needs its name on disk, not only the last.
    let made: Vec<&Path> = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|cause| Error::io("mkdir", path, &cause))?;
    made.into_iter().try_for_each(sync_name)
}

/// Brings the name of a folder to disk, before anything in the folder is.
fn sync_name(path: &Path) -> Result<()> {
    #[cfg(unix)]
    if let Some(parent) = fs::canonicalize(path).ok().and_then(|path| path.parent().map(Path::to_path_buf)) {
        File::open(&parent).and_then(|folder| folder.sync_all()).map_err(|cause| Error::io("fsync", &parent, &cause))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn check_existing(path: &Path, metadata: &fs::Metadata, warnings: &mut Vec<String>) -> Result<()> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            warnings.push(format!(
                "{} can be entered by other users (mode {mode:o}); it holds keys, so give it mode 700",
                path.display()
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = (metadata, warnings);
    // The order of the names is the file system's, so nothing is decided before all were seen.
    let (mut foreign, mut baileys) = (false, false);
    for entry in fs::read_dir(path).map_err(|cause| Error::io("readdir", path, &cause))? {
        let name = entry.map_err(|cause| Error::io("readdir", path, &cause))?.file_name();
        let name = name.to_string_lossy();
        if name == MANIFEST {
            return Ok(());
        }
        baileys |= name == "creds.json";
        // Segments without a manifest are a damaged cask, which opening reports as such; lost+found is a fresh volume's.
        let ours = [LOCK, OWNER, MANIFEST_TEMP, POISON_MARKER, KEY, KEY_TEMP, KEY_CHANGES, "lost+found"].contains(&&*name)
            || super::segments::id_of_file_name(&name).is_some();
        foreign |= !ours;
    }
    if baileys {
        return Err(refuse(
            path,
            "is a folder of Baileys' useMultiFileAuthState; give the cask a folder of its own, which may lie beside it",
        ));
    }
    if foreign { Err(refuse(path, "holds files that are not a cask's; give an empty or a new folder")) } else { Ok(()) }
}

/// What an owner file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Owner {
    /// Number of the process.
    pub pid: u32,
    /// Name of its machine.
    pub host: String,
    /// When it started, in the operating system's own measure.
    started: Option<Value>,
}

/// Reads an owner file; `None` where it is not whole, or is none.
#[must_use]
pub fn parse_owner(bytes: &[u8]) -> Option<Owner> {
    let facts: Value = serde_json::from_slice(bytes).ok()?;
    Some(Owner {
        pid: u32::try_from(facts.get("pid")?.as_u64()?).ok()?,
        host: facts.get("host")?.as_str()?.to_string(),
        started: facts.get("started").cloned(),
    })
}

fn read_owner(path: &Path) -> Option<(u32, String)> {
    let mut bytes = Vec::new();
    open_to_read(path).ok()?.take(MOST_OWNER_BYTES).read_to_end(&mut bytes).ok()?;
    let Owner { pid, host, started } = parse_owner(&bytes)?;
    // On another host nothing can be checked. On this one the process must be alive and must have started when it says.
    let alive = host != host_name() || started == Some(process_start(pid));
    alive.then_some((pid, host))
}

/// When a process started, in the operating system's own measure; `"gone"` for one that runs no more.
#[cfg(target_os = "linux")]
fn process_start(pid: u32) -> Value {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return Value::String("gone".into()) };
    // The command's name may hold spaces and parentheses; fields are counted from its last one.
    let start = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(19)?.parse::<u64>().ok());
    start.map_or(Value::Null, Value::from)
}

/// When a process started; null, since it cannot be told here.
#[cfg(not(target_os = "linux"))]
fn process_start(_: u32) -> Value {
    Value::Null
}

/// Name of this machine.
fn host_name() -> String {
    #[cfg(unix)]
    return rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Identity of the operating system's current run; zeros where there is none.
#[must_use]
pub fn boot_id() -> [u8; 16] {
    let mut id = [0; 16];
    #[cfg(target_os = "linux")]
    if let Ok(text) = fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        for (slot, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            if let [high, low] = pair {
                *slot = high << 4 | low;
            }
        }
    }
    id
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::fs::OsFs;
    use super::*;

    #[test]
    fn a_folder_is_free_once_its_hold_is_gone_though_a_child_still_has_the_descriptor() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("cask");
        for is_released in [true, false] {
            let hold = Folder::prepare(&path).unwrap().hold().unwrap();
            let of_a_child = hold.file.try_clone().unwrap();
            if is_released {
                hold.release(&OsFs)
            } else {
                drop(hold)
            }
            drop(Folder::prepare(&path).unwrap().hold().unwrap());
            drop(of_a_child);
        }
    }
}
