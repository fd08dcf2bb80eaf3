//! Reads Prosody's data directory (0.12, internal storage): accounts with contacts, vCards, private data, waiting messages, block lists, nodes of PEP and
//! archives; rooms with those who are something there, and their archives.

mod archive;
mod files;
mod pep;
mod rooms;
mod stanza;

use std::path::{Path, PathBuf};

use files::{contents, decoded, entries, file_name, hexadecimal, unreadable};
use stanza::{named, xml_of};

use super::lua::{self, Items, Table, Value};
use super::{Found, Take};
use crate::admin::portable::{BLOCKING, Piece, Place, SCRAM, SNUG, read};
use crate::features::vcard::convert;
use crate::xml::{Document, written};
use crate::xmpp::{Jid, ns, time};

/// Stores of which everything is read, or that have nothing of an account's own.
const VCARD4: &str = "pep_urn%3axmpp%3avcard4";
const AVATAR: &str = "pep_urn%3axmpp%3aavatar%3adata";
const AVATAR_TYPE: &str = "pep_urn%3axmpp%3aavatar%3ametadata";

/// Reads all accounts of `domain` in a directory like `/var/lib/prosody`.
pub(super) fn read(directory: &Path, domain: &str, take: Take<'_>) -> Result<(), String> {
    let mut hosts = Vec::new();
    for folder in entries(directory)? {
        if folder.join("accounts").is_dir() {
            hosts.push((decoded(&file_name(&folder)), folder));
        }
    }
    if hosts.is_empty() {
        return Err(format!(
            "{} is no data directory of Prosody with accounts in it: it has a folder for each domain, and is /var/lib/prosody on Debian",
            directory.display()
        ));
    }
    let mut services = Vec::new();
    for folder in entries(directory)? {
        if folder.join("config").is_dir()
            && let Some(host) = decoded(&file_name(&folder))
        {
            services.push((host, folder));
        }
    }
    for (host, folder) in hosts {
        let host = host.unwrap_or_default();
        let is_ours = Jid::parse(&host).is_ok_and(|jid| jid.is_domain() && jid.domain() == domain);
        for path in entries(&folder.join("accounts"))? {
            let name = file_name(&path);
            let Some(encoded) = name.strip_suffix(".dat") else {
                continue;
            };
            let place = path.display().to_string();
            if !is_ours {
                let domain = host.clone();
                take(Found::Elsewhere { domain }, &place)?;
                continue;
            }
            let name = decoded(encoded).ok_or_else(|| {
                format!(
                    "{place}: the name of the file is no encoded name: rename it, or move it away"
                )
            })?;
            let mut account = Owner {
                folder: &folder,
                encoded,
                name: &name,
                domain,
                take: &mut *take,
            };
            account.read(&path)?;
        }
    }
    for (host, folder) in services {
        rooms::read(&folder, &host, take)?;
    }
    Ok(())
}

/// Who has files at Prosody: an account, or a room.
struct Owner<'a, 't> {
    folder: &'a Path,
    /// Its name in file names.
    encoded: &'a str,
    name: &'a str,
    domain: &'a str,
    take: &'a mut (dyn FnMut(Found, &str) -> Result<(), String> + 't),
}

impl Owner<'_, '_> {
    fn read(&mut self, path: &Path) -> Result<(), String> {
        let place = path.display().to_string();
        let Some(bytes) = contents(path)? else {
            return Ok(());
        };
        let value = lua::returned(&bytes).map_err(|why| unreadable(path, &why))?;
        let empty = Table::default();
        let account = value.table().unwrap_or(&empty);
        let password = account.text("password").filter(|text| !text.is_empty());
        let user = Found::User {
            name: self.name.to_owned(),
            password: password.map(str::to_owned),
        };
        (self.take)(user, &place)?;
        if password.is_none() {
            self.credentials(account, &place)?;
        }
        let created = account.number("created").filter(|seconds| *seconds >= 0.0);
        let locked = account.get("disabled") == Some(&Value::Bool(true));
        if created.is_some() || locked {
            let facts = written(|out| {
                out.start("account").attr("xmlns", SNUG);
                let created = created.map(|seconds| ((seconds * 1000.0) as u64).to_string());
                out.attr_opt("created-ms", created.as_deref())
                    .attr_opt("locked", locked.then_some("true"))
                    .end();
            });
            self.piece(Place::User, facts, "the account's facts", &place)?;
        }
        self.roster()?;
        self.vcard()?;
        self.private()?;
        self.offline()?;
        self.blocklist()?;
        self.nodes()?;
        self.archive("archive")?;
        (self.take)(Found::End, &place)
    }

    /// mod_auth_internal_hashed: the salt is text, the keys are hexadecimal; the hash is told by their length.
    fn credentials(&mut self, account: &Table, place: &str) -> Result<(), String> {
        let keys = (|| {
            let stored_key = hexadecimal(account.text("stored_key")?)?;
            let server_key = hexadecimal(account.text("server_key")?)?;
            let salt = account.get("salt")?.bytes()?;
            let iterations = account.number("iteration_count")?;
            let mechanism = match stored_key.len() {
                20 => "SCRAM-SHA-1",
                32 => "SCRAM-SHA-256",
                _ => return None,
            };
            Some(written(|out| {
                out.start("scram-credentials")
                    .attr("xmlns", SCRAM)
                    .attr("mechanism", mechanism)
                    .leaf("iter-count", &format!("{iterations:.0}"))
                    .leaf("salt", &crate::auth::encode(salt))
                    .leaf("server-key", &crate::auth::encode(&server_key))
                    .leaf("stored-key", &crate::auth::encode(&stored_key))
                    .end();
            }))
        })();
        match keys {
            Some(keys) => self.piece(Place::User, keys, "keys", place),
            // An account that was made without a password.
            None => Ok(()),
        }
    }

    /// core.rostermanager: contacts by JID, and under `false` who asks for a subscription.
    fn roster(&mut self) -> Result<(), String> {
        let Some((roster, place)) = self.store("roster")? else {
            return Ok(());
        };
        let own = format!("{}@{}", self.name, self.domain);
        let mut contacts: Vec<(&str, &Table)> = Vec::new();
        let mut pending: Vec<(&str, &Value)> = Vec::new();
        for (key, value) in &roster.named {
            match (key, value) {
                (Value::Bool(false), Value::Table(about)) => {
                    pending.extend(named(about.table("pending")));
                }
                // Where it stood before 0.9.
                (Value::Text(key), Value::Table(about))
                    if key == b"pending" && about.text("subscription").is_none() =>
                {
                    pending.extend(named(Some(about)));
                }
                (key, Value::Table(contact)) => match key.text() {
                    Some(jid) if jid != own => contacts.push((jid, contact)),
                    Some(_) => {}
                    None => self.left_out("a contact that is not UTF-8", &place)?,
                },
                _ => {}
            }
        }
        contacts.sort_by_key(|(jid, _)| *jid);
        pending.sort_by_key(|(jid, _)| *jid);
        for (jid, contact) in contacts {
            let mut groups: Vec<&str> = named(contact.table("groups"))
                .map(|(name, _)| name)
                .collect();
            groups.sort_unstable();
            let item = written(|out| {
                out.start("item")
                    .attr("xmlns", ns::ROSTER)
                    .attr("jid", jid)
                    .attr_opt("name", contact.text("name"))
                    .attr_opt("subscription", contact.text("subscription"))
                    .attr_opt("ask", contact.text("ask"))
                    .attr_opt("approved", contact.text("approved"));
                for group in groups {
                    out.leaf("group", group);
                }
                out.end();
            });
            self.piece(Place::Roster, item, &format!("the contact {jid}"), &place)?;
        }
        for (jid, stanza) in pending {
            let xml = match stanza {
                Value::Table(stanza) => xml_of(stanza, Some(ns::CLIENT)),
                _ => Some(written(|out| {
                    out.start("presence")
                        .attr("xmlns", ns::CLIENT)
                        .attr("from", jid)
                        .attr("to", &own)
                        .attr("type", "subscribe")
                        .end();
                })),
            };
            self.made(
                Place::User,
                xml,
                &format!("the subscription request of {jid}"),
                &place,
            )?;
        }
        Ok(())
    }

    /// mod_vcard; else what mod_vcard_legacy makes vCards of, which keeps them in PEP.
    fn vcard(&mut self) -> Result<(), String> {
        if let Some((vcard, place)) = self.store("vcard")? {
            return self.made(Place::User, xml_of(&vcard, None), "the vCard", &place);
        }
        // An item of PEP is its payload, with the storage's own fields beside it.
        let payload = |list: &[Value]| {
            let item = list.last()?.table()?;
            Document::parse(xml_of(item, None)?).ok()
        };
        let read = |account: &Self, store: &str| account.list(store);
        let vcard4 = read(self, VCARD4)?;
        let (avatar, metadata) = (read(self, AVATAR)?, read(self, AVATAR_TYPE)?);
        let vcard4_xml = vcard4.as_ref().and_then(|(list, _)| payload(list));
        let picture = avatar.as_ref().and_then(|(list, _)| payload(list));
        let Some(place) = [&vcard4, &avatar]
            .into_iter()
            .flatten()
            .map(|(_, place)| place)
            .next()
        else {
            return Ok(());
        };
        let about = metadata.as_ref().and_then(|(list, _)| payload(list));
        let picture_type = about.as_ref().and_then(|about| {
            let info = about.root().children().next()?;
            Some(info.attr("type")?.into_owned())
        });
        let old = picture.map(|picture| {
            let xml = written(|out| {
                out.start("vCard").attr("xmlns", ns::VCARD);
                out.start("PHOTO")
                    .leaf("TYPE", picture_type.as_deref().unwrap_or("image/png"))
                    .leaf("BINVAL", picture.root().text().trim())
                    .end()
                    .end();
            });
            Document::parse(xml)
        });
        let old = old.and_then(Result::ok);
        let Some(vcard4) = vcard4_xml else {
            let xml = old.map(|old| old.text().to_owned());
            return self.made(Place::User, xml, "the avatar", place);
        };
        let made = convert::from_vcard4(&vcard4.root(), None);
        // The picture goes in front of what the vCard has; one of its own would stand there already.
        let mut vcard = made.vcard;
        if let Some(old) = old
            && !vcard.contains("<PHOTO>")
        {
            let photo: String = old
                .root()
                .children()
                .map(|child| child.source().to_owned())
                .collect();
            match vcard.find('>') {
                Some(end) if vcard.as_bytes()[end - 1] != b'/' => vcard.insert_str(end + 1, &photo),
                _ => vcard = old.text().to_owned(),
            }
        }
        self.piece(Place::User, vcard, "the vCard", place)?;
        if !made.rest.is_empty() {
            let xml = written(|out| {
                out.start("document")
                    .attr("xmlns", SNUG)
                    .attr("kind", "vcard4")
                    .raw(&made.rest)
                    .end();
            });
            self.piece(Place::User, xml, "a part of the vCard", place)?;
        }
        Ok(())
    }

    /// mod_private: elements by name and namespace.
    fn private(&mut self) -> Result<(), String> {
        let Some((private, place)) = self.store("private")? else {
            return Ok(());
        };
        let mut all: Vec<(&str, &Value)> = named(Some(&private)).collect();
        all.sort_by_key(|(key, _)| *key);
        for (key, value) in all {
            let xml = value.table().and_then(|element| xml_of(element, None));
            self.made(
                Place::Private,
                xml,
                &format!("the private data {key}"),
                &place,
            )?;
        }
        Ok(())
    }

    /// mod_offline: stanzas in their order, with the seconds since 1970 when they came.
    fn offline(&mut self) -> Result<(), String> {
        let Some((list, place)) = self.list("offline")? else {
            return Ok(());
        };
        for value in &list {
            let xml = value.table().and_then(|stanza| {
                let mut stanza = stanza.clone();
                let at = stanza.number("when").filter(|seconds| *seconds >= 0.0);
                // The storage puts its stamps among the attributes.
                for (key, value) in &mut stanza.named {
                    if let (Some(b"attr"), Value::Table(attributes)) = (key.bytes(), value) {
                        attributes.named.retain(|(name, _)| {
                            !matches!(name.text(), Some("stamp" | "stamp_legacy"))
                        });
                    }
                }
                if let Some(at) = at {
                    stanza.list.push(self.delay((at * 1000.0) as u64));
                }
                xml_of(&stanza, Some(ns::CLIENT))
            });
            self.made(Place::Offline, xml, "a waiting message", &place)?;
        }
        Ok(())
    }

    /// XEP-0203, which Prosody adds when it hands a message over.
    fn delay(&self, at_ms: u64) -> Value {
        let text = |text: &str| Value::Text(text.into());
        let attributes = [
            ("xmlns", ns::DELAY.to_owned()),
            ("from", self.domain.to_owned()),
            ("stamp", time::format(at_ms)),
        ];
        let attributes = attributes.map(|(name, value)| (text(name), text(&value)));
        let attributes = Table {
            list: Vec::new(),
            named: attributes.into(),
        };
        Value::Table(Table {
            list: Vec::new(),
            named: vec![
                (text("name"), text("delay")),
                (text("attr"), Value::Table(attributes)),
            ],
        })
    }

    /// mod_blocklist: `true` by JID.
    fn blocklist(&mut self) -> Result<(), String> {
        let Some((blocklist, place)) = self.store("blocklist")? else {
            return Ok(());
        };
        let mut all: Vec<&str> = named(Some(&blocklist)).map(|(jid, _)| jid).collect();
        all.sort_unstable();
        for jid in all {
            let xml = written(|out| {
                out.start("item")
                    .attr("xmlns", BLOCKING)
                    .attr("jid", jid)
                    .end();
            });
            self.piece(
                Place::Blocked,
                xml,
                &format!("the blocked address {jid}"),
                &place,
            )?;
        }
        Ok(())
    }

    /// A table of this account's, and where it stands.
    fn store(&self, store: &str) -> Result<Option<(Table, String)>, String> {
        let path = self.path(store, "dat");
        let Some(bytes) = contents(&path)? else {
            return Ok(None);
        };
        match lua::returned(&bytes).map_err(|why| unreadable(&path, &why))? {
            Value::Table(table) => Ok(Some((table, path.display().to_string()))),
            _ => Ok(None),
        }
    }

    /// A list of this account's, and where it stands.
    fn list(&self, store: &str) -> Result<Option<(Vec<Value>, String)>, String> {
        let path = self.path(store, "list");
        let Some(bytes) = contents(&path)? else {
            return Ok(None);
        };
        let items = lua::items(&bytes).map_err(|why| unreadable(&path, &why))?;
        Ok(Some((items, path.display().to_string())))
    }

    /// Hands on a list of this account's, one item at a time, each with where it stands: an archive is not in memory as tables, all of it.
    fn each(
        &mut self,
        store: &str,
        mut take: impl FnMut(&mut Self, &Value, &str) -> Result<(), String>,
    ) -> Result<(), String> {
        let path = self.path(store, "list");
        let Some(bytes) = contents(&path)? else {
            return Ok(());
        };
        let place = path.display().to_string();
        for item in Items::of(&bytes) {
            let item = item.map_err(|why| unreadable(&path, &why))?;
            take(self, &item, &place)?;
        }
        Ok(())
    }

    fn path(&self, store: &str, ending: &str) -> PathBuf {
        self.folder
            .join(store)
            .join(format!("{}.{ending}", self.encoded))
    }

    /// A piece that could be put together, or none.
    fn made(
        &mut self,
        place: Place,
        xml: Option<String>,
        what: &str,
        at: &str,
    ) -> Result<(), String> {
        match xml {
            Some(xml) => self.piece(place, xml, what, at),
            None => self.left_out(what, at),
        }
    }

    /// A piece that snug can read; nobody can mend Prosody's files by hand, so what it cannot is left out and said.
    fn piece(&mut self, place: Place, xml: String, what: &str, at: &str) -> Result<(), String> {
        self.read_piece(Piece::new(place, xml), what, at)
    }

    fn read_piece(&mut self, piece: Piece, what: &str, at: &str) -> Result<(), String> {
        match read::read(&piece) {
            Ok(_) => (self.take)(Found::Piece(piece), at),
            Err(why) if what == "keys" => Err(format!("{at}: {why}")),
            Err(why) => self.left_out(&format!("{what} of {}: {why}", self.name), at),
        }
    }

    fn left_out(&mut self, what: &str, at: &str) -> Result<(), String> {
        let what = what.to_owned();
        (self.take)(Found::LeftOut { what, times: 1 }, at)
    }
}
