//! util.datamanager's files: their names and what is in them.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes of one file; Prosody keeps at most 10 000 messages in one.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// util.datamanager's names: `%` and two hexadecimal digits for what is not a letter or a digit.
pub(super) fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.extend(hexadecimal(digits)?);
            rest = &after[2..];
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

/// What a folder has, in the order of the names.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error| format!("{} cannot be read: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        found.push(entry.map_err(cannot)?.path());
    }
    found.sort();
    Ok(found)
}

pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// A whole file, or none if it is not there.
pub(super) fn contents(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let cannot = |error: std::io::Error| match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "you may not read {}: run this as the user that Prosody runs as, or on a copy",
            path.display()
        ),
        _ => format!("{} cannot be read: {error}", path.display()),
    };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    match bytes.len() as u64 <= FILE_BYTES {
        true => Ok(Some(bytes)),
        false => Err(format!(
            "{} is longer than {} MiB: it is no file of Prosody's",
            path.display(),
            FILE_BYTES / 1024 / 1024
        )),
    }
}

pub(super) fn unreadable(path: &Path, why: &str) -> String {
    format!(
        "{} is no file of Prosody's: {why}; stop Prosody, and take the directory as it is then",
        path.display()
    )
}
