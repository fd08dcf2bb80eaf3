//! The table of keys: one row describes a key to the operator, checks its value and shows it. A new key is a field in
//! [`Config`] and a row here.

use super::component::components;
use super::values::{
    Refused, Value, addresses, domain, label, list, off_or, quoted, quoted_path, readable_file,
    refuse, room_name, text, texts, truth, uris, zero_or,
};
use super::{ArchivePolicy, Config, PushContents, RegistrationMode, RoomMakers};

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
        path: "component",
        doc: "Programs of yours that bring a host of their own: bridges, bots, app servers for push (XEP-0114).\n\
              One table each, also written as [[component]] below all sections, with its host, which needs no\n\
              DNS, and a secret that the program knows too: in quotes, or secret_file, a file with one line.",
        preset: Preset::Unset {
            example: "[{ host = \"push.example.org\", secret = \"a long one\" }]",
        },
        live: true,
        read: |config, value| {
            config.components = components(config, value)?;
            Ok(())
        },
        show: |config| super::component::show(&config.components),
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
        path: "listen.components",
        doc: "Addresses and ports for components, open only where there are any. Nothing is encrypted there:\n\
              leave it on this machine, or on a network that you trust like it.",
        preset: Preset::Value("[\"127.0.0.1:5347\"]"),
        live: false,
        read: |config, value| {
            config.listen.components = addresses(value)?;
            Ok(())
        },
        show: |config| Some(list(&config.listen.components)),
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
        path: "push.contents",
        doc: "What an app server learns that wakes a phone (XEP-0357), beside that there is something: \"none\";\n\
              \"count\", how many messages and requests; \"sender\", who wrote last too; \"body\", what they wrote\n\
              too, unless it is encrypted. App servers pass it on to the makers of phones.",
        preset: Preset::Value("\"count\""),
        live: true,
        read: |config, value| {
            let name = text(value)?;
            match PushContents::parse(name) {
                Some(contents) => config.push.contents = contents,
                None => {
                    return refuse(format!(
                        "{name:?} is no content; choose \"none\", \"count\", \"sender\" or \"body\""
                    ));
                }
            }
            Ok(())
        },
        show: |config| Some(quoted(config.push.contents.name())),
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
