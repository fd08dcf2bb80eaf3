//! Reads the tables that Prosody writes as Lua (util.serialization): constants only, nothing is run. Total and bounded: any bytes give a value or an error.

/// Nesting of tables; Prosody writes no more than 127.
const DEPTH: u32 = 128;

/// A constant of Lua.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `nil`
    Nil,
    /// `true` and `false`
    Bool(bool),
    /// Any number.
    Number(f64),
    /// Any bytes.
    Text(Vec<u8>),
    /// A table.
    Table(Table),
}

/// A table: what has no key of its own, and what has one, both in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Fields without a key.
    pub list: Vec<Value>,
    /// Fields with one.
    pub named: Vec<(Value, Value)>,
}

impl Table {
    /// The field of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.named.iter().rev();
        let mut found = found.filter(|(key, _)| key.bytes() == Some(name.as_bytes()));
        found.next().map(|(_, value)| value)
    }

    /// The text of this name, if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.get(name)?.table()
    }

    /// The number of this name.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }
}

impl Value {
    /// The bytes of a text.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A text that is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A table.
    pub fn table(&self) -> Option<&Table> {
        match self {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

/// Reads a `.dat` file: `return {…};`. An error names the line.
pub fn returned(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { bytes, at: 0 };
    reader.end_of(|reader| {
        reader.word("return")?;
        let value = reader.value(0)?;
        reader.skip_one(b';');
        reader.expect_end()?;
        Ok(value)
    })
}

/// Reads a `.list` file: `item({…});` any number of times. An error names the line.
pub fn items(bytes: &[u8]) -> Result<Vec<Value>, String> {
    Items::of(bytes).collect()
}

/// The items of a `.list` file, one after the other; an error names the line, and is the last.
pub struct Items<'b>(Reader<'b>);

impl Items<'_> {
    /// Of a whole file.
    pub fn of(bytes: &[u8]) -> Items<'_> {
        Items(Reader { bytes, at: 0 })
    }
}

impl Iterator for Items<'_> {
    type Item = Result<Value, String>;

    fn next(&mut self) -> Option<Result<Value, String>> {
        let reader = &mut self.0;
        reader.space();
        if reader.at >= reader.bytes.len() {
            return None;
        }
        let item = reader.end_of(|reader| {
            reader.word("item")?;
            reader.expect(b'(')?;
            let value = reader.value(0)?;
            reader.expect(b')')?;
            reader.skip_one(b';');
            Ok(value)
        });
        if item.is_err() {
            reader.at = reader.bytes.len();
        }
        Some(item)
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

/// What was expected, for the error.
type Read<T> = Result<T, &'static str>;

impl Reader<'_> {
    fn end_of<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Result<T, String> {
        read(self).map_err(|what| {
            let before = &self.bytes[..self.at.min(self.bytes.len())];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            format!("line {line}: {what} was expected")
        })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Skips white space and comments to the end of a line.
    fn space(&mut self) {
        loop {
            match self.peek() {
                Some(byte) if byte.is_ascii_whitespace() => self.at += 1,
                Some(b'-') if self.bytes[self.at..].starts_with(b"--") => {
                    let end = memchr::memchr(b'\n', &self.bytes[self.at..]);
                    self.at = end.map_or(self.bytes.len(), |end| self.at + end);
                }
                _ => return,
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Read<()> {
        self.space();
        if self.peek() != Some(byte) {
            return Err(match byte {
                b'(' => "a (",
                b')' => "a )",
                b'=' => "a =",
                b']' => "a ]",
                _ => "another character",
            });
        }
        self.at += 1;
        Ok(())
    }

    fn skip_one(&mut self, byte: u8) {
        self.space();
        if self.peek() == Some(byte) {
            self.at += 1;
        }
    }

    fn expect_end(&mut self) -> Read<()> {
        self.space();
        match self.at == self.bytes.len() {
            true => Ok(()),
            false => Err("the end of the file"),
        }
    }

    /// The name that begins here; empty if none does.
    fn name(&mut self) -> &[u8] {
        let rest = &self.bytes[self.at..];
        let end = rest
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'));
        let name = &rest[..end.unwrap_or(rest.len())];
        self.at += name.len();
        name
    }

    fn word(&mut self, word: &'static str) -> Read<()> {
        self.space();
        match self.name() == word.as_bytes() {
            true => Ok(()),
            false => Err(word),
        }
    }

    fn value(&mut self, depth: u32) -> Read<Value> {
        self.space();
        match self.peek() {
            Some(b'{') => self.table(depth).map(Value::Table),
            Some(quote @ (b'"' | b'\'')) => self.text(quote).map(Value::Text),
            Some(b'0'..=b'9' | b'-' | b'.') => self.number().map(Value::Number),
            Some(b'(') => self.odd_number().map(Value::Number),
            Some(byte) if byte.is_ascii_alphabetic() => match self.name() {
                b"nil" => Ok(Value::Nil),
                b"true" => Ok(Value::Bool(true)),
                b"false" => Ok(Value::Bool(false)),
                _ => Err("a constant"),
            },
            _ => Err("a value"),
        }
    }

    fn table(&mut self, depth: u32) -> Read<Table> {
        if depth == DEPTH {
            return Err("a table that is nested less deep");
        }
        self.at += 1;
        let mut table = Table::default();
        loop {
            self.space();
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(table);
                }
                Some(b'[') => {
                    self.at += 1;
                    let key = self.value(depth + 1)?;
                    self.expect(b']')?;
                    self.expect(b'=')?;
                    let value = self.value(depth + 1)?;
                    table.named.push((key, value));
                }
                _ => {
                    let start = self.at;
                    let name = self.name().to_vec();
                    self.space();
                    let is_key = name.first().is_some_and(|byte| !byte.is_ascii_digit())
                        && self.peek() == Some(b'=');
                    if is_key {
                        self.at += 1;
                        let value = self.value(depth + 1)?;
                        table.named.push((Value::Text(name), value));
                    } else {
                        self.at = start;
                        table.list.push(self.value(depth + 1)?);
                    }
                }
            }
            self.space();
            match self.peek() {
                Some(b';' | b',') => self.at += 1,
                Some(b'}') => {}
                _ => return Err("a ; or a }"),
            }
        }
    }

    fn number(&mut self) -> Read<f64> {
        let rest = &self.bytes[self.at..];
        let end = rest
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || b"+-.".contains(byte)))
            .unwrap_or(rest.len());
        let text = std::str::from_utf8(&rest[..end]).map_err(|_| "a number")?;
        // Lua knows no `inf` and no `nan`.
        let fits = text.bytes().all(|byte| b"0123456789+-.eE".contains(&byte));
        let number = text.parse().ok().filter(|_| fits).ok_or("a number")?;
        self.at += end;
        Ok(number)
    }

    /// How Prosody writes what is no number to everybody.
    fn odd_number(&mut self) -> Read<f64> {
        for (text, number) in [
            (&b"(1/0)"[..], f64::INFINITY),
            (b"(-1/0)", f64::NEG_INFINITY),
            (b"(0/0)", f64::NAN),
        ] {
            if self.bytes[self.at..].starts_with(text) {
                self.at += text.len();
                return Ok(number);
            }
        }
        Err("a number")
    }

    /// Lua 5.4 §3.1.
    fn text(&mut self, quote: u8) -> Read<Vec<u8>> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let byte = self.peek().ok_or("the end of a text")?;
            self.at += 1;
            match byte {
                b'\\' => self.escape(&mut text)?,
                b'\n' => return Err("the end of a text in its line"),
                byte if byte == quote => return Ok(text),
                byte => text.push(byte),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Read<()> {
        let byte = self.peek().ok_or("the end of a text")?;
        self.at += 1;
        text.push(match byte {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 7,
            b'b' => 8,
            b'v' => 11,
            b'f' => 12,
            b'\\' | b'"' | b'\'' | b'\n' => byte,
            b'x' => {
                let digits = self.bytes.get(self.at..self.at + 2);
                let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
                let digits = std::str::from_utf8(digits.ok_or("two hexadecimal digits")?);
                self.at += 2;
                u8::from_str_radix(digits.unwrap_or_default(), 16)
                    .map_err(|_| "two hexadecimal digits")?
            }
            b'0'..=b'9' => {
                let mut number = u32::from(byte - b'0');
                for _ in 0..2 {
                    match self.peek() {
                        Some(digit @ b'0'..=b'9') => {
                            number = number * 10 + u32::from(digit - b'0');
                            self.at += 1;
                        }
                        _ => break,
                    }
                }
                u8::try_from(number).map_err(|_| "a byte of at most 255")?
            }
            _ => return Err("an escape that Lua knows"),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn what_prosody_writes_is_read() {
        let account = b"return {\n\t[\"iteration_count\"] = 10000;\n\t[\"salt\"] = \"a\\\"\\\\b\\001\\195\\164\\n\";\n\t[false] = {\n\t};\n\t[\"a\"] = (1/0);\n};\n";
        let value = returned(account).unwrap();
        let table = value.table().unwrap();
        assert_eq!(table.number("iteration_count"), Some(10_000.0));
        assert_eq!(table.text("salt"), Some("a\"\\b\u{1}\u{e4}\n"));
        assert_eq!(table.number("a"), Some(f64::INFINITY));
        assert_eq!(
            table.named[2],
            (Value::Bool(false), Value::Table(Table::default()))
        );
        let list = b"item({\n\t\"x\";\n\t{ name = 'b', attr = {}; -1.5e3, nil, true };\n\tname = \"message\"; -- why\n});\nitem({});\n";
        let all = items(list).unwrap();
        assert_eq!(all.len(), 2);
        let first = all[0].table().unwrap();
        assert_eq!(first.list[0], text("x"));
        let inner = first.list[1].table().unwrap();
        assert_eq!(
            inner.list,
            [Value::Number(-1500.0), Value::Nil, Value::Bool(true)]
        );
        assert_eq!(inner.text("name"), Some("b"));
        assert_eq!(items(b"").unwrap(), []);
    }

    #[test]
    fn programs_are_refused_and_nothing_panics() {
        for program in [
            "",
            "return",
            "return os.execute('x')",
            "return {} or 1",
            "return { f() }",
            "return { [1] = }",
            "return { 1 2 }",
            "return {1};\nx = 2",
            "return \"a\nb\"",
            "return \"\\400\"",
            "return \"\\x1\"",
            "return \"\\q\"",
            "return inf",
            "return 0x10",
            "return 1e",
            "return \"",
            "return {",
            "return [[a]]",
            "return -",
            "--",
        ] {
            assert!(returned(program.as_bytes()).is_err(), "{program}");
        }
        for program in ["item", "item(", "item({}", "item{}", "x({})", "item({})) "] {
            assert!(items(program.as_bytes()).is_err(), "{program}");
        }
        let deep = format!("return {}{}", "{".repeat(10_000), "}".repeat(10_000));
        assert!(returned(deep.as_bytes()).unwrap_err().contains("nested"));
        assert!(
            returned(b"return {\n\n\"\\q\"}")
                .unwrap_err()
                .starts_with("line 3")
        );
        // Every cut and every changed byte of something whole.
        let whole = b"return {[\"a\"]={\"b\\1\",1.5;c='d'};[false]=true}";
        for cut in 0..whole.len() {
            assert!(returned(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let mut changed = whole.to_vec();
        for place in 0..whole.len() {
            for byte in 0..=255 {
                changed[place] = byte;
                let _ = (returned(&changed), items(&changed));
            }
            changed[place] = whole[place];
        }
    }
}
