//! The `[[component]]` tables: programs that bring a host of their own (XEP-0114).

use std::path::PathBuf;

use toml::de::DeValue;

use super::Config;
use super::values::{Refused, Value, domain, quoted, quoted_path, readable_file, refuse, text};
/// One component.
#[derive(Clone, PartialEq, Eq)]
pub struct Component {
    /// Its host, normalised as in a JID.
    pub host: String,
    /// What it shows that it knows.
    secret: String,
    /// Where that was read from, unless it stood in the configuration.
    secret_file: Option<PathBuf>,
}

impl Component {
    /// Its secret, for a hash and never for a comparison.
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

// Without the secret, which must not get into a log.
impl std::fmt::Debug for Component {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Component({:?})", self.host)
    }
}

/// What one table looks like.
const EXAMPLE: &str =
    "write [[component]] on a line, and host = \"push.example.org\" and secret = \"…\" below it";

/// Reads them all. Whether a host is another's is looked at when everything is read.
pub(super) fn components(config: &Config, value: &Value) -> Result<Vec<Component>, Refused> {
    let DeValue::Array(tables) = value.get_ref() else {
        return refuse(format!("this must be a list of tables; {EXAMPLE}"));
    };
    let mut all: Vec<Component> = Vec::new();
    for table in tables.iter() {
        let component = component(config, table)?;
        if all.iter().any(|other| other.host == component.host) {
            return at(
                table,
                format!("{} is there twice; leave one out", component.host),
            );
        }
        all.push(component);
    }
    Ok(all)
}

/// All of them as TOML, but for their secrets; nothing where there are none.
pub(super) fn show(components: &[Component]) -> Option<String> {
    let one = |component: &Component| {
        let secret = match &component.secret_file {
            Some(file) => format!("secret_file = {}", quoted_path(file)),
            None => "secret = \"(not shown)\"".to_owned(),
        };
        format!("{{ host = {}, {secret} }}", quoted(&component.host))
    };
    let all: Vec<String> = components.iter().map(one).collect();
    (!all.is_empty()).then(|| format!("[{}]", all.join(", ")))
}

fn component(config: &Config, value: &Value) -> Result<Component, Refused> {
    let DeValue::Table(table) = value.get_ref() else {
        return at(value, format!("this must be a table; {EXAMPLE}"));
    };
    let (mut host, mut secret, mut secret_file) = (None, None, None);
    for (name, inner) in table {
        let within = |refused: Refused| Refused {
            at: refused.at.or(Some(inner.span().start)),
            why: format!("{}: {}", name.get_ref(), refused.why),
        };
        match name.get_ref().as_ref() {
            "host" => host = Some(text(inner).and_then(domain).map_err(within)?),
            "secret" => secret = Some(text(inner).and_then(checked).map_err(within)?),
            "secret_file" => {
                let path = readable_file(config, inner).map_err(within)?;
                let line = std::fs::read_to_string(&path)
                    .map_err(|error| {
                        Refused::from(format!("{} cannot be read: {error}", path.display()))
                    })
                    .and_then(|line| checked(line.trim_end_matches(['\r', '\n'])))
                    .map_err(within)?;
                secret = Some(line);
                secret_file = Some(path);
            }
            other => {
                return Err(Refused {
                    at: Some(name.span().start),
                    why: format!(
                        "{}: there is no such key; a component has host, and secret or secret_file",
                        other.escape_debug()
                    ),
                });
            }
        }
    }
    let both = table.contains_key("secret") && secret_file.is_some();
    match (host, secret) {
        _ if both => at(
            value,
            "secret and secret_file are both there; leave one out",
        ),
        (None, _) => at(value, format!("its host is missing; {EXAMPLE}")),
        (_, None) => at(value, format!("its secret is missing; {EXAMPLE}")),
        (Some(host), Some(secret)) => Ok(Component {
            host,
            secret,
            secret_file,
        }),
    }
}

/// A secret that can be written on one line.
fn checked(secret: &str) -> Result<String, Refused> {
    match secret {
        "" => refuse("an empty secret protects nothing; choose a long one"),
        secret if secret.contains(char::is_control) => {
            refuse("a secret is one line; take out line ends and tabs")
        }
        secret => Ok(secret.to_owned()),
    }
}

fn at<T>(value: &Value, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        at: Some(value.span().start),
        why: why.into(),
    })
}
