//! What clients can, by the hash that they show (XEP-0115): so that a restart asks nobody again.

use super::Store;
use super::error::StoreError;
use super::keys::{self, CAPABILITIES};
use super::record::{RecordError, RecordReader, RecordWriter};
use crate::limits::CAPS_STORED;

const VERSION: u8 = 1;

struct Kept<'a> {
    name: &'a str,
    /// Milliseconds since 1970 when it was learned.
    at_ms: u64,
    text: &'a str,
}

impl Store {
    /// The verified text behind a hash; `name` is the hash's name and value with a space between.
    pub fn capabilities(&self, name: &str) -> Result<Option<String>, StoreError> {
        match self.main.get(CAPABILITIES, &keys::capabilities(name))? {
            Some(value) => {
                let kept = decode(&value).map_err(StoreError::record("capabilities"))?;
                Ok((kept.name == name).then(|| kept.text.to_owned()))
            }
            None => Ok(None),
        }
    }

    /// Keeps a text that was verified. Of more than `limits::CAPS_STORED` the one goes that was learned first: a scan, for what is new only.
    /// `Full` if the disk is nearly full.
    pub fn put_capabilities(&self, name: &str, at_ms: u64, text: &str) -> Result<(), StoreError> {
        self.room_to_grow()?;
        let mut count = 0;
        let mut oldest = None;
        for entry in self.main.scan(CAPABILITIES, b"")? {
            let (key, value) = entry?;
            let kept = decode(&value).map_err(StoreError::record("capabilities"))?;
            count += 1;
            if oldest.as_ref().is_none_or(|(at_ms, _)| kept.at_ms < *at_ms) {
                oldest = Some((kept.at_ms, key));
            }
        }
        if let Some((_, key)) = oldest.filter(|_| count >= CAPS_STORED) {
            self.main.remove(CAPABILITIES, &key)?;
        }
        let mut writer = RecordWriter::new(VERSION);
        writer.text(name).u64(at_ms).text(text);
        self.main
            .put(CAPABILITIES, &keys::capabilities(name), &writer.finish())
    }
}

fn decode(value: &[u8]) -> Result<Kept<'_>, RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let kept = Kept {
        name: reader.text()?,
        at_ms: reader.u64()?,
        text: reader.text()?,
    };
    reader.end()?;
    Ok(kept)
}
