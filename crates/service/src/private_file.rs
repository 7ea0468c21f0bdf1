//! Files that only their owner may read: secrets that a program makes for itself.

use std::path::Path;

use secrecy::SecretString;
use zeroize::Zeroizing;

/// Reads a private file, or creates it with mode 0600.
///
/// If several processes create it at once, the first wins and all read its content. A crash leaves no partial file.
pub fn read_or_make_private(
    path: &Path,
    content: impl FnOnce() -> String,
) -> std::io::Result<SecretString> {
    use std::io::Write as _;
    match std::fs::read_to_string(path) {
        Ok(text) => return Ok(text.into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(folder) = path.parent() {
        make_private_folder(folder)?;
    }
    // Written completely under another name first; a hard link never overwrites.
    let draft = path.with_extension(std::process::id().to_string());
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{}", *Zeroizing::new(content()))?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => std::fs::read_to_string(path).map(Into::into),
    }
}

/// Creates a folder, and those above it, that only their owner may enter (mode 0700).
///
/// # Errors
/// When it cannot be created.
pub fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes a file that only its owner may read (mode 0600), instead of what is there.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(content)
}
