//! `snug export`: all accounts and rooms into one file of XEP-0227 (1.1), byte for byte the same while nothing changes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use crate::admin::portable::{PIE, Place, ROOM};
use crate::cli::control::Partner;
use crate::cli::{Failure, data_directory, print};
use crate::xml::escaped;

/// write all accounts and rooms with all that they have to a file that other servers read (XEP-0227), with snug running or not
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "export",
    help_triggers("--help", "-h"),
    example = "{command_name} accounts.xml",
    example = "{command_name} - | gpg --encrypt --recipient me > accounts.xml.gpg",
    example = "{command_name} --for ejabberd accounts.xml"
)]
pub(in crate::cli) struct Export {
    /// the file, or - for stdout; it is replaced when the new one is complete, and only its owner may read it
    #[argh(positional)]
    file: PathBuf,
    /// write what another server's import takes: ejabberd
    #[argh(option, long = "for", arg_name = "server")]
    whom: Option<String>,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// What was written, for the last line.
#[derive(Default)]
struct Written {
    accounts: u64,
    contacts: u64,
    messages: u64,
    items: u64,
    archived: u64,
    rooms: u64,
    left_out: u64,
    locked: u64,
    lack_sha1: u64,
}

impl Export {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        if let Some(whom) = self.whom.as_deref().filter(|whom| *whom != "ejabberd") {
            return Err(Failure {
                exit: crate::cli::Exit::Usage,
                says: format!(
                    "--for knows ejabberd only, and not {whom:?}; without it any server that reads XEP-0227 is meant"
                ),
            });
        }
        let data = data_directory(&self.data)?;
        let mut partner = Partner::of(&data, &self.config)?;
        let whom = self.whom.as_deref();
        let written = if self.file == Path::new("-") {
            let out = BufWriter::new(io::stdout().lock());
            write(&mut partner, whom, out, "stdout")?.1
        } else {
            to_file(&mut partner, whom, &self.file)?
        };
        // Stdout may be the file.
        print::err(&written.summary(whom.is_some()));
        Ok(())
    }
}

/// Under another name until it is complete and on the disk.
fn to_file(partner: &mut Partner, whom: Option<&str>, path: &Path) -> Result<Written, Failure> {
    let shown = path.display().to_string();
    let Some(name) = path.file_name() else {
        return Err(Failure::from(format!(
            "{shown} is no name of a file: add one"
        )));
    };
    let mut temporary = name.to_owned();
    temporary.push(format!(".part{}", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let cannot = |error: io::Error| Failure::from(unwritable(&shown, &error));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot(error)),
        _ => {}
    }
    // XEP-0227 §5: nobody else may read it.
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(cannot)?;
    let result = write(partner, whom, BufWriter::new(file), &shown).and_then(|(out, written)| {
        let file = out
            .into_inner()
            .map_err(|error| cannot(error.into_error()))?;
        file.sync_all().map_err(cannot)?;
        fs::rename(&temporary, path).map_err(cannot)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(cannot)?;
        Ok(written)
    });
    if result.is_err() {
        // It is of no use, and full of secrets.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn unwritable(shown: &str, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("{shown}: the disk is full: free some space, or write elsewhere")
        }
        _ => format!("{shown} cannot be written: {error}"),
    }
}

/// Writes the whole document.
fn write<W: Write>(
    partner: &mut Partner,
    whom: Option<&str>,
    mut out: W,
    shown: &str,
) -> Result<(W, Written), Failure> {
    let cannot = |error: io::Error| Failure::from(unwritable(shown, &error));
    let mut written = Written::default();
    let mut after = Value::Null;
    let mut first = true;
    loop {
        let answer = partner.ask(&json!({"verb": "export.names", "after": after}))?;
        if std::mem::take(&mut first) {
            let domain = answer["domain"].as_str().unwrap_or_default();
            let head = format!(
                "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='{PIE}'>\n<host jid='{}'>\n",
                escaped(domain)
            );
            out.write_all(head.as_bytes()).map_err(cannot)?;
        }
        let names = answer["names"].as_array().cloned().unwrap_or_default();
        for name in names.iter().filter_map(Value::as_str) {
            let what = What::Account { whom };
            thing(partner, &what, name, &mut out, &mut written, shown)?;
        }
        match (answer["more"] == true, names.last()) {
            (true, Some(last)) => after = last.clone(),
            _ => break,
        }
    }
    if whom.is_none() {
        rooms(partner, &mut out, &mut written, shown)?;
    }
    out.write_all(b"</host>\n</server-data>\n")
        .map_err(cannot)?;
    out.flush().map_err(cannot)?;
    Ok((out, written))
}

/// Writes all rooms.
fn rooms<W: Write>(
    partner: &mut Partner,
    out: &mut W,
    written: &mut Written,
    shown: &str,
) -> Result<(), Failure> {
    let mut after = Value::Null;
    loop {
        let answer = partner.ask(&json!({"verb": "export.rooms", "after": after}))?;
        let host = answer["host"].as_str().unwrap_or_default();
        let names = answer["names"].as_array().cloned().unwrap_or_default();
        for name in names.iter().filter_map(Value::as_str) {
            thing(partner, &What::Room { host }, name, out, written, shown)?;
        }
        match (answer["more"] == true, names.last()) {
            (true, Some(last)) => after = last.clone(),
            _ => return Ok(()),
        }
    }
}

/// Writes an account or a room.
fn thing<W: Write>(
    partner: &mut Partner,
    what: &What<'_>,
    name: &str,
    out: &mut W,
    written: &mut Written,
    shown: &str,
) -> Result<(), Failure> {
    let mut text = String::new();
    let mut open = Open::default();
    let mut next = Value::Null;
    let mut begun = false;
    loop {
        let request = match what {
            What::Account { whom } => {
                json!({"verb": "export.part", "name": name, "for": whom, "next": next})
            }
            What::Room { .. } => json!({"verb": "export.room", "name": name, "next": next}),
        };
        let answer = partner.ask(&request)?;
        if answer["gone"] == true && !begun {
            return Ok(());
        }
        if !std::mem::replace(&mut begun, true) {
            text.push_str(&what.begins(name));
            match what {
                What::Account { .. } => written.accounts += 1,
                What::Room { .. } => written.rooms += 1,
            }
            written.locked += u64::from(answer["locked"] == true);
            written.lack_sha1 += u64::from(answer["lacks_sha1"] == true);
        }
        written.left_out += answer["left_out"].as_u64().unwrap_or(0);
        for piece in answer["pieces"].as_array().into_iter().flatten() {
            let place = piece[0].as_str().and_then(Place::of_word);
            let (Some(place), Some(xml)) = (place, piece[1].as_str()) else {
                return Err(Failure::from("the running snug answers in another way than this command expects: are both of the same version?".to_owned()));
            };
            open.turn_to(place, piece[2].as_str().unwrap_or_default(), &mut text);
            text.push_str(xml);
            match place {
                Place::User | Place::Room => text.push('\n'),
                Place::Roster => written.contacts += 1,
                Place::Offline => written.messages += 1,
                Place::NodeItems => written.items += 1,
                Place::Archive => written.archived += 1,
                _ => {}
            }
        }
        out.write_all(text.as_bytes())
            .map_err(|error| Failure::from(unwritable(shown, &error)))?;
        text.clear();
        // Deleted meanwhile: what there is of it stays.
        if answer["next"].is_null() {
            break;
        }
        next = answer["next"].clone();
    }
    open.close(&mut text);
    text.push_str(what.ends());
    out.write_all(text.as_bytes())
        .map_err(|error| Failure::from(unwritable(shown, &error)))
}

/// What is written.
enum What<'w> {
    Account { whom: Option<&'w str> },
    Room { host: &'w str },
}

impl What<'_> {
    fn begins(&self, name: &str) -> String {
        match self {
            What::Account { .. } => format!("<user name='{}'>\n", escaped(name)),
            What::Room { host } => {
                let jid = format!("{name}@{host}");
                format!("<room xmlns='{ROOM}' jid='{}'>\n", escaped(&jid))
            }
        }
    }

    fn ends(&self) -> &'static str {
        match self {
            What::Account { .. } => "</user>\n",
            What::Room { .. } => "</room>\n",
        }
    }
}

/// The elements around pieces that are open.
#[derive(Default)]
struct Open {
    element: Option<(&'static str, &'static str)>,
    inner: Option<(&'static str, String)>,
}

impl Open {
    /// Closes and opens what it takes for a piece of this place. No white space inside: ejabberd takes it for a message.
    fn turn_to(&mut self, place: Place, node: &str, text: &mut String) {
        if self.element != place.element() {
            self.close(text);
            self.element = place.element();
            if let Some((ns, name)) = self.element {
                text.push_str(&format!("<{name} xmlns='{ns}'>"));
            }
        }
        let inner = place.inner().map(|name| (name, node.to_owned()));
        if self.inner != inner {
            self.close_inner(text);
            if let Some((name, node)) = &inner {
                text.push_str(&format!("<{name} node='{}'>", escaped(node)));
            }
            self.inner = inner;
        }
    }

    fn close(&mut self, text: &mut String) {
        self.close_inner(text);
        if let Some((_, name)) = self.element.take() {
            text.push_str(&format!("</{name}>\n"));
        }
    }

    fn close_inner(&mut self, text: &mut String) {
        if let Some((name, _)) = self.inner.take() {
            text.push_str(&format!("</{name}>"));
        }
    }
}

impl Written {
    fn summary(&self, for_ejabberd: bool) -> String {
        let mut text = format!(
            "{} accounts, {} contacts and {} waiting messages were written.\n",
            self.accounts, self.contacts, self.messages
        );
        if self.items + self.archived + self.rooms > 0 {
            text.push_str(&format!(
                "{} items of PEP, {} archived messages and {} rooms were written.\n",
                self.items, self.archived, self.rooms
            ));
        }
        if for_ejabberd {
            text.push_str("Nodes of PEP, message archives and rooms were left out: ejabberd's import knows none.\n");
        }
        if self.left_out > 0 {
            text.push_str(&format!(
                "{} things were left out because the reader could not take them.\n",
                self.left_out
            ));
        }
        if for_ejabberd && self.locked > 0 {
            text.push_str(&format!(
                "{} locked accounts have no password there: ejabberd knows no locks.\n",
                self.locked
            ));
        }
        if for_ejabberd && self.lack_sha1 > 0 {
            text.push_str(&format!(
                "{} accounts have keys for SCRAM-SHA-256 only: they log in at an ejabberd with `auth_scram_hash: sha256`, where the others do not.\n",
                self.lack_sha1
            ));
        }
        text
    }
}
