//! The file system that a folder is on, by Linux's `mountinfo`.

use std::path::{Path, PathBuf};

/// Whether what is in a folder goes with the container or the machine's memory: it is in a container's own layer, or in
/// memory. `false` where that cannot be found out.
pub fn is_ephemeral(folder: &Path) -> bool {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return false };
    // The folder may not be there yet: what is above it decides.
    let mut absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    while !absolute.exists() && absolute.pop() {}
    let folder = absolute.canonicalize().unwrap_or(absolute);
    matches!(file_system(&mounts, &folder).as_deref(), Some("overlay" | "tmpfs" | "ramfs"))
}

/// The type of the file system that an absolute path is on, by the text of `mountinfo` (proc(5)).
fn file_system(mounts: &str, path: &Path) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let (mount, file_system) = line.split_once(" - ")?;
        let point = unescape(mount.split(' ').nth(4)?);
        let depth = point.components().count();
        // Of two at one place, the later one hides the other.
        if path.starts_with(&point) && best.is_none_or(|(deepest, _)| depth >= deepest) {
            best = Some((depth, file_system.split(' ').next()?));
        }
    }
    best.map(|(_, kind)| kind.to_owned())
}

/// Spaces and the like are written as `\\040`.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = escaped.filter(|_| first == b'\\') {
            bytes.push(byte);
            rest = &after[3..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 0:20 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/a,upperdir=/b
30 22 0:25 / /proc rw - proc proc rw
31 22 0:26 / /tmp rw,nosuid - tmpfs tmpfs rw
32 22 254:1 /vol /data rw,relatime - ext4 /dev/vda rw
33 32 254:1 /vol /data/with\\040space rw - xfs /dev/vdb rw
34 31 254:1 / /tmp rw - ext4 /dev/vdc rw
";

    #[test]
    fn the_deepest_and_last_mount_decides() {
        for (path, kind) in [
            ("/", "overlay"),
            ("/app/data", "overlay"),
            ("/data", "ext4"),
            ("/data/aa", "ext4"),
            ("/database", "overlay"),
            ("/data/with space/x", "xfs"),
            ("/tmp/x", "ext4"),
            ("/proc/self", "proc"),
        ] {
            assert_eq!(file_system(MOUNTS, Path::new(path)).as_deref(), Some(kind), "{path}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_answer() {
        for mounts in ["", "nonsense", "1 2 3 - ", "1 2 3 4 5 - x", "22 1 0:20 / - overlay"] {
            let _ = file_system(mounts, Path::new("/"));
        }
        assert_eq!(file_system("", Path::new("/data")), None);
        assert!(!is_ephemeral(Path::new("/proc/none/of/this")));
    }
}
