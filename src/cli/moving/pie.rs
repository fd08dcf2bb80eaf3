//! Reads a file of XEP-0227 (1.1), however long, and those that it includes (§4).

use std::fs::File;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use super::cut::{CUT_OFF, Cut, Cutter, ELEMENT_BYTES};
use super::{Found, Take};
use crate::admin::portable::read::said;
use crate::admin::portable::{PIE, PRIVACY, Piece, Place, ROOM, SCRAM, SNUG};
use crate::xml::{Document, Element};
use crate::xmpp::{Jid, ns};

/// XInclude 1.0.
const INCLUDE: &str = "http://www.w3.org/2001/XInclude";

/// Files that one import may include: an account each.
const FILES: u32 = 200_000;

/// Reads all accounts of `domain` in a file.
pub(super) fn read(path: &Path, domain: &str, take: Take<'_>) -> Result<(), String> {
    let mut reading = Reading {
        domain,
        files: 0,
        take,
    };
    reading.file(path, Level::Server, None)
}

/// What stands at the top of a file, or of what is around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Server,
    Host,
    User,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Server => "server-data",
            Level::Host => "host",
            Level::User => "user",
        }
    }

    fn inner(self) -> Option<Level> {
        match self {
            Level::Server => Some(Level::Host),
            Level::Host => Some(Level::User),
            Level::User => None,
        }
    }
}

/// Whose accounts are read: none are known before a `<host/>`.
#[derive(Clone)]
enum Host {
    Ours,
    Others(String),
}

struct Reading<'r> {
    domain: &'r str,
    files: u32,
    take: Take<'r>,
}

/// One file, and the start tags that are open in it.
struct Source {
    cutter: Cutter<BufReader<File>>,
    path: PathBuf,
    open: Vec<String>,
}

impl Source {
    fn place(&self) -> String {
        format!("{}, line {}", self.path.display(), self.cutter.line)
    }

    /// An error at this place.
    fn wrong<T>(&self, why: impl AsRef<str>) -> Result<T, String> {
        Err(format!("{}: {}", self.place(), why.as_ref()))
    }

    fn next(&mut self) -> Result<Cut, String> {
        match self.cutter.next() {
            Ok(Cut::Text) if self.cutter.text().is_err() => self.wrong("it is not UTF-8"),
            Ok(cut) => Ok(cut),
            Err(why) => self.wrong(why),
        }
    }

    /// The next tag at a level where only tags stand.
    fn tag(&mut self) -> Result<Cut, String> {
        loop {
            match self.next()? {
                Cut::Comment => {}
                Cut::Text if self.cutter.bytes.iter().all(u8::is_ascii_whitespace) => {}
                Cut::Text => {
                    return self.wrong("there is text where only elements stand: remove it");
                }
                Cut::Declaration => {
                    return self.wrong("an XML declaration stands in the middle: remove it");
                }
                cut => return Ok(cut),
            }
        }
    }

    /// The element `xml` as it reads inside of all that is open.
    fn inside(&self, xml: &str) -> Result<Inside, String> {
        let mut text = String::new();
        for tag in &self.open {
            text.push_str(tag);
        }
        text.push_str(xml);
        for tag in self.open.iter().rev() {
            text.push_str("</");
            text.push_str(name_of(tag));
            text.push('>');
        }
        match Document::parse(text) {
            Ok(document) => Ok(Inside {
                document,
                depth: self.open.len(),
            }),
            Err(error) => self.wrong(said(error)),
        }
    }

    /// The start tag that was just cut, as an element without content.
    fn head(&self) -> Result<Inside, String> {
        let text = match self.cutter.text() {
            Ok(text) => text,
            Err(why) => return self.wrong(why),
        };
        match text.strip_suffix("/>") {
            Some(_) => self.inside(text),
            None => self.inside(&format!("{}/>", &text[..text.len() - 1])),
        }
    }

    /// Enters the element whose start tag was just cut.
    fn enter(&mut self) {
        let tag = String::from_utf8_lossy(&self.cutter.bytes).into_owned();
        self.open.push(tag);
    }

    /// Leaves the innermost element by the end tag that was just cut.
    fn leave(&mut self) -> Result<(), String> {
        let tag = String::from_utf8_lossy(&self.cutter.bytes).into_owned();
        let name = tag
            .trim_start_matches("</")
            .trim_end_matches('>')
            .trim_end();
        match self.open.last() {
            Some(open) if name_of(open) == name => {
                self.open.pop();
                Ok(())
            }
            _ => self.wrong(format!("</{name}> closes nothing that is open: mend it")),
        }
    }

    /// The whole element whose start tag was just cut.
    fn whole(&mut self, cut: Cut) -> Result<String, String> {
        let place = self.place();
        let mut xml = self.cutter.bytes.clone();
        let mut depth = usize::from(cut == Cut::Open);
        while depth > 0 {
            match self.next()? {
                Cut::End => return self.wrong(CUT_OFF),
                Cut::Open => depth += 1,
                Cut::Close => depth -= 1,
                _ => {}
            }
            xml.extend_from_slice(&self.cutter.bytes);
            if xml.len() > ELEMENT_BYTES {
                return Err(format!(
                    "{place}: an element is longer than {} KiB, which no client could have sent: remove it",
                    ELEMENT_BYTES / 1024
                ));
            }
        }
        String::from_utf8(xml).or_else(|_| self.wrong("it is not UTF-8"))
    }

    /// Reads over the element whose start tag was just cut, however long.
    fn skip(&mut self, cut: Cut) -> Result<(), String> {
        let mut depth = u64::from(cut == Cut::Open);
        while depth > 0 {
            match self.next()? {
                Cut::End => return self.wrong(CUT_OFF),
                Cut::Open => depth += 1,
                Cut::Close => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }
}

/// An element inside of those that were open around it.
struct Inside {
    document: Document,
    depth: usize,
}

impl Inside {
    fn element(&self) -> Element<'_> {
        let mut element = self.document.root();
        for _ in 0..self.depth {
            element = element
                .children()
                .next()
                .expect("a start tag holds what was put into it");
        }
        element
    }
}

/// The name in a start tag.
fn name_of(tag: &str) -> &str {
    let name = tag.trim_start_matches('<');
    let end = name
        .find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'))
        .unwrap_or(name.len());
    &name[..end]
}

impl Reading<'_> {
    /// Reads a file whose top element is of this level, or below it where it is included.
    fn file(&mut self, path: &Path, level: Level, host: Option<&Host>) -> Result<(), String> {
        self.files += 1;
        if self.files > FILES {
            return Err(format!(
                "{}: more than {FILES} files are included",
                path.display()
            ));
        }
        let cannot = |error| format!("{} cannot be read: {error}", path.display());
        let file = File::open(path).map_err(cannot)?;
        if !file.metadata().map_err(cannot)?.is_file() {
            return Err(format!("{} is not a file", path.display()));
        }
        let mut source = Source {
            cutter: Cutter::new(BufReader::with_capacity(64 * 1024, file)),
            path: path.to_owned(),
            open: Vec::new(),
        };
        let cut = source.top()?;
        let head = source.head()?;
        let root = head.element();
        let found = [Level::Server, Level::Host, Level::User]
            .into_iter()
            .find(|level| root.is(PIE, level.name()));
        match (found, host) {
            (Some(Level::Server), _) if level == Level::Server => {
                self.server(&mut source, cut)?;
            }
            (Some(Level::Host), _) if level == Level::Host => self.host(&mut source, cut, &root)?,
            (Some(Level::User), Some(host)) if level == Level::User => {
                self.user(&mut source, cut, &root, host)?;
            }
            _ => {
                return source.wrong(format!(
                    "this is not a file of XEP-0227: <{} xmlns='{PIE}'> must stand here, and <{} xmlns='{}'> does",
                    level.name(),
                    root.name(),
                    root.ns()
                ));
            }
        }
        match source.tag()? {
            Cut::End => Ok(()),
            _ => source.wrong("something stands behind the end: remove it"),
        }
    }

    fn server(&mut self, source: &mut Source, cut: Cut) -> Result<(), String> {
        self.children(source, cut, Level::Server, None)
    }

    /// XEP-0227 §3.1.
    fn host(&mut self, source: &mut Source, cut: Cut, head: &Element<'_>) -> Result<(), String> {
        let Some(jid) = head.attr("jid") else {
            return source.wrong("a <host/> has no jid: add the domain");
        };
        let host = match Jid::parse(&jid) {
            Ok(jid) if jid.is_domain() && jid.domain() == self.domain => Host::Ours,
            Ok(jid) => Host::Others(jid.as_str().to_owned()),
            Err(error) => return source.wrong(format!("{jid:?} is no domain: {error}")),
        };
        self.children(source, cut, Level::Host, Some(&host))
    }

    /// What stands in `<server-data/>` or `<host/>`.
    fn children(
        &mut self,
        source: &mut Source,
        cut: Cut,
        level: Level,
        host: Option<&Host>,
    ) -> Result<(), String> {
        let Some(inner) = level.inner().filter(|_| cut == Cut::Open) else {
            return Ok(());
        };
        source.enter();
        loop {
            let cut = source.tag()?;
            match cut {
                Cut::Close => return source.leave(),
                Cut::End => return source.wrong(CUT_OFF),
                _ => {}
            }
            let head = source.head()?;
            let element = head.element();
            if element.is(PIE, inner.name()) {
                match (inner, host) {
                    (Level::User, Some(host)) => self.user(source, cut, &element, host)?,
                    _ => self.host(source, cut, &element)?,
                }
            } else if element.is(ROOM, "room") && matches!(host, Some(Host::Ours)) {
                self.room(source, cut, &element)?;
            } else if element.is(INCLUDE, "include") {
                let path = included(source, &element)?;
                source.skip(cut)?;
                self.file(&path, inner, host)?;
            } else {
                self.left_out(source, &element)?;
                source.skip(cut)?;
            }
        }
    }

    /// XEP-0227 §3.2.
    fn user(
        &mut self,
        source: &mut Source,
        cut: Cut,
        head: &Element<'_>,
        host: &Host,
    ) -> Result<(), String> {
        if let Host::Others(domain) = host {
            let found = Found::Elsewhere {
                domain: domain.clone(),
            };
            (self.take)(found, &source.place())?;
            return source.skip(cut);
        }
        let Some(name) = head.attr("name") else {
            return source.wrong("a <user/> has no name: add it, or remove the user");
        };
        let password = head.attr("password").map(|password| password.into_owned());
        let user = Found::User {
            name: name.into_owned(),
            password,
        };
        (self.take)(user, &source.place())?;
        if cut == Cut::Open {
            source.enter();
            self.belongings(source, Place::User)?;
        }
        (self.take)(Found::End, &source.place())
    }

    /// A room, which is snug's own.
    fn room(&mut self, source: &mut Source, cut: Cut, head: &Element<'_>) -> Result<(), String> {
        let jid = head.attr("jid").unwrap_or_default();
        let jid = match Jid::parse(&jid) {
            Ok(jid) if jid.local().is_some() => jid.to_bare(),
            _ => return source.wrong(format!("{jid:?} is no address of a room")),
        };
        (self.take)(Found::Room { jid }, &source.place())?;
        if cut == Cut::Open {
            source.enter();
            self.belongings(source, Place::Room)?;
        }
        (self.take)(Found::End, &source.place())
    }

    /// What stands in a `<user/>` or a `<room/>`: `first` is the place of what stands there by itself.
    fn belongings(&mut self, source: &mut Source, first: Place) -> Result<(), String> {
        loop {
            let cut = source.tag()?;
            match cut {
                Cut::Close => return source.leave(),
                Cut::End => return source.wrong(CUT_OFF),
                _ => {}
            }
            let head = source.head()?;
            let element = head.element();
            let (ns, name) = (element.ns(), element.name());
            let is_room = first == Place::Room;
            let place = Place::inside(&ns, name).filter(|place| match place {
                Place::Archive => true,
                Place::People => is_room,
                _ => !is_room,
            });
            if let Some(place) = place {
                if cut == Cut::Open {
                    source.enter();
                    match place {
                        Place::Nodes | Place::NodeItems => self.nodes(source, place)?,
                        _ => self.pieces(source, place, "")?,
                    }
                }
            } else if stands_alone(first, &ns, name) {
                self.piece(source, cut, first, "")?;
            } else {
                // §4: an <include/> in here may be the user's own data.
                self.left_out(source, &element)?;
                source.skip(cut)?;
            }
        }
    }

    /// What stands in an element that holds pieces, or in one of its nodes.
    fn pieces(&mut self, source: &mut Source, place: Place, node: &str) -> Result<(), String> {
        loop {
            let cut = source.tag()?;
            match cut {
                Cut::Close => return source.leave(),
                Cut::End => return source.wrong(CUT_OFF),
                _ => self.piece(source, cut, place, node)?,
            }
        }
    }

    /// XEP-0227 §3.9: what stands in a `<pubsub/>`.
    fn nodes(&mut self, source: &mut Source, place: Place) -> Result<(), String> {
        loop {
            let cut = source.tag()?;
            match cut {
                Cut::Close => return source.leave(),
                Cut::End => return source.wrong(CUT_OFF),
                _ => {}
            }
            let head = source.head()?;
            let element = head.element();
            if let Some(within) = place.within(element.name()) {
                let node = element.attr("node").unwrap_or_default();
                if cut == Cut::Open {
                    source.enter();
                    self.pieces(source, within, &node)?;
                }
            } else if place == Place::Nodes && element.name() == "configure" {
                self.piece(source, cut, place, "")?;
            } else {
                self.left_out(source, &element)?;
                source.skip(cut)?;
            }
        }
    }

    fn piece(
        &mut self,
        source: &mut Source,
        cut: Cut,
        place: Place,
        node: &str,
    ) -> Result<(), String> {
        let at = source.place();
        let whole = source.whole(cut)?;
        let inside = source.inside(&whole)?;
        let xml = inside.element().standalone();
        let node = node.to_owned();
        (self.take)(Found::Piece(Piece { place, node, xml }), &at)
    }

    fn left_out(&mut self, source: &Source, element: &Element<'_>) -> Result<(), String> {
        let what = format!("<{} xmlns='{}'/>", element.name(), element.ns());
        (self.take)(Found::LeftOut { what, times: 1 }, &source.place())
    }
}

impl Source {
    /// The start tag of the top element.
    fn top(&mut self) -> Result<Cut, String> {
        let mut first = true;
        loop {
            let cut = self.next()?;
            if std::mem::take(&mut first) && cut == Cut::Text {
                // A byte order mark says nothing in UTF-8.
                let text = self.cutter.bytes.strip_prefix(b"\xef\xbb\xbf");
                if text.is_some_and(|text| text.iter().all(u8::is_ascii_whitespace)) {
                    continue;
                }
            }
            match cut {
                Cut::Open | Cut::Empty => return Ok(cut),
                Cut::Comment => {}
                Cut::Declaration => {
                    let text = String::from_utf8_lossy(&self.cutter.bytes).to_ascii_lowercase();
                    if text.contains("encoding") && !text.contains("utf-8") {
                        return self.wrong("it is not UTF-8: convert it, with iconv for example");
                    }
                }
                Cut::Text if self.cutter.bytes.iter().all(u8::is_ascii_whitespace) => {}
                Cut::End => return self.wrong("it is empty, or has no element"),
                Cut::Text | Cut::Close => return self.wrong("this is not XML"),
            }
        }
    }
}

/// Whether an element at the first level of an account or a room is a piece by itself.
fn stands_alone(first: Place, ns: &str, name: &str) -> bool {
    match first {
        Place::Room => matches!((ns, name), (ROOM, _) | (ns::VCARD, "vCard")),
        _ => matches!(
            (ns, name),
            (SCRAM, "scram-credentials")
                | (SNUG, "account" | "document")
                | (ns::VCARD, "vCard")
                | (ns::CLIENT, "presence")
                | (PRIVACY, "query")
        ),
    }
}

/// XEP-0227 §4: a file by a relative URI. Nothing above the folder of the file that includes it is read: the file may be somebody else's.
fn included(source: &Source, element: &Element<'_>) -> Result<PathBuf, String> {
    let href = element.attr("href").unwrap_or_default();
    if element.attr("parse").is_some() || element.attr("xpointer").is_some() {
        return source.wrong("an <include/> has `parse` or `xpointer`, which is not known here");
    }
    let Some(name) = decoded(&href) else {
        return source.wrong(format!("{href:?} is no file name"));
    };
    let relative = Path::new(&name);
    let is_below = !name.is_empty()
        && !name.contains(':')
        && relative
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
    if !is_below {
        return source.wrong(format!(
            "{href:?} is not below the folder of the file that includes it: it is not read"
        ));
    }
    let folder = source.path.parent().unwrap_or(Path::new(""));
    let path = folder.join(relative);
    // Not by a symbolic link either.
    let real = |path: &Path| std::fs::canonicalize(path);
    let outer = real(if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    });
    match (real(&path), outer) {
        (Ok(inner), Ok(outer)) if inner.starts_with(&outer) => Ok(path),
        (Err(error), _) => source.wrong(format!(
            "it includes {}, which cannot be read: {error}",
            path.display()
        )),
        _ => source.wrong(format!(
            "{href:?} leads out of the folder of the file that includes it: it is not read"
        )),
    }
}

/// RFC 3986 §2.1.
fn decoded(href: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = href.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}
