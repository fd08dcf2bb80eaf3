//! The form of a value: one byte of version, then fields, each with its length before it.
//!
//! Reading is total: any bytes give a record or a [`RecordError`], never a panic. A version that this snug does not know is an error of its own, for the
//! operator has put an older snug on newer data and must hear that.

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Written by a newer snug: the version found, and the highest that is known here.
    Newer { found: u8, known: u8 },
    /// Not what was written: cut, or changed.
    Damaged,
}

/// Writes one record.
pub struct RecordWriter {
    bytes: Vec<u8>,
}

impl RecordWriter {
    /// Begins a record of this version, 1 to 255.
    pub fn new(version: u8) -> RecordWriter {
        assert!(version != 0, "version 0 marks a record in pieces");
        RecordWriter {
            bytes: vec![version],
        }
    }

    /// Like [`RecordWriter::new`], in a buffer that had another record before.
    pub fn again(mut buffer: Vec<u8>, version: u8) -> RecordWriter {
        assert!(version != 0, "version 0 marks a record in pieces");
        buffer.clear();
        buffer.push(version);
        RecordWriter { bytes: buffer }
    }

    /// One field. The length is written in groups of seven bits, lowest first.
    pub fn bytes(&mut self, field: &[u8]) -> &mut Self {
        let mut length = field.len();
        while length >= 0x80 {
            self.bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.bytes.push(length as u8);
        self.bytes.extend_from_slice(field);
        self
    }

    /// A field of text.
    pub fn text(&mut self, field: &str) -> &mut Self {
        self.bytes(field.as_bytes())
    }

    /// Two fields: whether there is a text, and the text.
    pub fn optional(&mut self, field: Option<&str>) -> &mut Self {
        self.flag(field.is_some()).text(field.unwrap_or(""))
    }

    /// A field of one byte.
    pub fn byte(&mut self, field: u8) -> &mut Self {
        self.bytes(&[field])
    }

    /// A field of one byte, 0 or 1.
    pub fn flag(&mut self, field: bool) -> &mut Self {
        self.byte(u8::from(field))
    }

    /// A field of four bytes.
    pub fn u32(&mut self, field: u32) -> &mut Self {
        self.bytes(&field.to_be_bytes())
    }

    /// A field of eight bytes.
    pub fn u64(&mut self, field: u64) -> &mut Self {
        self.bytes(&field.to_be_bytes())
    }

    /// The last field, without a length: what `write` appends.
    pub fn rest(mut self, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        write(&mut self.bytes);
        self.bytes
    }

    /// The record.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads one record, field after field in the order they were written.
pub struct RecordReader<'a> {
    rest: &'a [u8],
    version: u8,
}

impl<'a> RecordReader<'a> {
    /// Begins to read; `known` is the highest version that the caller understands.
    pub fn new(bytes: &'a [u8], known: u8) -> Result<RecordReader<'a>, RecordError> {
        match bytes.split_first() {
            None | Some((0, _)) => Err(RecordError::Damaged),
            Some((&found, _)) if found > known => Err(RecordError::Newer { found, known }),
            Some((&version, rest)) => Ok(RecordReader { rest, version }),
        }
    }

    /// The version of this record, 1 to the `known` of [`RecordReader::new`].
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The next field.
    pub fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let mut length = 0usize;
        let mut shift = 0;
        loop {
            let (&byte, rest) = self.rest.split_first().ok_or(RecordError::Damaged)?;
            self.rest = rest;
            // Four groups are 28 bits: more than any record has, and no overflow on 32-bit machines.
            if shift > 21 {
                return Err(RecordError::Damaged);
            }
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
        let (field, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(RecordError::Damaged)?;
        self.rest = rest;
        Ok(field)
    }

    /// A field of text.
    pub fn text(&mut self) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| RecordError::Damaged)
    }

    /// What [`RecordWriter::optional`] wrote.
    pub fn optional(&mut self) -> Result<Option<&'a str>, RecordError> {
        let there = self.flag()?;
        let text = self.text()?;
        Ok(there.then_some(text))
    }

    /// A field of one byte.
    pub fn byte(&mut self) -> Result<u8, RecordError> {
        match self.bytes()? {
            [byte] => Ok(*byte),
            _ => Err(RecordError::Damaged),
        }
    }

    /// A field of one byte, 0 or 1.
    pub fn flag(&mut self) -> Result<bool, RecordError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::Damaged),
        }
    }

    /// A field of four bytes.
    pub fn u32(&mut self) -> Result<u32, RecordError> {
        self.bytes()?
            .try_into()
            .map(u32::from_be_bytes)
            .map_err(|_| RecordError::Damaged)
    }

    /// A field of eight bytes.
    pub fn u64(&mut self) -> Result<u64, RecordError> {
        self.bytes()?
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| RecordError::Damaged)
    }

    /// What [`RecordWriter::rest`] wrote.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Says that nothing may follow.
    pub fn end(self) -> Result<(), RecordError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(RecordError::Damaged)
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Decodes what is like a real record and is none: random bytes, every cut, every bit turned. What is read is written and read again the same.
    pub fn no_bytes_panic(
        record: &[u8],
        read_and_write: impl Fn(&[u8]) -> Result<Vec<u8>, RecordError>,
    ) {
        assert_eq!(read_and_write(record).as_deref(), Ok(record));
        for cut in 0..record.len() {
            assert!(read_and_write(&record[..cut]).is_err(), "cut at {cut}");
        }
        let mut turned = record.to_vec();
        for bit in 0..record.len() * 8 {
            turned[bit / 8] ^= 1 << (bit % 8);
            if let Ok(written) = read_and_write(&turned) {
                assert_eq!(read_and_write(&written).as_ref(), Ok(&written), "bit {bit}");
            }
            turned[bit / 8] ^= 1 << (bit % 8);
        }
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..100_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut bytes = [0; 40];
            for (place, byte) in bytes.iter_mut().enumerate() {
                *byte = (state >> (place % 8 * 8)) as u8 & if place % 3 == 0 { 0xff } else { 0x0f };
            }
            bytes[0] = 1;
            let _ = read_and_write(&bytes[..(state >> 32) as usize % 41]);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "ä".repeat(70_000);
        let mut writer = RecordWriter::new(3);
        writer
            .text("anna")
            .u32(7)
            .u64(u64::MAX)
            .flag(true)
            .optional(None)
            .optional(Some(""))
            .text(&long);
        let bytes = writer.finish();
        let mut reader = RecordReader::new(&bytes, 3).unwrap();
        assert_eq!(reader.version(), 3);
        assert_eq!(reader.text(), Ok("anna"));
        assert_eq!(reader.u32(), Ok(7));
        assert_eq!(reader.u64(), Ok(u64::MAX));
        assert_eq!(reader.flag(), Ok(true));
        assert_eq!(reader.optional(), Ok(None));
        assert_eq!(reader.optional(), Ok(Some("")));
        assert_eq!(reader.text(), Ok(long.as_str()));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn a_newer_version_is_said_to_be_newer() {
        let bytes = RecordWriter::new(9).finish();
        assert_eq!(
            RecordReader::new(&bytes, 8).err(),
            Some(RecordError::Newer { found: 9, known: 8 })
        );
        assert_eq!(RecordReader::new(&[], 8).err(), Some(RecordError::Damaged));
        assert_eq!(
            RecordReader::new(&[0, 1], 8).err(),
            Some(RecordError::Damaged)
        );
    }

    #[test]
    fn lengths_that_lie_are_damage() {
        for bytes in [
            &[1u8, 5, b'a'][..],
            &[1, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[1, 0x80],
            &[1],
        ] {
            assert_eq!(
                RecordReader::new(bytes, 1).unwrap().bytes(),
                Err(RecordError::Damaged),
                "{bytes:?}"
            );
        }
    }
}
