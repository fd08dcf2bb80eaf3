//! File and flags in, a checked [`Config`] out; nothing is checked again later.
//!
//! `keys.rs` is the one place where a key is described: its name, what it means, its default, its check. The commented reference (`snug check
//! --print-defaults`), the errors' suggestions and the list of what needs a restart are made from it. A new key is a field here and a row there.
//! `file.rs` reads a file's text by that table.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

mod component;
mod file;
mod keys;
mod values;

pub use component::Component;
pub use keys::{KEYS, Key, Preset, reference};

/// Everything that an operator can choose, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory; it need not exist yet.
    pub data: PathBuf,
    /// The file that was read, if there is one.
    pub file: Option<PathBuf>,
    /// The served domain, normalised as in a JID (nameprep).
    pub domain: String,
    /// Programs that bring hosts of their own (XEP-0114).
    pub components: Vec<Component>,
    /// Where clients connect.
    pub listen: Listen,
    /// The operator's own certificate.
    pub tls: Tls,
    /// Who may make an account over XMPP.
    pub registration: Registration,
    /// How clients log in.
    pub login: Login,
    /// Who stands in contact lists by itself.
    pub roster: Roster,
    /// Whom people may write to about this server.
    pub contact: Contact,
    /// Whether people may look for each other.
    pub directory: Directory,
    /// Rooms for many.
    pub rooms: Rooms,
    /// What is kept of messages.
    pub archive: Archive,
    /// What wakes phones.
    pub push: Push,
    /// What clients get while nobody looks at them.
    pub inactive: Inactive,
    /// What becomes of streams whose connection is lost.
    pub stream: Stream,
    /// Bounds that an operator may move; `limits.rs` has the others.
    pub limits: Limits,
    /// What goes to the log.
    pub log: Logging,
    flags: Flags,
}

/// The `[listen]` section. An empty list closes that kind of port.
#[derive(Clone, Debug)]
pub struct Listen {
    /// STARTTLS ports. `[::]` means IPv4 too, where the system has both.
    pub c2s: Vec<SocketAddr>,
    /// Direct TLS ports (XEP-0368).
    pub c2s_tls: Vec<SocketAddr>,
    /// Ports of components; open only where there are any.
    pub components: Vec<SocketAddr>,
}

/// The `[tls]` section: both files or neither, absolute if the configuration file's path is.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM chain, the leaf first.
    pub certificate: Option<PathBuf>,
    /// PEM private key.
    pub key: Option<PathBuf>,
}

/// The `[registration]` section.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Who may register.
    pub mode: RegistrationMode,
}

/// Who may make an account over XMPP (XEP-0077).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Only the operator makes accounts.
    Closed,
    /// Whoever reaches the port may.
    Open,
}

/// The `[login]` section.
#[derive(Clone, Debug)]
pub struct Login {
    /// Whether a SCRAM challenge carries the hash of what the stream offered (XEP-0474).
    pub offer_hash: bool,
}

/// The `[roster]` section.
#[derive(Clone, Debug)]
pub struct Roster {
    /// Whether all accounts see each other without asking.
    pub everyone: bool,
    /// The group in which clients show those who are there by that.
    pub group: String,
}

/// The `[contact]` section: addresses as URIs, which everybody may read (XEP-0157).
#[derive(Clone, Debug, Default)]
pub struct Contact {
    /// About what somebody does on it.
    pub abuse: Vec<String>,
    /// Of those who run it.
    pub admin: Vec<String>,
    /// For praise and wishes.
    pub feedback: Vec<String>,
    /// For who wants to buy something.
    pub sales: Vec<String>,
    /// About holes in it.
    pub security: Vec<String>,
    /// Where it is told how it is.
    pub status: Vec<String>,
    /// For who needs help.
    pub support: Vec<String>,
}

/// The `[directory]` section.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Whether accounts with a vCard can be searched for (XEP-0055).
    pub enabled: bool,
}

/// The `[rooms]` section (XEP-0045).
#[derive(Clone, Debug)]
pub struct Rooms {
    /// Whether there are any.
    pub enabled: bool,
    /// Where they have their addresses; empty for `rooms.` and the domain.
    pub host: String,
    /// The room of everybody: the part before the @; empty for none.
    pub lobby: String,
    /// Who may make rooms.
    pub create: RoomMakers,
}

/// Who may make a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomMakers {
    /// Whoever has an account.
    Everyone,
    /// Administrators of the server, and the command line.
    Admins,
}

/// The `[archive]` section.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Whether messages are archived (XEP-0313).
    pub enabled: bool,
    /// Days that they are kept; 0: for ever.
    pub keep_days: u32,
    /// MiB of the disk that they may take; 0: a tenth of it.
    pub max_mb: u32,
    /// Whose messages are archived for who has not said it.
    pub default: ArchivePolicy,
}

/// Whose messages an archive takes (XEP-0441 §2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchivePolicy {
    /// Everybody's.
    Always,
    /// Those of contacts.
    Roster,
    /// Nobody's.
    Never,
}

impl ArchivePolicy {
    /// All of them.
    pub const ALL: [ArchivePolicy; 3] = [
        ArchivePolicy::Always,
        ArchivePolicy::Roster,
        ArchivePolicy::Never,
    ];

    /// As XEP-0441 and the configuration name it.
    pub fn name(self) -> &'static str {
        match self {
            ArchivePolicy::Always => "always",
            ArchivePolicy::Roster => "roster",
            ArchivePolicy::Never => "never",
        }
    }

    /// The policy of a name.
    pub fn parse(name: &str) -> Option<ArchivePolicy> {
        ArchivePolicy::ALL
            .into_iter()
            .find(|policy| policy.name() == name)
    }
}

/// The `[push]` section (XEP-0357).
#[derive(Clone, Debug)]
pub struct Push {
    /// What an app server learns.
    pub contents: PushContents,
}

/// What an app server learns of what happened; each of these all that the one before it says, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PushContents {
    /// Only that there is something.
    None,
    /// How many messages and requests.
    Count,
    /// Who wrote last.
    Sender,
    /// What they wrote.
    Body,
}

impl PushContents {
    /// As the configuration names it.
    pub fn name(self) -> &'static str {
        match self {
            PushContents::None => "none",
            PushContents::Count => "count",
            PushContents::Sender => "sender",
            PushContents::Body => "body",
        }
    }

    /// The contents of a name.
    pub fn parse(name: &str) -> Option<PushContents> {
        [
            PushContents::None,
            PushContents::Count,
            PushContents::Sender,
            PushContents::Body,
        ]
        .into_iter()
        .find(|contents| contents.name() == name)
    }
}

/// The `[inactive]` section: what of XEP-0352 is done.
#[derive(Clone, Debug)]
pub struct Inactive {
    /// Whether presence waits, the last one of each full JID.
    pub collapse_presence: bool,
    /// Whether typing is dropped.
    pub drop_typing: bool,
}

/// The `[stream]` section.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Seconds that a session waits for its client when the connection is lost (XEP-0198); 0 where it does not.
    pub resume_seconds: u64,
}

/// The `[limits]` section. In every one, 0 means no limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes a second from one connection after login, on average.
    pub stanza_rate: u32,
    /// New connections a minute from one address.
    pub connection_rate: u32,
    /// Failed logins a minute, counted for each address and for each account.
    pub login_rate: u32,
    /// Connections of one address that have not logged in yet.
    pub connections_per_address: u32,
}

/// The `[log]` section.
#[derive(Clone, Debug)]
pub struct Logging {
    /// The least important level that is still written; never `Off`.
    pub level: log::LevelFilter,
}

/// What the command line says; each wins over the file.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--domain`.
    pub domain: Option<String>,
}

/// What [`Config::reload`] found.
#[derive(Clone, Debug)]
pub struct Reload {
    /// To be used from now on. What needs a restart still has its old value in it.
    pub config: Config,
    /// Keys whose new value is in `config`.
    pub changed: Vec<&'static str>,
    /// Keys that changed in the file and wait for a restart.
    pub restart: Vec<&'static str>,
}

/// All that is wrong with a configuration: one sentence each, with file, line and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl Default for Config {
    /// Every key at its default; the domain is `localhost`, the data directory the current one.
    fn default() -> Config {
        let mut config = Config {
            data: PathBuf::from("."),
            file: None,
            domain: "localhost".to_owned(),
            components: Vec::new(),
            listen: Listen {
                c2s: Vec::new(),
                c2s_tls: Vec::new(),
                components: Vec::new(),
            },
            tls: Tls {
                certificate: None,
                key: None,
            },
            registration: Registration {
                mode: RegistrationMode::Closed,
            },
            login: Login { offer_hash: false },
            roster: Roster {
                everyone: false,
                group: String::new(),
            },
            contact: Contact::default(),
            directory: Directory { enabled: false },
            rooms: Rooms {
                enabled: false,
                host: String::new(),
                lobby: String::new(),
                create: RoomMakers::Everyone,
            },
            archive: Archive {
                enabled: false,
                keep_days: 0,
                max_mb: 0,
                default: ArchivePolicy::Always,
            },
            push: Push {
                contents: PushContents::None,
            },
            inactive: Inactive {
                collapse_presence: false,
                drop_typing: false,
            },
            stream: Stream { resume_seconds: 0 },
            limits: Limits {
                stanza_rate: 0,
                connection_rate: 0,
                login_rate: 0,
                connections_per_address: 0,
            },
            log: Logging {
                level: log::LevelFilter::Info,
            },
            flags: Flags::default(),
        };
        for key in KEYS {
            if let Preset::Value(value) = key.preset {
                config.set(key, value);
            }
        }
        config
    }
}

impl Config {
    /// Finds the data directory and the file, reads it and lets the flags win.
    pub fn load(flags: &Flags) -> Result<Config, ConfigError> {
        let data = data_directory(flags.data.as_deref(), Path::new(INSTALLED_DATA), |name| {
            std::env::var_os(name)
        })
        .map_err(ConfigError::one)?;
        let mut config = match flags.config.clone().or_else(|| default_file(&data)) {
            None => Config {
                data,
                domain: default_domain(host_name().as_deref()),
                ..Config::default()
            },
            Some(file) => {
                let text = std::fs::read_to_string(&file).map_err(|error| {
                    ConfigError::one(format!(
                        "{}: cannot be read: {error}; name another file with --config, or make this one readable for snug's user",
                        file.display()
                    ))
                })?;
                Config::parse(&text, &file, &data)?
            }
        };
        if let Some(name) = &flags.domain {
            config.domain = values::domain(name)
                .map_err(|refused| ConfigError::one(format!("--domain: {}", refused.why)))?;
        }
        config.flags = flags.clone();
        Ok(config)
    }

    /// The configuration that a file's text stands for; `file` is its path, for errors and for relative paths.
    pub fn parse(text: &str, file: &Path, data: &Path) -> Result<Config, ConfigError> {
        let mut config = Config {
            data: data.to_owned(),
            file: Some(file.to_owned()),
            domain: default_domain(host_name().as_deref()),
            ..Config::default()
        };
        match file::read(&mut config, text) {
            Ok(()) => Ok(config),
            Err(wrong) => {
                let sentence =
                    |(line, why): &(usize, String)| format!("{}:{line}: {why}", file.display());
                Err(ConfigError(wrong.iter().map(sentence).collect()))
            }
        }
    }

    /// Reads the same file again with the same flags. On an error the running configuration stays as it is. Whether a certificate file's
    /// content changed is not looked at: who holds the certificate reads it again on every SIGHUP.
    pub fn reload(&self) -> Result<Reload, ConfigError> {
        let flags = Flags {
            config: self.file.clone(),
            data: Some(self.data.clone()),
            ..self.flags.clone()
        };
        let mut config = Config {
            flags: self.flags.clone(),
            ..Config::load(&flags)?
        };
        let (mut changed, mut restart) = (Vec::new(), Vec::new());
        for key in KEYS {
            let old = (key.show)(self);
            // Secrets are not shown.
            let same = key.path != "component" || self.components == config.components;
            if same && old == (key.show)(&config) {
                continue;
            }
            if key.live {
                changed.push(key.path);
            } else {
                config.set(
                    key,
                    &old.expect("a key that needs a restart always has a value"),
                );
                restart.push(key.path);
            }
        }
        Ok(Reload {
            config,
            changed,
            restart,
        })
    }

    /// The host that rooms have their addresses at.
    pub fn rooms_host(&self) -> String {
        match self.rooms.host.is_empty() {
            true => format!("rooms.{}", self.domain),
            false => self.rooms.host.clone(),
        }
    }

    /// Every key and the value in force, as TOML, in the order of [`KEYS`]; keys without a value are left out.
    pub fn values(&self) -> Vec<(&'static str, String)> {
        KEYS.iter()
            .filter_map(|key| Some((key.path, (key.show)(self)?)))
            .collect()
    }

    fn set(&mut self, key: &Key, value: &str) {
        let value = DeValue::parse(value)
            .unwrap_or_else(|error| panic!("{}: our own value is TOML: {error}", key.path));
        if let Err(refused) = (key.read)(self, &value) {
            panic!(
                "{}: our own value passes its check: {}",
                key.path, refused.why
            );
        }
    }
}

/// The data directory of a snug that is installed as a service.
pub const INSTALLED_DATA: &str = "/var/lib/snug";

/// The data directory: `--data`, else `$STATE_DIRECTORY` (systemd), else `$XDG_DATA_HOME/snug`, else `~/.local/share/snug`. Instead of the last two it is
/// `installed` (that is [`INSTALLED_DATA`]) where that is there: for root and its owner always, for others while they have none of their own.
pub fn data_directory(
    flag: Option<&Path>,
    installed: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, String> {
    let directory = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(flag) = flag {
        // Absolute, so that every sentence about it means the same from another directory.
        return std::path::absolute(flag)
            .map_err(|error| format!("--data {}: {error}; name a directory", flag.display()));
    }
    // systemd joins several with colons; the unit has one.
    if let Some(state) = variable("STATE_DIRECTORY")
        && let Some(first) = std::env::split_paths(&state).find(|path| path.is_absolute())
    {
        return Ok(first);
    }
    let own = directory("XDG_DATA_HOME")
        .map(|base| base.join("snug"))
        .or_else(|| directory("HOME").map(|home| home.join(".local/share/snug")));
    if let Ok(service) = std::fs::metadata(installed) {
        let user = rustix::process::geteuid();
        let theirs = user.is_root() || user.as_raw() == service.uid();
        if theirs || !own.as_ref().is_some_and(|own| own.exists()) {
            return Ok(installed.to_owned());
        }
    }
    match own {
        Some(own) => Ok(own),
        None => Err("there is no place for the data, as neither STATE_DIRECTORY, XDG_DATA_HOME nor HOME is set; \
                     name a directory with --data"
            .to_owned()),
    }
}

/// `<hostname>.local`: the first label, in lower case, with what a host name may not have as hyphens. Without a usable one: `localhost`.
pub fn default_domain(host_name: Option<&str>) -> String {
    let label = host_name
        .unwrap_or("")
        .trim()
        .split('.')
        .next()
        .unwrap_or("");
    let clean: String = label
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    match clean.trim_matches('-') {
        "" | "localhost" => "localhost".to_owned(),
        name => format!("{name}.local"),
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    fn one(sentence: String) -> ConfigError {
        ConfigError(vec![sentence])
    }
}

/// `DATA/snug.toml`, else `/etc/snug/snug.toml`, if there is one.
fn default_file(data: &Path) -> Option<PathBuf> {
    [data.join("snug.toml"), PathBuf::from("/etc/snug/snug.toml")]
        .into_iter()
        .find(|file| file.exists())
}

fn host_name() -> Option<String> {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
}
