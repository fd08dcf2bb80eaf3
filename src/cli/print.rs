//! Answers for people and for programs: aligned tables, or the JSON as it came. What a name brings along cannot steer the terminal.

use std::io::Write;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::net::log::visible;

/// Writes to stdout. A reader that left (`| head`) is no error.
pub(super) fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// Writes to stderr; there is nowhere to report that it is gone.
pub(super) fn err(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The only array in a list verb's answer.
pub(super) fn rows(answer: &Value) -> Vec<Value> {
    let arrays = answer
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, value)| value.as_array());
    arrays.flatten().cloned().collect()
}

/// An answer without `ok`: what `--json` prints of one thing.
pub(super) fn fields(answer: &Value) -> Map<String, Value> {
    answer
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "ok")
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}

/// Indented JSON, with what JSON allows but a terminal would obey as `\u` escapes.
pub(super) fn json(value: &Value) -> String {
    let mut out = String::new();
    for c in format!("{value:#}\n").chars() {
        // Line ends are the indentation's; within strings serde_json has escaped them.
        if c == '\n' || visible(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            out.extend(
                c.encode_utf16(&mut units)
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}")),
            );
        }
    }
    out
}

/// A table with a heading; the columns in `first` lead, others follow by name. No rows: only `none`.
pub(super) fn table(rows: &[Value], first: &[&str], none: &str) -> String {
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let mut columns: Vec<&str> = rows
        .iter()
        .filter_map(Value::as_object)
        .flat_map(|row| row.keys().map(String::as_str))
        .collect();
    columns.sort_by_key(|name| {
        (
            first
                .iter()
                .position(|lead| lead == name)
                .unwrap_or(first.len()),
            *name,
        )
    });
    columns.dedup();
    let mut lines = vec![
        columns
            .iter()
            .map(|name| heading(name).to_uppercase())
            .collect::<Vec<_>>(),
    ];
    lines.extend(
        rows.iter()
            .map(|row| columns.iter().map(|name| cell(name, &row[*name])).collect()),
    );
    let width = |column: usize| {
        lines
            .iter()
            .map(|line: &Vec<String>| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(text, width)| format!("{text:width$}"))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// One thing's fields, a line each; those in `first` lead.
pub(super) fn details(fields: &Map<String, Value>, first: &[&str]) -> String {
    let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.sort_by_key(|name| {
        (
            first
                .iter()
                .position(|lead| lead == name)
                .unwrap_or(first.len()),
            *name,
        )
    });
    let width = names
        .iter()
        .map(|name| heading(name).chars().count() + 1)
        .max()
        .unwrap_or(0);
    let line = |name: &&str| {
        format!(
            "{:width$}  {}\n",
            format!("{}:", heading(name)),
            cell(name, &fields[*name])
        )
    };
    names.iter().map(line).collect()
}

/// `created_ms` is `created` to a person: its unit is written out in the value.
fn heading(name: &str) -> String {
    let bare = ["_ms", "_seconds", "_bytes"]
        .iter()
        .find_map(|unit| name.strip_suffix(unit))
        .unwrap_or(name);
    visible(&bare.replace('_', " ")).into_owned()
}

fn cell(name: &str, value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_u64() {
            Some(count) => quantity(name, count),
            None => number.to_string(),
        },
        Value::Array(items) => items
            .iter()
            .map(|item| cell("", item))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Object(inner) => inner
            .iter()
            .map(|(name, value)| format!("{} {}", heading(name), cell(name, value)))
            .collect::<Vec<_>>()
            .join(", "),
    };
    visible(&text).into_owned()
}

/// A number in the unit that its name ends with.
fn quantity(name: &str, count: u64) -> String {
    if name.ends_with("_ms") {
        // humantime writes years up to 9999; a number above is shown as it is.
        let last = 253_402_300_799_000;
        return match SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(count)) {
            Some(time) if count <= last => humantime::format_rfc3339_seconds(time).to_string(),
            _ => count.to_string(),
        };
    }
    if name.ends_with("_seconds") {
        return humantime::format_duration(Duration::from_secs(count)).to_string();
    }
    if name.ends_with("_bytes") {
        let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        return match units.iter().find(|(unit, _)| count >= *unit) {
            Some((unit, name)) => format!("{:.1} {name}", count as f64 / *unit as f64),
            None => format!("{count} B"),
        };
    }
    count.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_is_aligned_and_harmless() {
        let rows = [
            json!({"name": "anna", "created_ms": 1_000_000_000_000_u64, "size_bytes": 2048}),
            json!({"name": "e\u{1b}[2Jve", "created_ms": null, "online": true}),
        ];
        assert_eq!(
            table(&rows, &["name", "online"], "nobody"),
            "NAME          ONLINE  CREATED               SIZE\n\
             anna          -       2001-09-09T01:46:40Z  2.0 KiB\n\
             e\\u{1b}[2Jve  yes     -                     -\n"
        );
        assert_eq!(table(&[], &["name"], "nobody"), "nobody\n");
    }

    #[test]
    fn details_lead_with_what_matters() {
        let status = json!({"ok": true, "uptime_seconds": 3661, "domain": "pi.local", "listen": ["[::]:5222", "[::]:5223"], "x_ms": u64::MAX});
        assert_eq!(
            details(&fields(&status), &["domain", "uptime_seconds"]),
            "domain:  pi.local\nuptime:  1h 1m 1s\nlisten:  [::]:5222, [::]:5223\nx:       18446744073709551615\n"
        );
    }

    #[test]
    fn json_is_the_array_and_cannot_steer_a_terminal() {
        let answer = json!({"ok": true, "users": [{"name": "a\u{9b}2J\u{202e}\u{1b}\n"}]});
        let text = json(&Value::Array(rows(&answer)));
        assert!(!text.contains(['\u{9b}', '\u{202e}', '\u{1b}']), "{text:?}");
        assert_eq!(
            serde_json::from_str::<Value>(&text).expect("JSON"),
            answer["users"]
        );
    }
}
