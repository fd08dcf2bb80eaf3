//! The outcome of a run as a table and as JSON: of each figure the best repetition.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::plan::{Figure, ROWS, Row, TARGETS};

/// The figures of one server, over all repetitions.
pub struct Outcome {
    pub server: String,
    pub figures: Vec<Figure>,
}

impl Outcome {
    /// The best repetition of a figure.
    fn best(&self, key: &str) -> Option<Figure> {
        let values = self.figures.iter().filter(|figure| figure.key == key);
        values.copied().min_by(|a, b| a.value.total_cmp(&b.value))
    }
}

/// The readable form: the figures, then their ratios to the relay and to snug, then what the load itself reached.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut out = String::new();
    block(
        &mut out,
        "best of all repetitions",
        outcomes,
        |row, outcome| Some((row.unit, number(outcome.best(row.key)?.value))),
    );
    if let Some(relay) = outcomes.iter().find(|outcome| outcome.server == "relay") {
        block(&mut out, "times the relay", outcomes, |row, outcome| {
            ratio(row, outcome.best(row.key)?, relay.best(row.limit?)?)
        });
    }
    if let Some(snug) = outcomes.iter().find(|outcome| outcome.server == "snug") {
        block(&mut out, "times snug", outcomes, |row, outcome| {
            ratio(row, outcome.best(row.key)?, snug.best(row.key)?)
        });
    }
    targets(&mut out, outcomes);
    block(
        &mut out,
        "what the load reached",
        outcomes,
        |row, outcome| {
            let a_second = outcome.best(row.key)?.a_second;
            (a_second > 0.0).then(|| ("a second", format!("{a_second:.0}")))
        },
    );
    block(
        &mut out,
        "what the load spent itself",
        outcomes,
        |row, outcome| {
            let generator_us = outcome.best(row.key)?.generator_us;
            (generator_us > 0.0).then(|| ("µs CPU", number(generator_us)))
        },
    );
    out
}

/// The same for programs: every repetition's value too.
pub fn json(outcomes: &[Outcome]) -> String {
    let relay = outcomes.iter().find(|outcome| outcome.server == "relay");
    let snug = outcomes.iter().find(|outcome| outcome.server == "snug");
    let mut servers = Map::new();
    for outcome in outcomes {
        let mut rows = Map::new();
        for row in &ROWS {
            let Some(best) = outcome.best(row.key) else {
                continue;
            };
            let all: Vec<f64> = outcome
                .figures
                .iter()
                .filter(|figure| figure.key == row.key)
                .map(|figure| figure.value)
                .collect();
            let times = |other: Option<&Outcome>, key: Option<&str>| {
                other
                    .and_then(|other| other.best(key?))
                    .map(|other| best.value / other.value)
            };
            rows.insert(
                row.key.into(),
                json!({
                    "unit": row.unit,
                    "best": best.value,
                    "all": all,
                    "times_relay": times(relay, row.limit),
                    "times_snug": times(snug, Some(row.key)),
                    "operations_a_second": best.a_second,
                    "generator_us": best.generator_us,
                }),
            );
        }
        servers.insert(outcome.server.clone(), Value::Object(rows));
    }
    format!("{:#}\n", Value::Object(servers))
}

/// One part of the table; a cell is a unit and a value. Rows without a cell are left out.
fn block<'a>(
    out: &mut String,
    title: &str,
    outcomes: &[Outcome],
    cell: impl Fn(&'a Row, &Outcome) -> Option<(&'a str, String)>,
) {
    let _ = write!(out, "{title:<38}");
    for outcome in outcomes {
        let _ = write!(out, " {:>16}", outcome.server);
    }
    out.push('\n');
    for row in &ROWS {
        let cells: Vec<_> = outcomes.iter().map(|outcome| cell(row, outcome)).collect();
        let Some((unit, _)) = cells.iter().flatten().next() else {
            continue;
        };
        let _ = write!(out, "  {:<24}{unit:<12}", row.title);
        for cell in &cells {
            let _ = write!(
                out,
                " {:>16}",
                cell.as_ref().map_or("–", |(_, value)| value)
            );
        }
        out.push('\n');
    }
    out.push('\n');
}

/// What was wanted of snug, as far as it was measured.
fn targets(out: &mut String, outcomes: &[Outcome]) {
    let Some(snug) = outcomes.iter().find(|outcome| outcome.server == "snug") else {
        return;
    };
    let mut lines = String::new();
    for target in &TARGETS {
        let Some(own) = snug.best(target.key) else {
            continue;
        };
        let (value, most) = match target.peer_key {
            None => (own.value, number(target.most)),
            Some(key) => {
                let others = outcomes.iter().filter(|outcome| match target.peers {
                    "" => outcome.server != "snug" && outcome.server != "relay",
                    peers => outcome.server.starts_with(peers),
                });
                let best = others.filter_map(|outcome| outcome.best(key));
                let Some(best) = best.map(|figure| figure.value).min_by(f64::total_cmp) else {
                    continue;
                };
                (own.value / best, share(target.most, 0))
            }
        };
        let reached = if value <= target.most { "yes" } else { "NO" };
        let value = match target.peer_key {
            None => number(value),
            Some(_) => share(value, 1),
        };
        let _ = writeln!(
            lines,
            "  {:<52}{value:>9}   wanted {most:>5}   {reached}",
            target.text
        );
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "what is wanted of snug\n{lines}");
    }
}

/// A part as `1/n`, so much or more of it as `n ×`.
fn share(value: f64, digits: usize) -> String {
    match value < 0.75 {
        true => format!("1/{:.digits$}", 1.0 / value),
        false => format!("{value:.2} ×"),
    }
}

/// A ratio; its unit says to what where that is another row.
fn ratio(row: &'static Row, figure: Figure, to: Figure) -> Option<(&'static str, String)> {
    let unit = if figure.key == to.key {
        row.unit
    } else {
        "/ accept"
    };
    (to.value > 0.0).then(|| (unit, format!("{:.2} ×", figure.value / to.value)))
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_the_best_and_its_ratios() {
        let figure = |key, value| Figure {
            key,
            value,
            a_second: 10.0,
            generator_us: 1.0,
        };
        let outcomes = [
            Outcome {
                server: "relay".into(),
                figures: vec![figure("tls-accept", 250.0), figure("tls-accept", 200.0)],
            },
            Outcome {
                server: "snug".into(),
                figures: vec![figure("login-tls", 700.0), figure("login-tls", 600.0)],
            },
        ];
        let table = table(&outcomes);
        assert!(table.contains("3.00 ×"), "{table}");
        assert!(!table.contains("idle session"), "{table}");
        let json: Value = serde_json::from_str(&json(&outcomes)).unwrap();
        assert_eq!(json["snug"]["login-tls"]["times_relay"], 3.0);
        assert_eq!(json["relay"]["tls-accept"]["all"][0], 250.0);
    }

    #[test]
    fn says_whether_what_is_wanted_is_reached() {
        let outcome = |server: &str, figures| Outcome {
            server: server.into(),
            figures,
        };
        let outcomes = [
            outcome(
                "snug",
                vec![Figure::of("page-small", 1.0), Figure::of("lone", 30.0)],
            ),
            outcome("prosody-sqlite", vec![Figure::of("page-small", 9.0)]),
            outcome("ejabberd-sqlite", vec![Figure::of("page-small", 7.0)]),
        ];
        let table = table(&outcomes);
        let line = |text: &str| table.lines().find(|line| line.contains(text)).unwrap();
        assert!(line("last 50 of 10 000, of").ends_with("1/7.0   wanted   1/6   yes"));
        assert!(line("lone message").contains("30.0"));
        assert!(table.contains("wanted  24.0   NO"), "{table}");
    }
}
