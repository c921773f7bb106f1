//! File systems whose locks and syncs are those of a server.

use std::path::Path;

/// What a cask's owner should know of the file system that its folder is on. Only Linux says.
pub(super) fn warning(folder: &Path) -> Option<String> {
    let name = name_of(kind_of(folder)?)?;
    Some(format!(
        "{} is on {name}, where neither locks nor syncs can be relied on: two processes may open it, and what was synced may be lost; \
         keep it on a local disk",
        folder.display()
    ))
}

#[cfg(target_os = "linux")]
fn kind_of(folder: &Path) -> Option<u32> {
    // The number has 32 bits; where words have as many, some are negative.
    rustix::fs::statfs(folder).ok().map(|facts| facts.f_type as u32)
}

#[cfg(not(target_os = "linux"))]
fn kind_of(_: &Path) -> Option<u32> {
    None
}

/// By the numbers of `statfs(2)`.
const fn name_of(kind: u32) -> Option<&'static str> {
    match kind {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nfs_and_smb_are_told_from_local_file_systems() {
        assert_eq!([0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42].map(name_of), [Some("NFS"), Some("SMB"), Some("SMB"), Some("SMB")]);
        let [ext4, btrfs, xfs, tmpfs, overlay] = [0xef53, 0x9123_683e, 0x5846_5342, 0x0102_1994, 0x794c_7630];
        assert_eq!([ext4, btrfs, xfs, tmpfs, overlay].map(name_of), [None; 5]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_kind_is_read() {
        let proc = Path::new("/proc");
        assert_eq!(kind_of(proc), Some(0x9fa0));
        assert_eq!(warning(proc), None);
    }
}
