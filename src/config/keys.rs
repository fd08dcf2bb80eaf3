//! The table of keys: one row describes a key to the operator, checks its value and shows it. A new key is a field in
//! [`Config`] and a row here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::{ArchivePolicy, Config, RegistrationMode, RoomMakers};
use crate::limits;

/// One key of snug.toml.
pub struct Key {
    /// `section.name`, or `name` for those above all sections.
    pub path: &'static str,
    /// What it means, for the operator; lines of at most 100 characters.
    pub doc: &'static str,
    /// Its value when the file does not name it.
    pub preset: Preset,
    /// Whether SIGHUP is enough to change it.
    pub live: bool,
    pub(super) read: fn(&mut Config, &Value) -> Result<(), Refused>,
    pub(super) show: fn(&Config) -> Option<String>,
}

/// What a key is when nobody sets it.
pub enum Preset {
    /// This TOML value.
    Value(&'static str),
    /// Found at start or left out; the reference shows the example, commented out.
    Unset {
        /// A TOML value.
        example: &'static str,
    },
}

/// Every key, in the reference's order; those of one section stand together.
pub const KEYS: &[Key] = &[
    Key {
        path: "domain",
        doc: "The part after the @ in every address here. Unset: the machine's host name and \".local\".\n\
              Accounts and certificates carry it, so choose it before you add the first account.",
        preset: Preset::Unset {
            example: "\"raspberrypi.local\"",
        },
        live: false,
        read: |config, value| {
            config.domain = domain(text(value)?)?;
            Ok(())
        },
        show: |config| Some(quoted(&config.domain)),
    },
    Key {
        path: "listen.c2s",
        doc: "Addresses and ports for clients that begin in plain text and change to TLS (STARTTLS).\n\
              \"[::]\" takes IPv4 as well. An empty list closes this kind of port.",
        preset: Preset::Value("[\"[::]:5222\"]"),
        live: false,
        read: |config, value| {
            config.listen.c2s = addresses(value)?;
            Ok(())
        },
        show: |config| Some(list(&config.listen.c2s)),
    },
    Key {
        path: "listen.c2s_tls",
        doc: "Addresses and ports for clients that speak TLS from the first byte.",
        preset: Preset::Value("[\"[::]:5223\"]"),
        live: false,
        read: |config, value| {
            config.listen.c2s_tls = addresses(value)?;
            Ok(())
        },
        show: |config| Some(list(&config.listen.c2s_tls)),
    },
    Key {
        path: "tls.certificate",
        doc: "Your own certificate, with its chain, as a PEM file; a relative path starts at this file's directory.\n\
              Unset: snug makes its own authority and certificate (`snug cert ca` prints the authority).",
        preset: Preset::Unset {
            example: "\"fullchain.pem\"",
        },
        live: true,
        read: |config, value| {
            config.tls.certificate = Some(readable_file(config, value)?);
            Ok(())
        },
        show: |config| config.tls.certificate.as_deref().map(quoted_path),
    },
    Key {
        path: "tls.key",
        doc: "The certificate's private key, as a PEM file that snug's user may read.",
        preset: Preset::Unset {
            example: "\"privkey.pem\"",
        },
        live: true,
        read: |config, value| {
            config.tls.key = Some(readable_file(config, value)?);
            Ok(())
        },
        show: |config| config.tls.key.as_deref().map(quoted_path),
    },
    Key {
        path: "registration.mode",
        doc: "\"closed\": accounts are made with `snug user add`. \"open\": whoever reaches the port may make one.",
        preset: Preset::Value("\"closed\""),
        live: true,
        read: |config, value| {
            config.registration.mode = match text(value)? {
                "closed" => RegistrationMode::Closed,
                "open" => RegistrationMode::Open,
                "invite" => {
                    return refuse(
                        "\"invite\" comes with a later version; choose \"closed\" or \"open\"",
                    );
                }
                other => {
                    return refuse(format!(
                        "{other:?} is no mode; choose \"closed\" or \"open\""
                    ));
                }
            };
            Ok(())
        },
        show: |config| {
            Some(match config.registration.mode {
                RegistrationMode::Closed => quoted("closed"),
                RegistrationMode::Open => quoted("open"),
            })
        },
    },
    contact(
        "contact.abuse",
        "Addresses about what somebody does here that every user may read: \"mailto:\", \"xmpp:\", \"https:\".",
        |config, value| {
            config.contact.abuse = uris(value)?;
            Ok(())
        },
        |config| Some(texts(&config.contact.abuse)),
    ),
    contact(
        "contact.admin",
        "Addresses of those who run this server that every user may read: \"mailto:\", \"xmpp:\", \"https:\".",
        |config, value| {
            config.contact.admin = uris(value)?;
            Ok(())
        },
        |config| Some(texts(&config.contact.admin)),
    ),
    contact(
        "contact.feedback",
        "Addresses for praise and wishes that every user may read: \"mailto:\", \"xmpp:\", \"https:\".",
        |config, value| {
            config.contact.feedback = uris(value)?;
            Ok(())
        },
        |config| Some(texts(&config.contact.feedback)),
    ),
    contact(
        "contact.sales",
        "Addresses for who wants to buy something that every user may read: \"mailto:\", \"xmpp:\", \"https:\".",
        |config, value| {
            config.contact.sales = uris(value)?;
            Ok(())
        },
        |config| Some(texts(&config.contact.sales)),
    ),
    contact(
        "contact.security",
        "Addresses about holes in this server that every user may read: \"mailto:\", \"xmpp:\", \"https:\".",
        |config, value| {
            config.contact.security = uris(value)?;
            Ok(())
        },
        |config| Some(texts(&config.contact.security)),
    ),
    contact(
        "contact.status",
        "Addresses where it is told how this server is that every user may read: \"mailto:\", \"xmpp:\", \"https:\".",
        |config, value| {
            config.contact.status = uris(value)?;
            Ok(())
        },
        |config| Some(texts(&config.contact.status)),
    ),
    contact(
        "contact.support",
        "Addresses for who needs help that every user may read: \"mailto:\", \"xmpp:\", \"https:\".",
        |config, value| {
            config.contact.support = uris(value)?;
            Ok(())
        },
        |config| Some(texts(&config.contact.support)),
    ),
    Key {
        path: "directory.enabled",
        doc: "Whether people find each other by the name, nickname and e-mail address in their vCards.",
        preset: Preset::Value("true"),
        live: true,
        read: |config, value| {
            config.directory.enabled = truth(value)?;
            Ok(())
        },
        show: |config| Some(config.directory.enabled.to_string()),
    },
    Key {
        path: "archive.enabled",
        doc: "Whether messages are kept here, so that each device of an account sees all of them.\n\
              false: nothing new is kept; what is there goes with time, or when you delete DATA/archive.",
        preset: Preset::Value("true"),
        live: false,
        read: |config, value| {
            config.archive.enabled = truth(value)?;
            Ok(())
        },
        show: |config| Some(config.archive.enabled.to_string()),
    },
    Key {
        path: "archive.default",
        doc: "Whose messages are archived for users who have not chosen it themselves: \"always\", with everybody;\n\
              \"roster\", with contacts; \"never\".",
        preset: Preset::Value("\"always\""),
        live: true,
        read: |config, value| {
            let name = text(value)?;
            match ArchivePolicy::parse(name) {
                Some(policy) => config.archive.default = policy,
                None => {
                    return refuse(format!(
                        "{name:?} is no policy; choose \"always\", \"roster\" or \"never\""
                    ));
                }
            }
            Ok(())
        },
        show: |config| Some(quoted(config.archive.default.name())),
    },
    Key {
        path: "archive.keep_days",
        doc: "Days that messages are kept. They go a month at a time, when the last of that month is so old. 0: for ever.",
        preset: Preset::Value("365"),
        live: true,
        read: |config, value| {
            config.archive.keep_days = zero_or(value, 1, 100_000)?;
            Ok(())
        },
        show: |config| Some(config.archive.keep_days.to_string()),
    },
    Key {
        path: "archive.max_mb",
        doc: "MiB of the disk that kept messages may take; above it the oldest go. 0: a tenth of the disk, otherwise 64\n\
              or more.",
        preset: Preset::Value("0"),
        live: true,
        read: |config, value| {
            config.archive.max_mb = zero_or(value, 64, 1_000_000_000)?;
            Ok(())
        },
        show: |config| Some(config.archive.max_mb.to_string()),
    },
    Key {
        path: "login.offer_hash",
        doc: "Clients that know XEP-0474 see whether somebody between weakened the login that was offered.\n\
              A client that cannot log in with SCRAM because of it needs false.",
        preset: Preset::Value("true"),
        live: true,
        read: |config, value| {
            config.login.offer_hash = truth(value)?;
            Ok(())
        },
        show: |config| Some(config.login.offer_hash.to_string()),
    },
    Key {
        path: "roster.everyone",
        doc: "Everyone with an account here sees everyone else, in a group of the contact list, without\n\
              asking; each may still remove or block others. false: contact lists are their owners' alone,\n\
              which is better where strangers may register.",
        preset: Preset::Value("true"),
        live: false,
        read: |config, value| {
            config.roster.everyone = truth(value)?;
            Ok(())
        },
        show: |config| Some(config.roster.everyone.to_string()),
    },
    Key {
        path: "roster.group",
        doc: "The name of that group, as clients show it.",
        preset: Preset::Value("\"Everyone\""),
        live: false,
        read: |config, value| {
            config.roster.group = label(value)?;
            Ok(())
        },
        show: |config| Some(quoted(&config.roster.group)),
    },
    Key {
        path: "inactive.collapse_presence",
        doc: "A phone that says that nobody looks at it (XEP-0352) learns how its contacts are when somebody\n\
              looks or writes, and then only how each is now. false: it learns every change at once.",
        preset: Preset::Value("true"),
        live: true,
        read: |config, value| {
            config.inactive.collapse_presence = truth(value)?;
            Ok(())
        },
        show: |config| Some(config.inactive.collapse_presence.to_string()),
    },
    Key {
        path: "inactive.drop_typing",
        doc: "Such a phone is not told that somebody types.",
        preset: Preset::Value("true"),
        live: true,
        read: |config, value| {
            config.inactive.drop_typing = truth(value)?;
            Ok(())
        },
        show: |config| Some(config.inactive.drop_typing.to_string()),
    },
    Key {
        path: "rooms.enabled",
        doc: "Whether there are rooms, in which many talk with each other.",
        preset: Preset::Value("true"),
        live: false,
        read: |config, value| {
            config.rooms.enabled = truth(value)?;
            Ok(())
        },
        show: |config| Some(config.rooms.enabled.to_string()),
    },
    Key {
        path: "rooms.host",
        doc: "The part after the @ in addresses of rooms; it needs no DNS. Empty: \"rooms.\" and the domain.",
        preset: Preset::Value("\"\""),
        live: false,
        read: |config, value| {
            config.rooms.host = match text(value)? {
                "" => String::new(),
                host => domain(host)?,
            };
            Ok(())
        },
        show: |config| Some(quoted(&config.rooms.host)),
    },
    Key {
        path: "rooms.lobby",
        doc: "The name of the room in which everyone with an account here is a member. Empty: there is none.",
        preset: Preset::Value("\"lobby\""),
        live: false,
        read: |config, value| {
            config.rooms.lobby = match text(value)? {
                "" => String::new(),
                name => room_name(name)?,
            };
            Ok(())
        },
        show: |config| Some(quoted(&config.rooms.lobby)),
    },
    Key {
        path: "rooms.create",
        doc: "Who makes rooms: \"everyone\" with an account here, or \"admins\" of the server (and `snug room add`).",
        preset: Preset::Value("\"everyone\""),
        live: true,
        read: |config, value| {
            config.rooms.create = match text(value)? {
                "everyone" => RoomMakers::Everyone,
                "admins" => RoomMakers::Admins,
                other => {
                    return refuse(format!(
                        "{other:?} is nobody; choose \"everyone\" or \"admins\""
                    ));
                }
            };
            Ok(())
        },
        show: |config| {
            Some(match config.rooms.create {
                RoomMakers::Everyone => quoted("everyone"),
                RoomMakers::Admins => quoted("admins"),
            })
        },
    },
    Key {
        path: "stream.resume_seconds",
        doc: "How many seconds a device whose connection was lost may take to come back as if nothing had\n\
              happened: what it is sent meanwhile waits for it. 0: not at all, otherwise at most 86400.",
        preset: Preset::Value("600"),
        live: true,
        read: |config, value| {
            config.stream.resume_seconds = off_or(value, 10, 86_400)?.into();
            Ok(())
        },
        show: |config| Some(config.stream.resume_seconds.to_string()),
    },
    Key {
        path: "limits.stanza_rate",
        doc: "Bytes a second that one connection may send on average; 512 KiB at once are free.\n\
              Above it snug reads more slowly and loses nothing. 0: no limit, otherwise 1000 or more.",
        preset: Preset::Value("20000"),
        live: true,
        read: |config, value| {
            config.limits.stanza_rate = zero_or(value, 1000, 1_000_000_000)?;
            Ok(())
        },
        show: |config| Some(config.limits.stanza_rate.to_string()),
    },
    Key {
        path: "limits.connection_rate",
        doc: "New connections a minute from one address; more are refused. 0: no limit.",
        preset: Preset::Value("120"),
        live: true,
        read: |config, value| {
            config.limits.connection_rate = zero_or(value, 1, 1_000_000)?;
            Ok(())
        },
        show: |config| Some(config.limits.connection_rate.to_string()),
    },
    Key {
        path: "limits.login_rate",
        doc: "Failed logins a minute, for each address and for each account; above it answers come slowly.\n\
              No account is ever locked. 0: no limit.",
        preset: Preset::Value("10"),
        live: true,
        read: |config, value| {
            config.limits.login_rate = zero_or(value, 1, 1_000_000)?;
            Ok(())
        },
        show: |config| Some(config.limits.login_rate.to_string()),
    },
    Key {
        path: "limits.connections_per_address",
        doc: "Connections of one address that have not logged in yet; more are refused. 0: no limit.",
        preset: Preset::Value("50"),
        live: true,
        read: |config, value| {
            config.limits.connections_per_address = zero_or(value, 1, 1_000_000)?;
            Ok(())
        },
        show: |config| Some(config.limits.connections_per_address.to_string()),
    },
    Key {
        path: "log.level",
        doc: "How much goes to the log: \"error\", \"warn\", \"info\", \"debug\" or \"trace\". Never a message or a password.",
        preset: Preset::Value("\"info\""),
        live: true,
        read: |config, value| {
            let name = text(value)?;
            match name.parse() {
                Ok(level)
                    if level != log::LevelFilter::Off && name == name.to_ascii_lowercase() =>
                {
                    config.log.level = level
                }
                _ => {
                    return refuse(format!(
                        "{name:?} is no level; choose \"error\", \"warn\", \"info\", \"debug\" or \"trace\""
                    ));
                }
            }
            Ok(())
        },
        show: |config| Some(quoted(&config.log.level.as_str().to_ascii_lowercase())),
    },
];

/// The row of one kind of contact address.
const fn contact(
    path: &'static str,
    doc: &'static str,
    read: fn(&mut Config, &Value) -> Result<(), Refused>,
    show: fn(&Config) -> Option<String>,
) -> Key {
    Key {
        path,
        doc,
        preset: Preset::Value("[]"),
        live: true,
        read,
        show,
    }
}

/// The whole of snug.toml with every key at its default and what it means; it parses back to the defaults.
pub fn reference() -> String {
    let mut out = String::from(
        "# snug.toml: every key with its default. The file and each of its keys may be left out.\n",
    );
    out.push_str("# SIGHUP reads it again; keys marked (restart) wait for a restart.\n");
    let mut section = "";
    for key in KEYS {
        let (own, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if own != section {
            out.push_str(&format!("\n[{own}]\n"));
            section = own;
        } else {
            out.push('\n');
        }
        for doc in key.doc.lines() {
            out.push_str(&format!("# {doc}\n"));
        }
        if !key.live {
            out.push_str("# (restart)\n");
        }
        match key.preset {
            Preset::Value(value) => out.push_str(&format!("{name} = {value}\n")),
            Preset::Unset { example } => out.push_str(&format!("#{name} = {example}\n")),
        }
    }
    out
}

/// A value of the file, and the bytes that it stands in.
pub(super) type Value<'a> = toml::Spanned<DeValue<'a>>;

/// Why a value is refused; `at` is the offending byte where it is not the value's first.
pub(super) struct Refused {
    pub(super) at: Option<usize>,
    pub(super) why: String,
}

impl From<String> for Refused {
    fn from(why: String) -> Refused {
        Refused { at: None, why }
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::from(why.into()))
}

/// A domain by the rules of a JID's domainpart (RFC 6122 §2.2): nameprep, labels of letters, digits and hyphens, no final dot.
pub(super) fn domain(text: &str) -> Result<String, Refused> {
    let example = "write a host name such as \"chat.example.org\" or \"raspberrypi.local\"";
    let prepared = stringprep::nameprep(text).map_err(|_| {
        Refused::from(format!(
            "{text:?} has characters that no domain may have; {example}"
        ))
    })?;
    let name = prepared.strip_suffix('.').unwrap_or(&prepared);
    if name.len() > 1023 {
        return refuse(format!("a domain has at most 1023 bytes; {example}"));
    }
    for label in name.split('.') {
        let allowed = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '-';
        if label.is_empty()
            || label.len() > 63
            || label.starts_with('-')
            || label.ends_with('-')
            || !label.chars().all(allowed)
        {
            return refuse(format!("{text:?} is not a domain; {example}"));
        }
    }
    Ok(name.to_owned())
}

/// The part of a room's address before the @, by the rules of a JID's localpart (RFC 6122 §2.3).
fn room_name(text: &str) -> Result<String, Refused> {
    let prepared = stringprep::nodeprep(text).unwrap_or_default();
    let allowed = |c: char| !"\"&'/:<>@".contains(c) && !c.is_whitespace();
    if prepared.is_empty() || prepared.len() > 100 || !prepared.chars().all(allowed) {
        return refuse(format!(
            "{text:?} cannot stand before an @; write a short name such as \"lobby\""
        ));
    }
    Ok(prepared.into_owned())
}

fn text<'a>(value: &'a Value<'_>) -> Result<&'a str, Refused> {
    value
        .get_ref()
        .as_str()
        .ok_or_else(|| Refused::from("this must be text in double quotes".to_owned()))
}

fn truth(value: &Value) -> Result<bool, Refused> {
    match value.get_ref() {
        DeValue::Boolean(truth) => Ok(*truth),
        _ => refuse("this must be true or false"),
    }
}

/// A short text for people.
fn label(value: &Value) -> Result<String, Refused> {
    match text(value)?.trim() {
        "" => refuse("this must not be empty"),
        label if label.len() > 100 || label.contains(char::is_control) => {
            refuse("this must be one line of at most 100 bytes")
        }
        label => Ok(label.to_owned()),
    }
}

/// A list of URIs (RFC 3986 §3, as far as an operator may mistype one).
fn uris(value: &Value) -> Result<Vec<String>, Refused> {
    let example = "such as \"mailto:admin@example.org\", \"xmpp:admin@example.org\" or \"https://example.org/\"";
    let DeValue::Array(items) = value.get_ref() else {
        return refuse(format!(
            "this must be a list, in square brackets, of addresses {example}"
        ));
    };
    if items.len() > limits::CONTACT_ADDRESSES {
        return refuse(format!(
            "these are more than {} addresses; leave some out",
            limits::CONTACT_ADDRESSES
        ));
    }
    let mut addresses = Vec::new();
    for item in items.iter() {
        let text = item.get_ref().as_str().unwrap_or_default();
        if !is_uri(text) {
            return Err(Refused {
                at: Some(item.span().start),
                why: format!("{text:?} is no address; write one {example}"),
            });
        }
        addresses.push(text.to_owned());
    }
    Ok(addresses)
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let letters = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let whole = match scheme {
        "mailto" | "xmpp" => !rest.is_empty() && (scheme == "xmpp" || rest.contains('@')),
        "http" | "https" => rest.len() > 2 && rest.starts_with("//"),
        _ => !rest.is_empty(),
    };
    whole
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(letters)
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && !"<>\"{}|\\^`".contains(c))
}

/// 0 for "no limit", or a number within the bounds.
fn zero_or(value: &Value, least: u32, most: u32) -> Result<u32, Refused> {
    zero_meaning("no limit", value, least, most)
}

fn off_or(value: &Value, least: u32, most: u32) -> Result<u32, Refused> {
    zero_meaning("off", value, least, most)
}

fn zero_meaning(what: &str, value: &Value, least: u32, most: u32) -> Result<u32, Refused> {
    let number = match value.get_ref() {
        DeValue::Integer(digits) => u32::from_str_radix(digits.as_str(), digits.radix()).ok(),
        _ => None,
    };
    match number {
        Some(number) if number == 0 || (least..=most).contains(&number) => Ok(number),
        _ => refuse(format!(
            "this must be 0 ({what}) or a whole number from {least} to {most}"
        )),
    }
}

fn addresses(value: &Value) -> Result<Vec<SocketAddr>, Refused> {
    let example = "such as \"[::]:5222\" or \"192.168.1.2:5222\"";
    let DeValue::Array(items) = value.get_ref() else {
        return refuse(format!(
            "this must be a list, in square brackets, of addresses with a port, {example}"
        ));
    };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for item in items.iter() {
        let refused = |why: String| Refused {
            at: Some(item.span().start),
            why,
        };
        let text = item.get_ref().as_str();
        let Some(address) = text.and_then(|text| text.parse::<SocketAddr>().ok()) else {
            let shown =
                text.map_or_else(|| "one of the list".to_owned(), |text| format!("{text:?}"));
            return Err(refused(format!(
                "{shown} is not an IP address with a port; write one {example}"
            )));
        };
        if address.port() != 0 && addresses.contains(&address) {
            return Err(refused(format!("{address} is there twice; leave one out")));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// A path, relative to the configuration file, of a file that can be opened now.
fn readable_file(config: &Config, value: &Value) -> Result<PathBuf, Refused> {
    let base = config
        .file
        .as_deref()
        .and_then(Path::parent)
        .unwrap_or(Path::new(""));
    let path = base.join(text(value)?);
    match std::fs::File::open(&path).and_then(|file| file.metadata()) {
        Ok(about) if about.is_file() => Ok(path),
        Ok(_) => refuse(format!("{} is not a file; name a PEM file", path.display())),
        Err(error) => refuse(format!(
            "{} cannot be read: {error}; name a PEM file that snug's user may read",
            path.display()
        )),
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn texts(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

fn list(addresses: &[SocketAddr]) -> String {
    let quoted: Vec<String> = addresses
        .iter()
        .map(|address| format!("\"{address}\""))
        .collect();
    format!("[{}]", quoted.join(", "))
}
