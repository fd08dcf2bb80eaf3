//! Moving in and out: export and import of whole stores by the built binary, with a server running and without; what is refused; Prosody's files.

#[path = "common/client.rs"]
mod client;
#[path = "common/scram.rs"]
mod scram;
#[path = "common/server.rs"]
mod server;

#[path = "moving/belongings.rs"]
mod belongings;

use client::{Client, HEADER};
use server::{Server, command};
use snug::auth::{Hash, ScramKeys};
use snug::store::{Document, DocumentKind, RosterItem, Store, Subscription};
use snug::xmpp::{BareJid, Jid};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A data directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("snug-moving-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        // Without a lobby, which a new account has a bookmark of: what arrives is compared with what left.
        let config = "domain = \"chat.test\"\n[rooms]\nlobby = \"\"\n";
        fs::write(path.join("snug.toml"), config).unwrap();
        Dir(path)
    }

    fn store(&self) -> Store {
        Store::open(&self.0).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file beside the store.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<String> {
        let accounts = self.store().accounts().unwrap();
        accounts.into_iter().map(|account| account.name).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Exit code, stdout and stderr of a verb on a data directory.
fn snug(data: &Path, words: &[&str]) -> (i32, String, String) {
    let output = command(data, words, "");
    (
        output.status.code().expect("it exits"),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn export(data: &Path, file: &Path) -> String {
    let (exit, out, err) = snug(data, &["export", file.to_str().unwrap()]);
    assert_eq!((exit, out.as_str()), (0, ""), "{err}");
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::read_to_string(file).unwrap()
}

/// Two exports are the same; shows where they begin to differ.
fn assert_equal(one: &str, other: &str) {
    let differs = one.bytes().zip(other.bytes()).position(|(a, b)| a != b);
    let place = differs.unwrap_or(one.len().min(other.len()));
    let around = |text: &str| {
        let from = place.saturating_sub(200);
        String::from_utf8_lossy(&text.as_bytes()[from..text.len().min(place + 200)]).into_owned()
    };
    assert!(
        one == other,
        "at byte {place}:\n{}\n{}",
        around(one),
        around(other)
    );
}

/// Few rounds, so that tests are quick.
fn keys(hash: Hash, password: &str) -> ScramKeys {
    ScramKeys::derive(hash, password, password.as_bytes(), 4096).unwrap()
}

fn document(kind: DocumentKind, name: &str, xml: &str) -> Document {
    Document {
        kind,
        name: name.to_owned(),
        xml: xml.to_owned(),
    }
}

/// Everything that an account can have, and every value that could trip somebody.
fn fill(store: &Store) {
    let long = "ä".repeat(400);
    let names = [
        "anna",
        "be.n",
        "straße",
        "o\u{2019}neil",
        "漢字",
        &long,
        "zoë+1",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let name = snug::auth::account_name(name).unwrap();
        let (sha1, sha256) = (keys(Hash::Sha1, "p w"), keys(Hash::Sha256, "p w"));
        let id = store
            .create_account(&name, sha1, sha256, u64::MAX - number as u64)
            .unwrap();
        if number == 3 {
            // It has nothing.
            continue;
        }
        let mut account = store.account(&name).unwrap().unwrap();
        account.admin = number == 0;
        account.locked = number == 1;
        account.last_seen_ms = 1_700_000_000_123;
        match number {
            4 => account.sha256 = None,
            5 => account.sha1 = None,
            6 => (account.sha1, account.sha256) = (None, None),
            _ => {}
        }
        store.put_account(&account).unwrap();
        roster(store, id);
        let documents = [
            document(
                DocumentKind::Vcard,
                "",
                "<vCard xmlns='vcard-temp'><FN>A &amp; B\u{1f600}</FN><N><FAMILY>B</FAMILY><GIVEN>A</GIVEN></N>\n<x xmlns=''>&#13;<![CDATA[<]]></x></vCard>",
            ),
            document(
                DocumentKind::Vcard4,
                "",
                "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><gender><sex><text>O</text></sex></gender></vcard>",
            ),
            document(
                DocumentKind::Farewell,
                "",
                "<query xmlns='jabber:iq:last'>  bye\t</query>",
            ),
            document(
                DocumentKind::ArchivePreferences,
                "",
                "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>x@y.test/r &amp; s</jid></always><never/></prefs>",
            ),
            document(
                DocumentKind::Private,
                "storage:bookmarks storage",
                "<storage xmlns='storage:bookmarks' xmlns:p='urn:p'><p:a p:b='\"'/></storage>",
            ),
            document(
                DocumentKind::Private,
                "urn:x e",
                "<q:e xmlns='urn:inner' xmlns:q='urn:x'><f/></q:e>",
            ),
        ];
        store.put_documents(id, &documents).unwrap();
        for (at_ms, body) in [
            (0, "first"),
            (5, "&lt;&#9;\n"),
            (5, "&apos;"),
            (2, "clock went back"),
        ] {
            let xml = format!(
                "<message from='x@y.test/r' to='anna@chat.test' type='chat' id='1'><body>{body}</body><a xmlns='urn:a'><b xmlns=''/></a><delay xmlns='urn:xmpp:delay' from='chat.test' stamp='2023-11-14T22:13:20.{at_ms:03}Z'/></message>"
            );
            store.push_offline(id, at_ms, &xml).unwrap();
        }
        for jid in [
            "bad@x.test",
            "x.test",
            "y.test/res ource",
            "bad@x.test/<'\"&>",
        ] {
            store.put_blocked(id, &Jid::parse(jid).unwrap()).unwrap();
        }
    }
    belongings::fill(store);
    // More than fits into one request or answer.
    let id = store.account("anna").unwrap().unwrap().id;
    for number in 0..1200 {
        let mut item = RosterItem::new(BareJid::parse(&format!("c{number}@y.test")).unwrap());
        item.listed = true;
        item.groups = vec!["g".repeat(500)];
        store.put_roster_item(id, &item).unwrap();
    }
    let picture = "A".repeat(200 * 1024);
    let vcard =
        format!("<vCard xmlns='vcard-temp'><PHOTO><BINVAL>{picture}</BINVAL></PHOTO></vCard>");
    store
        .put_documents(id, &[document(DocumentKind::Vcard, "", &vcard)])
        .unwrap();
    for number in 0..20 {
        let body = "\"".repeat(50 * 1024);
        let xml = format!("<message from='x@y.test' id='{number}'><body>{body}</body></message>");
        store.push_offline(id, 10_000, &xml).unwrap();
    }
    store.commit().unwrap();
}

fn roster(store: &Store, id: snug::store::UserId) {
    let states = [
        Subscription::None,
        Subscription::To,
        Subscription::From,
        Subscription::Both,
    ];
    for (number, subscription) in states.into_iter().cycle().take(32).enumerate() {
        let on = |bit: usize| number & bit != 0;
        let item = RosterItem {
            jid: BareJid::parse(&format!("c{number}@größe.test")).unwrap(),
            name: on(1).then(|| " <A> & 'B'\t\n\u{fffd}".to_owned()),
            groups: match on(4) {
                true => vec!["z".to_owned(), "a &\r\n".to_owned(), String::new()],
                false => Vec::new(),
            },
            subscription,
            ask: on(4) && matches!(subscription, Subscription::None | Subscription::From),
            approved: on(8),
            pending_in: on(2).then(|| format!("<presence type='subscribe' id='&lt;' from='c{number}@grösse.test' to='anna@chat.test'><status>let &amp; me</status></presence>")),
            // An unlisted contact without anything is no contact.
            listed: !on(16),
            apart: on(16) || number == 3,
        };
        store.put_roster_item(id, &item).unwrap();
    }
    let mut only_asks = RosterItem::new(BareJid::parse("asks@y.test").unwrap());
    only_asks.pending_in = Some("<presence from='asks@y.test' type='subscribe'/>".to_owned());
    store.put_roster_item(id, &only_asks).unwrap();
    let mut domain = RosterItem::new(BareJid::parse("gateway.test").unwrap());
    (domain.listed, domain.name) = (true, Some(String::new()));
    store.put_roster_item(id, &domain).unwrap();
}

/// Two stores hold the same for everybody, ids apart.
fn assert_same(one: &Store, other: &Store) {
    let accounts = one.accounts().unwrap();
    assert_eq!(accounts.len(), other.accounts().unwrap().len());
    for account in accounts {
        let there = other.account(&account.name).unwrap().unwrap();
        assert!(account.sha1 == there.sha1 && account.sha256 == there.sha256);
        assert_eq!(
            (
                account.created_ms,
                account.admin,
                account.locked,
                account.last_seen_ms
            ),
            (
                there.created_ms,
                there.admin,
                there.locked,
                there.last_seen_ms
            )
        );
        assert_eq!(
            one.roster(account.id).unwrap(),
            other.roster(there.id).unwrap()
        );
        assert_eq!(
            one.documents(account.id).unwrap(),
            other.documents(there.id).unwrap()
        );
        assert_eq!(
            one.blocklist(account.id).unwrap(),
            other.blocklist(there.id).unwrap()
        );
        let messages = |store: &Store, id| -> Vec<String> {
            store
                .offline(id)
                .unwrap()
                .into_iter()
                .map(|(_, _, xml)| xml)
                .collect()
        };
        assert_eq!(messages(one, account.id), messages(other, there.id));
    }
    belongings::assert_same(one, other);
}

#[test]
fn export_import_export_is_byte_identical_without_a_server() {
    let (old, new) = (Dir::new(), Dir::new());
    fill(&old.store());
    let first = export(&old.0, &old.path("a.xml"));
    let (exit, out, err) = snug(
        &new.0,
        &["import", "--check", old.path("a.xml").to_str().unwrap()],
    );
    assert_eq!(exit, 0, "{err}");
    assert!(
        out.starts_with("7 accounts, 1302 contacts and 44 waiting messages can be imported.\n"),
        "{out}"
    );
    assert!(new.names().is_empty(), "a check imports nothing");
    let (exit, out, err) = snug(&new.0, &["import", old.path("a.xml").to_str().unwrap()]);
    assert_eq!(exit, 0, "{err}");
    assert!(
        out.contains("7 accounts") && out.contains("were imported"),
        "{out}"
    );
    assert!(
        out.contains("1 accounts come without a password")
            && out.contains("2 accounts have keys for one hash"),
        "{out}"
    );
    let second = export(&new.0, &new.path("b.xml"));
    assert_equal(&first, &second);
    // A dash is stdout.
    let (exit, third, _) = snug(&new.0, &["export", "-"]);
    assert!(exit == 0 && third == first);
    assert_same(&old.store(), &new.store());
    let searched = new.store();
    let found = searched.entries().unwrap();
    assert!(
        found
            .map(Result::unwrap)
            .any(|entry| entry.account == "be.n"),
        "people are found by their vCards"
    );
}

#[test]
fn export_import_export_is_byte_identical_with_a_server() {
    let old = Dir::new();
    fill(&old.store());
    let first = export(&old.0, &old.path("a.xml"));
    let server = Server::start("moving", "[rooms]\nlobby = \"\"\n");
    server.add_user("ben", "secret");
    let mut ben = Client::online(&server, "ben", "secret", "here");
    let (exit, out, err) = snug(
        &server.data,
        &["import", old.path("a.xml").to_str().unwrap()],
    );
    assert_eq!(exit, 0, "{err}");
    assert!(
        out.contains("were imported") && !err.contains("not running"),
        "{out}{err}"
    );
    // Who is there is not disturbed.
    ben.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    assert!(ben.expect("</iq>").contains("type='result'"));
    drop(ben);
    let removed = server.command(&["user", "del", "ben"], "");
    assert!(removed.status.success());
    let second = export(&server.data, &old.path("b.xml"));
    assert_equal(&first, &second);
    // Both kinds of accounts that have keys for one hash log in; nothing is withheld from one for the other's sake.
    for (mechanism, name) in [("SCRAM-SHA-1", "漢字"), ("SCRAM-SHA-256", &"ä".repeat(400))] {
        Client::direct(&server).log_in_scram(mechanism, name, "p w", None);
    }
}

#[test]
fn accounts_that_are_here_are_not_touched() {
    let dir = Dir::new();
    fill(&dir.store());
    let whole = export(&dir.0, &dir.path("a.xml"));
    let removed = snug(&dir.0, &["user", "del", "be.n"]);
    assert_eq!(removed.0, 0, "{}", removed.2);
    let before = export(&dir.0, &dir.path("before.xml"));
    let file = dir.path("a.xml");
    let (exit, out, err) = snug(&dir.0, &["import", file.to_str().unwrap()]);
    assert_eq!((exit, out.as_str()), (1, ""));
    assert!(
        err.contains("6 of the accounts are here already")
            && err.contains("and 1 more")
            && err.contains("--skip"),
        "{err}"
    );
    assert_eq!(export(&dir.0, &dir.path("after.xml")), before);
    let (exit, out, err) = snug(&dir.0, &["import", "--skip", file.to_str().unwrap()]);
    assert_eq!(exit, 0, "{err}");
    assert!(
        out.starts_with("1 accounts") && out.contains("6 accounts are here already"),
        "{out}"
    );
    assert_equal(&export(&dir.0, &dir.path("after.xml")), &whole);
}

/// A file of one host with this inside.
fn host(inside: &str) -> String {
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='urn:xmpp:pie:0'>\n<host jid='chat.test'>\n{inside}\n</host>\n</server-data>\n"
    )
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_imported() {
    let dir = Dir::new();
    let user = |inside: &str| {
        host(&format!(
            "<user name='fine'/>\n<user name='anna'>\n{inside}\n</user>"
        ))
    };
    let item = |attributes: &str| {
        user(&format!(
            "<query xmlns='jabber:iq:roster'>\n<item {attributes}/></query>"
        ))
    };
    let credentials = |mechanism: &str, rounds: &str, salt: &str, key: &str| {
        user(&format!(
            "<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='{mechanism}'><iter-count>{rounds}</iter-count><salt>{salt}</salt><server-key>{key}</server-key><stored-key>{key}</stored-key></scram-credentials>"
        ))
    };
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let contacts: String = (0..2001)
        .map(|number| format!("<item jid='c{number}@d'/>"))
        .collect();
    let private: String = (0..12)
        .map(|number| format!("<a xmlns='urn:{number}'>{}</a>", "x".repeat(200 * 1024)))
        .collect();
    let deep = "<a>".repeat(200);
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "line 1: it is empty"),
        ("no XML".into(), "this is not XML"),
        (
            "<stream xmlns='jabber:client'/>".into(),
            "not a file of XEP-0227",
        ),
        ("<server-data/>".into(), "not a file of XEP-0227"),
        (
            "<server-data xmlns='urn:xmpp:pie:0'/>".into(),
            "has no accounts",
        ),
        (
            "<?xml version='1.0' encoding='ISO-8859-1'?><server-data xmlns='urn:xmpp:pie:0'/>"
                .into(),
            "not UTF-8",
        ),
        (host("<user name='a'/><user name='\u{fffe}'/>"), "line 4"),
        (
            "<!DOCTYPE a [<!ENTITY b 'c'>]><server-data xmlns='urn:xmpp:pie:0'/>".into(),
            "DTD",
        ),
        (host("<user name='fine' password='&b;'/>"), "line 4"),
        (host("<user/>"), "line 4: a <user/> has no name"),
        (host("<user name=''/>"), "cannot be the name"),
        (host("<user name='a b'/>"), "cannot be the name"),
        (
            host("<user name='a'/><user name='A'/>"),
            "stands there twice",
        ),
        (host("<user name='a' password='\u{7}'/>"), "line 4"),
        (
            host("<user name='a' password='&#xad;'/>"),
            "the password of \"a\" cannot be one",
        ),
        (
            host("<user name='a'></host></user>"),
            "</host> closes nothing that is open",
        ),
        (host("text"), "line 3: there is text"),
        (user("<x:a/>"), "line 6: it uses a prefix"),
        (
            host("").replace("chat.test", "a@b"),
            "is not on this server",
        ),
        (
            host("<user name='a'/>").replace("chat.test", "other.test"),
            "set domain = \"other.test\"",
        ),
        (
            host("<user name='a'/>").replace(" jid='chat.test'", ""),
            "has no jid",
        ),
        (
            item(""),
            "line 7: the account \"anna\": an element <item/> has no jid",
        ),
        (item("jid='@'"), "line 7"),
        (
            item("jid='a@b' subscription='remove'"),
            "is no subscription",
        ),
        (
            item(&format!("jid='a@b' name='{}'", "x".repeat(1024))),
            "longer than 1023 bytes",
        ),
        (
            user("<query xmlns='jabber:iq:roster'><item jid='a@b'/><item jid='A@b/c'/></query>"),
            "a@b stands there twice",
        ),
        (
            user(&format!(
                "<query xmlns='jabber:iq:roster'>{contacts}</query>"
            )),
            "more than 2000 contacts",
        ),
        (
            user(&format!(
                "<query xmlns='jabber:iq:private'>{private}</query>"
            )),
            "more than 2048 KiB",
        ),
        (
            user(&format!(
                "<vCard xmlns='vcard-temp'>{}</vCard>",
                "x".repeat(310 * 1024)
            )),
            "longer than 300 KiB",
        ),
        (
            user(&format!(
                "<vCard xmlns='vcard-temp'>{}</vCard>",
                "x ".repeat(310 * 1024)
            )),
            "longer than 384 KiB",
        ),
        (
            user(&format!("<vCard xmlns='vcard-temp'>{deep}</vCard>")),
            "was cut off",
        ),
        (
            user(&format!(
                "<vCard xmlns='vcard-temp'>{deep}{}</vCard>",
                deep.replace('<', "</")
            )),
            "nested too deep",
        ),
        (
            user("<vCard xmlns='vcard-temp'><!-- x --></vCard>"),
            "a comment",
        ),
        (
            user("<vCard xmlns='vcard-temp'><a></b></vCard>"),
            "not well-formed",
        ),
        (
            user("<presence xmlns='jabber:client' type='subscribe'/>"),
            "has no from",
        ),
        (
            user("<offline-messages><message xmlns='jabber:client' from='@'/></offline-messages>"),
            "no valid address",
        ),
        (
            user("<blocklist xmlns='urn:xmpp:blocking'><item jid=''/></blocklist>"),
            "is no address",
        ),
        (
            user("<account xmlns='urn:x-snug:account:0' created-ms='-1'/>"),
            "created-ms is not a number",
        ),
        (credentials("SCRAM-SHA-1", "0", "AAAA", key), "iter-count"),
        (
            credentials("SCRAM-SHA-1", "4294967296", "AAAA", key),
            "iter-count",
        ),
        (credentials("SCRAM-SHA-1", "4096", "", key), "the salt"),
        (credentials("SCRAM-SHA-1", "4096", "%", key), "not base64"),
        (
            credentials("SCRAM-SHA-256", "4096", "AAAA", key),
            "must be 32 bytes long",
        ),
        (
            user("<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'/>"),
            "have no <iter-count/>",
        ),
        (
            format!("{}<a/>", host("<user name='a'/>")),
            "behind the end",
        ),
        (
            host("<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='../a.xml'/>"),
            "not below the folder",
        ),
        (
            host("<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='/etc/passwd'/>"),
            "not below the folder",
        ),
        (
            host(
                "<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='file:///etc/passwd'/>",
            ),
            "not below the folder",
        ),
        (
            host("<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='%2e%2e/a.xml'/>"),
            "not below the folder",
        ),
        (
            host("<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='link.xml'/>"),
            "leads out of the folder",
        ),
        (
            host("<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='none.xml'/>"),
            "cannot be read",
        ),
        (
            host("<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='wrong.xml'/>"),
            "is not a file of XEP-0227",
        ),
    ];
    std::os::unix::fs::symlink("/etc/passwd", dir.path("link.xml")).unwrap();
    dir.write("wrong.xml", host(""));
    for (text, says) in cases {
        let file = dir.write("wrong", &text);
        let (exit, out, err) = snug(&dir.0, &["import", &file]);
        let shown: String = text.chars().take(300).collect();
        if says == "is not on this server" {
            // A host that is no domain.
            assert!(exit == 1 && err.contains("has no accounts"), "{err}");
            continue;
        }
        assert_eq!((exit, out.as_str()), (1, ""), "{shown}");
        assert!(err.contains(says), "{says:?} is not in {err:?} for {shown}");
        assert!(!err.contains("panicked"), "{err}");
    }
    assert!(
        dir.names().is_empty(),
        "something was imported: {:?}",
        dir.names()
    );
}

#[test]
fn a_file_that_was_cut_off_imports_nothing() {
    let dir = Dir::new();
    let whole = host(
        "<user name='a'><query xmlns='jabber:iq:roster'><item jid='b@c' name='&lt;'><group>g</group></item></query>\n<offline-messages><message xmlns='jabber:client' from='x@y'><body><![CDATA[>]]></body></message></offline-messages></user>",
    );
    let end = whole.trim_end().len();
    for cut in (0..end).step_by(23) {
        let file = dir.write("cut.xml", &whole[..cut]);
        let (exit, _, err) = snug(&dir.0, &["import", "--check", &file]);
        assert_eq!(exit, 1, "cut at {cut}: {err}");
    }
    let file = dir.write("cut.xml", &whole);
    assert_eq!(snug(&dir.0, &["import", &file]).0, 0);
    assert_eq!(dir.names(), ["a"]);
}

#[test]
fn what_other_servers_write_is_read() {
    let dir = Dir::new();
    let inner = "<x xmlns='urn:other'><y>".to_owned() + &"z".repeat(500_000) + "</y></x>";
    dir.write("hosts/chat.xml", format!("\u{feff}<?xml version=\"1.0\"?><!-- by hand --><h:host xmlns:h='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude' jid='CHAT.test'>{inner}<xi:include href='a%20b/anna.xml'/><h:user name='Ben' password='pässword'/></h:host>"));
    dir.write("hosts/a b/anna.xml", format!("<user xmlns='urn:xmpp:pie:0' xmlns:rr='jabber:iq:roster' name='anna'><scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-512'/><rr:query><rr:item jid='Bob@X.test/laptop' ask='subscribe'><rr:group>G</rr:group><rr:group>G</rr:group></rr:item></rr:query>{inner}<offline-messages> <message xmlns='jabber:client' xmlns:p='urn:p' from='b@c'><body>hi</body><p:q/></message> </offline-messages><query xmlns='jabber:iq:privacy'><default name='d'/><list name='d'><item type='jid' value='evil@x' action='deny' order='1'/><item type='jid' value='half@x' action='deny' order='2'><iq/></item><item action='allow' order='3'/></list></query><presence xmlns='jabber:client' type='subscribe' from='Asks@x/r'><status>s</status></presence></user>"));
    let main = dir.write("hosts.xml", "<server-data xmlns='urn:xmpp:pie:0'><include xmlns='http://www.w3.org/2001/XInclude' href='hosts/chat.xml'/><host jid='muc.chat.test'><user name='x'><deep><deeper/></deep></user></host></server-data>");
    let (exit, out, err) = snug(&dir.0, &["import", &main]);
    assert_eq!(exit, 0, "{err}");
    for says in [
        "2 accounts, 1 contacts and 1 waiting messages were imported",
        "1 accounts come without a password",
        "1 accounts of muc.chat.test were left out",
        "2 times left out: <x xmlns='urn:other'/>",
        "1 times left out: keys for SCRAM-SHA-512",
    ] {
        assert!(out.contains(says), "{says:?} is not in {out}");
    }
    let store = dir.store();
    let anna = store.account("anna").unwrap().unwrap();
    assert!(anna.sha1.is_none() && anna.sha256.is_none());
    let roster = store.roster(anna.id).unwrap();
    let [asks, bob] = &roster[..] else {
        panic!("{roster:?}")
    };
    assert_eq!(
        (bob.jid.as_str(), bob.ask, &bob.groups[..]),
        ("bob@x.test", true, &["G".to_owned()][..])
    );
    assert!(!asks.listed);
    let stanza = asks.pending_in.as_deref().unwrap();
    assert!(
        stanza.contains("from='asks@x'") && !stanza.contains(" xmlns="),
        "{stanza}"
    );
    assert_eq!(
        store.offline(anna.id).unwrap()[0].2,
        "<message xmlns:p='urn:p' from='b@c'><body>hi</body><p:q/></message>"
    );
    assert_eq!(
        store.blocklist(anna.id).unwrap(),
        [Jid::parse("evil@x").unwrap()]
    );
    let ben = store.account("ben").unwrap().unwrap();
    for keys in [ben.sha1, ben.sha256] {
        assert!(snug::auth::verify_password(&keys.unwrap(), "pässword"));
    }
}

/// Prosody 0.12's files, as it writes them.
fn prosody(dir: &Dir) -> String {
    let salt = "0d1d3b3c-23e5-4b0f-a2b1-0123456789ab";
    let uuid = ScramKeys::derive(Hash::Sha1, "geheim", salt.as_bytes(), 10_000).unwrap();
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    dir.write("prosody/chat%2etest/accounts/anna.dat", format!("return {{\n\t[\"iteration_count\"] = 10000;\n\t[\"stored_key\"] = \"{}\";\n\t[\"server_key\"] = \"{}\";\n\t[\"salt\"] = \"{salt}\";\n\t[\"created\"] = 1700000000;\n}};\n", hex(&uuid.stored_key), hex(&uuid.server_key)));
    dir.write(
        "prosody/chat%2etest/accounts/zo%c3%ab.dat",
        "return {\n\t[\"password\"] = \"gr\\195\\188n \\\"x\\\"\";\n};\n",
    );
    dir.write("prosody/chat%2etest/accounts/none.dat", "return {\n};\n");
    dir.write("prosody/chat%2etest/roster/anna.dat", "return {\n\t[false] = {\n\t\t[\"version\"] = 3;\n\t\t[\"pending\"] = {\n\t\t\t[\"asks@x\"] = {\n\t\t\t\t[\"name\"] = \"presence\";\n\t\t\t\t[\"attr\"] = {\n\t\t\t\t\t[\"type\"] = \"subscribe\";\n\t\t\t\t\t[\"from\"] = \"asks@x\";\n\t\t\t\t};\n\t\t\t};\n\t\t\t[\"old@x\"] = true;\n\t\t};\n\t};\n\t[\"ben@chat.test\"] = {\n\t\t[\"subscription\"] = \"both\";\n\t\t[\"name\"] = \"B\\195\\169n\";\n\t\t[\"groups\"] = {\n\t\t\t[\"Friends\"] = true;\n\t\t\t[\"A\"] = true;\n\t\t};\n\t};\n\t[\"@\"] = {\n\t\t[\"subscription\"] = \"none\";\n\t};\n\t[\"anna@chat.test\"] = {};\n};\n");
    dir.write("prosody/chat%2etest/vcard/anna.dat", "return {\n\t[\"name\"] = \"vCard\";\n\t[\"attr\"] = {\n\t\t[\"xmlns\"] = \"vcard-temp\";\n\t};\n\t[1] = {\n\t\t[\"name\"] = \"FN\";\n\t\t[\"attr\"] = {\n\t\t};\n\t\t\"Anna\";\n\t};\n};\n");
    dir.write("prosody/chat%2etest/private/anna.dat", "return {\n\t[\"storage:storage:bookmarks\"] = {\n\t\t[\"name\"] = \"storage\";\n\t\t[\"attr\"] = {\n\t\t\t[\"xmlns\"] = \"storage:bookmarks\";\n\t\t\t[\"http://x\\1a\"] = \"<\";\n\t\t};\n\t};\n};\n");
    dir.write("prosody/chat%2etest/offline/anna.list", "item({\n\t{\n\t\t\"hi\\n\";\n\t\t[\"attr\"] = {\n\t\t};\n\t\t[\"name\"] = \"body\";\n\t};\n\t[\"attr\"] = {\n\t\t[\"from\"] = \"ben@chat.test/r\";\n\t\t[\"http://www.w3.org/XML/1998/namespace|lang\"] = \"de\";\n\t\t[\"stamp\"] = \"2023-11-14T22:13:20Z\";\n\t};\n\t[\"name\"] = \"message\";\n\t[\"when\"] = 1700000000;\n\t[\"key\"] = \"abc\";\n\t[\"with\"] = \"\";\n});\n");
    dir.write(
        "prosody/chat%2etest/blocklist/anna.dat",
        "return {\n\t[false] = {\n\t\t[\"created\"] = 1;\n\t};\n\t[\"evil@x\"] = true;\n};\n",
    );
    belongings::prosody(dir);
    dir.write("prosody/chat%2etest/pep_urn%3axmpp%3avcard4/zo%c3%ab.list", "item({\n\t{\n\t\t{ \"Zo\\195\\171\"; [\"attr\"] = {}; [\"name\"] = \"text\"; };\n\t\t[\"attr\"] = {}; [\"name\"] = \"fn\";\n\t};\n\t[\"attr\"] = { [\"stamp\"] = \"2026-11-22T15:24:19Z\"; [\"xmlns\"] = \"urn:ietf:params:xml:ns:vcard-4.0\" };\n\t[\"name\"] = \"vcard\"; [\"key\"] = \"current\"; [\"when\"] = 1795361059;\n});\n");
    dir.write("prosody/other%2etest/accounts/x.dat", "return {};\n");
    dir.path("prosody").to_str().unwrap().to_owned()
}

#[test]
fn prosodys_directory_is_read() {
    let dir = Dir::new();
    let directory = prosody(&dir);
    let (exit, out, err) = snug(&dir.0, &["import", "--prosody", &directory]);
    assert_eq!(exit, 0, "{err}");
    for says in [
        "3 accounts, 1 contacts and 1 waiting messages were imported",
        "1 accounts come without a password",
        "1 accounts have keys for one hash",
        "1 accounts of other.test",
        "an item of the node urn:xmpp:bookmarks:1",
        "3 items of PEP, 2 archived messages and 1 rooms with 3 people were imported",
        "1 rooms of conference.chat.test were left out: those of this snug are at rooms.chat.test",
        "the contact @ of anna",
    ] {
        assert!(out.contains(says), "{says:?} is not in {out}");
    }
    let store = dir.store();
    let anna = store.account("anna").unwrap().unwrap();
    assert!(anna.sha256.is_none() && snug::auth::verify_password(&anna.sha1.unwrap(), "geheim"));
    assert_eq!(anna.created_ms, 1_700_000_000_000);
    let roster = store.roster(anna.id).unwrap();
    let names: Vec<&str> = roster.iter().map(|item| item.jid.as_str()).collect();
    assert_eq!(names, ["asks@x", "ben@chat.test", "old@x"]);
    assert_eq!(
        (
            roster[1].subscription,
            roster[1].name.as_deref(),
            roster[1].groups.join(",")
        ),
        (Subscription::Both, Some("Bén"), "A,Friends".to_owned())
    );
    assert!(roster[0].pending_in.is_some() && roster[2].pending_in.is_some());
    let kept = |name: &str, kind, document: &str| {
        store
            .document(store.account(name).unwrap().unwrap().id, kind, document)
            .unwrap()
    };
    assert_eq!(
        kept("anna", DocumentKind::Vcard, "").unwrap(),
        "<vCard xmlns='vcard-temp'><FN>Anna</FN></vCard>"
    );
    assert_eq!(
        kept("anna", DocumentKind::Private, "storage:bookmarks storage").unwrap(),
        "<storage xmlns='storage:bookmarks' xmlns:ns1='http://x' ns1:a='&lt;'></storage>"
    );
    assert!(
        kept("zoë", DocumentKind::Vcard, "")
            .unwrap()
            .contains("<FN>Zoë</FN>")
    );
    let message = &store.offline(anna.id).unwrap()[0];
    assert_eq!(
        (message.1, message.2.as_str()),
        (
            1_700_000_000_000,
            "<message from='ben@chat.test/r' xml:lang='de'><body>hi&#10;</body><delay xmlns='urn:xmpp:delay' from='chat.test' stamp='2023-11-14T22:13:20Z'></delay></message>"
        )
    );
    assert_eq!(store.blocklist(anna.id).unwrap().len(), 1);
    belongings::assert_prosody(&store, anna.id);
    let zoe = store.account("zoë").unwrap().unwrap();
    assert!(snug::auth::verify_password(
        &zoe.sha256.unwrap(),
        "grün \"x\""
    ));
    drop(store);

    dir.write(
        "prosody/chat%2etest/accounts/evil.dat",
        "return os.execute('touch /tmp/x')",
    );
    let (exit, _, err) = snug(&dir.0, &["import", "--skip", "--prosody", &directory]);
    assert!(
        exit == 1 && err.contains("evil.dat is no file of Prosody's: line 1"),
        "{err}"
    );
    let (exit, _, err) = snug(&dir.0, &["import", "--prosody", dir.0.to_str().unwrap()]);
    assert!(
        exit == 1 && err.contains("no data directory of Prosody"),
        "{err}"
    );
}

/// An account with keys for SHA-1 only: what is offered, who looks how, and what a login with PLAIN gives it.
#[test]
fn keys_for_one_hash_log_in_and_are_completed() {
    let server = Server::start("onehash", "");
    server.add_user("ben", "secret");
    let offer = |server: &Server| {
        let mut client = Client::direct(server);
        client.send(HEADER);
        client.expect("</stream:features>")
    };
    assert!(offer(&server).contains(">SCRAM-SHA-256<"));
    let dir = Dir::new();
    let directory = prosody(&dir);
    let (exit, _, err) = snug(&server.data, &["import", "--prosody", &directory]);
    assert_eq!(exit, 0, "{err}");
    let offered = offer(&server);
    assert!(
        !offered.contains("SHA-256")
            && offered.contains(">SCRAM-SHA-1<")
            && offered.contains(">SCRAM-SHA-1-PLUS<")
            && offered.contains(">PLAIN<"),
        "{offered}"
    );
    Client::direct(&server).log_in_scram("SCRAM-SHA-1", "anna", "geheim", None);
    Client::direct(&server).log_in_scram("SCRAM-SHA-1", "ben", "secret", None);
    // Who has no account looks like an imported one or like one of snug's own.
    let challenge = |user: &str| {
        let mut client = Client::direct(&server);
        client.send(HEADER);
        client.expect("</stream:features>");
        let first = snug::auth::encode(format!("n,,n={user},r=abc"));
        client.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>{first}</auth>"
        ));
        let text = client.expect_between(
            "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>",
            "</challenge>",
        );
        let text = String::from_utf8(snug::auth::decode(&text).unwrap()).unwrap();
        let salt = text
            .split(",s=")
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap()
            .to_owned();
        snug::auth::decode(&salt).unwrap().len()
    };
    assert_eq!((challenge("anna"), challenge("ben")), (36, 16));
    let lengths: std::collections::BTreeSet<usize> = (0..12)
        .map(|number| challenge(&format!("nobody{number}")))
        .collect();
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [16, 36]);
    // The password is seen: both hashes from now on, with the same password, and for all.
    Client::direct(&server).log_in_plain("anna", "geheim");
    server.wait_for_log("\"anna\" has keys for both hashes now");
    assert!(offer(&server).contains(">SCRAM-SHA-256<"));
    for mechanism in ["SCRAM-SHA-1", "SCRAM-SHA-256"] {
        Client::direct(&server).log_in_scram(mechanism, "anna", "geheim", None);
    }
}

#[test]
fn an_import_that_was_interrupted_leaves_no_half_account() {
    let dir = Dir::new();
    let store = dir.store();
    let id = store.begin_arrival("anna").unwrap();
    store.push_offline(id, 1, "<message/>").unwrap();
    store.commit().unwrap();
    assert!(store.account("anna").unwrap().is_none());
    drop(store);
    let store = dir.store();
    assert!(store.account("anna").unwrap().is_none() && store.offline(id).unwrap().is_empty());
    assert!(!store.is_arriving(id, "anna").unwrap());
    let again = store.begin_arrival("anna").unwrap();
    assert_ne!(again, id);
    store.abandon_arrival(again, "anna").unwrap();
    assert!(!store.is_arriving(again, "anna").unwrap());
}

#[test]
fn for_ejabberd_only_what_it_takes() {
    let dir = Dir::new();
    let store = dir.store();
    let make = |name: &str| {
        store
            .create_account(name, keys(Hash::Sha1, "a"), keys(Hash::Sha256, "a"), 0)
            .unwrap()
    };
    let (anna, locked) = (make("anna"), make("locked"));
    let mut account = store.account("locked").unwrap().unwrap();
    account.locked = true;
    store.put_account(&account).unwrap();
    roster(&store, anna);
    store.put_documents(anna, &[document(DocumentKind::Vcard, "", "<v:vCard xmlns:v='vcard-temp' xmlns='urn:other'><v:FN>A &amp; B</v:FN><v:TEL/><v:EMAIL><v:USERID>a@b</v:USERID></v:EMAIL><v:PHOTO><v:BINVAL>%</v:BINVAL></v:PHOTO><own/></v:vCard>")]).unwrap();
    store
        .put_blocked(locked, &Jid::parse("evil@x").unwrap())
        .unwrap();
    store
        .push_offline(anna, 1, "<message><body>from nobody</body></message>")
        .unwrap();
    store
        .push_offline(anna, 2, "<message from='b@c'><body>hi</body></message>")
        .unwrap();
    store.commit().unwrap();
    drop(store);
    let (exit, out, err) = snug(&dir.0, &["export", "--for", "ejabberd", "-"]);
    assert_eq!(exit, 0, "{err}");
    assert!(
        err.contains("2 accounts") && err.contains("1 locked accounts") && err.contains("left out"),
        "{err}"
    );
    assert!(out.contains("<vCard xmlns='vcard-temp'><FN>A &amp; B</FN><EMAIL><USERID>a@b</USERID></EMAIL></vCard>"), "{out}");
    assert!(
        out.contains(
            "<offline-messages xmlns='urn:xmpp:pie:0'><message xmlns='jabber:client' from='b@c'>"
        ),
        "{out}"
    );
    // What ejabberd keeps in base64 it encodes once more.
    let key = snug::auth::encode(snug::auth::encode(&keys(Hash::Sha1, "a").stored_key));
    assert!(
        out.contains(&format!("<stored-key>{key}</stored-key>"))
            && out.matches("<stored-key>").count() == 1,
        "{out}"
    );
    assert!(
        !out.contains("urn:x-snug") && !out.contains("from nobody") && !out.contains("blocklist"),
        "{out}"
    );
    let (_, locked) = out.split_once("<user name='locked'>").unwrap();
    assert!(
        !locked.contains("scram")
            && locked.contains("<item action='deny' order='1' type='jid' value='evil@x'/>"),
        "{locked}"
    );
    let (exit, _, err) = snug(&dir.0, &["export", "--for", "openfire", "-"]);
    assert!(exit == 2 && err.contains("openfire"), "{err}");
}

#[test]
fn a_file_that_cannot_be_written_is_no_file() {
    let dir = Dir::new();
    let (exit, _, err) = snug(
        &dir.0,
        &["export", dir.path("none/a.xml").to_str().unwrap()],
    );
    assert!(exit == 1 && err.contains("cannot be written"), "{err}");
    let (exit, _, _) = snug(&dir.0, &["export", "/dev/full/a"]);
    assert_eq!(exit, 1);
    let left: Vec<_> = fs::read_dir(&dir.0)
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .contains(".part")
        })
        .collect();
    assert!(left.is_empty());
    for words in [
        &["import"][..],
        &["import", "a", "--prosody", "b"],
        &["import", "-"],
        &["export"],
    ] {
        assert_eq!(snug(&dir.0, words).0, 2, "{words:?}");
    }
}

#[test]
fn ejabberds_keys_are_read_once_and_twice_encoded() {
    let dir = Dir::new();
    let (sha1, sha256) = (keys(Hash::Sha1, "a"), keys(Hash::Sha256, "b"));
    let twice = |bytes: &[u8]| snug::auth::encode(snug::auth::encode(bytes));
    let credentials = |mechanism: &str, keys: &ScramKeys| {
        format!(
            "<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='{mechanism}'><iter-count>4096</iter-count><salt>{}</salt><server-key>{}</server-key><stored-key>{}</stored-key></scram-credentials>",
            twice(&keys.salt),
            twice(&keys.server_key),
            twice(&keys.stored_key)
        )
    };
    let text = host(&format!(
        "<user name='a'>{}{}</user>",
        credentials("SCRAM-SHA-1", &sha1),
        credentials("SCRAM-SHA-256", &sha256)
    ));
    let (exit, _, err) = snug(&dir.0, &["import", &dir.write("e.xml", text)]);
    assert_eq!(exit, 0, "{err}");
    let account = dir.store().account("a").unwrap().unwrap();
    assert!(account.sha1 == Some(sha1) && account.sha256 == Some(sha256));
}
