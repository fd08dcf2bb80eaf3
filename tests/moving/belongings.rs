//! Nodes of PEP, archives and rooms on their way: every value that could trip somebody, and more of it than fits into one request or answer.

use snug::engine::pubsub::settings::settings;
use snug::store::archive::{Answer, OldRow, Query, Request, Row, Stamp};
use snug::store::{
    Affiliate, Affiliated, Affiliation, Hat, InviteToken, MentionRules, Mentioners, Node,
    NodeAffiliation, NodeItem, NodeSubscription, PrivateMessages, RoomConfig, RoomRecord,
    RoomSubject, Store, UserId,
};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// 1 January 2024.
const YEAR_MS: u64 = 1_704_067_200_000;

/// Gives some accounts nodes and archives, and makes rooms.
pub fn fill(store: &Store) {
    for name in ["anna", "straße", "漢字"] {
        let name = snug::auth::account_name(name).unwrap();
        let id = store.account(&name).unwrap().unwrap().id;
        nodes(store, id, &format!("{name}@chat.test"));
        archive(store, id, &format!("{name}@chat.test"));
    }
    for (number, name) in ["lobby", "coven", "grösse", &"r".repeat(900)]
        .into_iter()
        .enumerate()
    {
        room(store, name, number);
    }
}

fn nodes(store: &Store, owner: UserId, jid: &str) {
    let makes: [(&str, &[(&str, &str)]); 5] = [
        (
            "urn:xmpp:avatar:data",
            &[("max_items", "1"), ("access_model", "open")],
        ),
        (
            "urn:xmpp:bookmarks:1",
            &[
                ("max_items", "max"),
                ("access_model", "whitelist"),
                ("persist_items", "true"),
                ("send_last_published_item", "never"),
            ],
        ),
        (
            "<'\"&> ö",
            &[
                ("roster_groups_allowed", "a &\r\n"),
                ("roster_groups_allowed", "b"),
                ("access_model", "roster"),
                ("title", "A 'title'"),
                ("max_items", "5"),
            ],
        ),
        ("empty", &[]),
        (
            "many",
            &[("max_items", "1000"), ("access_model", "authorize")],
        ),
    ];
    for (number, (name, given)) in makes.into_iter().enumerate() {
        let mut given: Vec<(String, String)> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        // A default is not kept.
        let known: Vec<(&str, &str)> = given
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        let wanted = settings(&known);
        given.retain(|one| wanted.contains(one));
        let mut node = Node {
            // One was deleted in between.
            number: [1, 2, 3, 5, 9][number],
            settings: given,
            ..Node::new(name, jid, YEAR_MS + number as u64)
        };
        store.create_node(owner, &node).unwrap();
        let items = [1, 3, 2, 0, 400][number];
        for item in 0..items {
            let item = NodeItem {
                id: format!("{item} <'&>"),
                publisher: match item % 2 {
                    0 => jid.to_owned(),
                    _ => "friend@grösse.test".to_owned(),
                },
                at_ms: YEAR_MS + item,
                xml: match number {
                    0 => format!(
                        "<data xmlns='urn:xmpp:avatar:data'>{}</data>",
                        "A".repeat(200 * 1024)
                    ),
                    2 if item == 1 => String::new(),
                    _ => format!(
                        "<p:x xmlns='urn:default' xmlns:p='urn:x' a='&lt;\"'><y xmlns='urn:y'>{}&#13;&amp;<z xmlns=''/></y></p:x>",
                        "ä".repeat(300)
                    ),
                },
            };
            store.put_item(owner, &mut node, &item).unwrap();
        }
    }
    let affiliate = |jid: &str, affiliation, subscriptions: &[(&str, bool)]| Affiliate {
        jid: jid.to_owned(),
        affiliation,
        subscriptions: subscriptions
            .iter()
            .map(|(resource, pending)| NodeSubscription {
                resource: (*resource).to_owned(),
                pending: *pending,
            })
            .collect(),
    };
    for (node, person) in [
        (2, affiliate("a@x.test", NodeAffiliation::Outcast, &[])),
        (
            2,
            affiliate(
                "b@x.test",
                NodeAffiliation::Publisher,
                &[("", false), ("r '<", true)],
            ),
        ),
        (
            9,
            affiliate("c@grösse.test", NodeAffiliation::None, &[("", true)]),
        ),
        (9, affiliate("d@x.test", NodeAffiliation::Owner, &[])),
    ] {
        store.put_affiliate(owner, node, &person).unwrap();
    }
}

/// Half a year with more in one month than one part takes, two in one millisecond, and a clock that ran backwards.
fn archive(store: &Store, owner: UserId, jid: &str) {
    let mut reader = store.archive_reader();
    let mut rows = Vec::new();
    for number in 0..900_u64 {
        let at_ms = YEAR_MS + number / 5 * DAY_MS;
        let (from, to) = match number % 2 {
            0 => (format!("{jid}/here"), "bert@chat.test/'<".to_owned()),
            _ => ("bert@chat.test/x".to_owned(), jid.to_owned()),
        };
        let (from, to) = (
            from.replace('\'', "&apos;").replace('<', "&lt;"),
            to.replace('\'', "&apos;").replace('<', "&lt;"),
        );
        rows.push(OldRow {
            stamp: Stamp { ms: at_ms, seq: (number % 5) as u16 },
            tag: number.to_be_bytes(),
            at_ms: at_ms.saturating_sub(if number % 7 == 0 { 60_000 } else { 0 }),
            with: if number % 2 == 0 { "bert@chat.test/'<".to_owned() } else { "bert@chat.test/x".to_owned() },
            xml: format!("<message xmlns='jabber:client' from='{from}' to='{to}' type='chat'><body>{number} &lt;&#13;{}</body><a xmlns='urn:a'><b xmlns=''/></a></message>", "ö".repeat(200)),
        });
    }
    for rows in rows.chunks(100) {
        let rows = rows.to_vec();
        reader.answer(Request::Insert { owner, rows }).unwrap();
    }
    reader.answer(Request::Settle).unwrap();
}

fn room(store: &Store, name: &str, number: usize) {
    let id = store.take_room_id().unwrap();
    let mut record = RoomRecord {
        id,
        name: name.to_owned(),
        salt: [number as u8; 16],
        created_ms: YEAR_MS,
        maker: "anna".to_owned(),
        everyone: number == 0,
        config: RoomConfig {
            persistent: true,
            ..RoomConfig::DEFAULT
        },
        subject: None,
        hats: Vec::new(),
        tokens: Vec::new(),
    };
    if number == 1 {
        record.config = RoomConfig {
            title: "A <Dark> 'Cave'\r\n".to_owned(),
            description: " &amp; ".to_owned(),
            lang: "en".to_owned(),
            logged: true,
            change_subject: true,
            allow_invites: true,
            private_messages: PrivateMessages::Nobody,
            max_users: 17,
            broadcast: 5,
            member_list: 4,
            public: false,
            persistent: true,
            moderated: true,
            members_only: true,
            password: Some("cauldron & <burn>".to_owned()),
            non_anonymous: true,
            max_history: 7,
            archived: true,
            slow_seconds: 30,
            forward_mentions: true,
            locked_nicks: true,
            register: false,
            pubsub: "xmpp:pubsub.chat.test?;node='coven'".to_owned(),
            mentions: MentionRules {
                count: 3,
                channel: Mentioners::Nobody,
                hats: Mentioners::Moderators,
                ..MentionRules::DEFAULT
            },
        };
        record.subject = Some(RoomSubject {
            xml: "<subject>Spells &amp; <![CDATA[<]]></subject><subject xml:lang='de'>Sprüche</subject>".to_owned(),
            nick: "first 'witch'".to_owned(),
            by: "an <id>".to_owned(),
            at_ms: YEAR_MS + 5,
        });
        // As it is kept.
        record.subject.as_mut().unwrap().xml =
            "<subject>Spells &amp; &lt;</subject><subject xml:lang='de'>Sprüche</subject>"
                .to_owned();
        record.hats = vec![
            Hat {
                uri: "urn:hat".to_owned(),
                title: "Host & co".to_owned(),
                hue: "120.5".to_owned(),
            },
            Hat {
                uri: "urn:cap".to_owned(),
                title: String::new(),
                hue: String::new(),
            },
        ];
        record.tokens = vec![
            InviteToken {
                token: " s<e>cret ".to_owned(),
                by: "anna@chat.test".to_owned(),
                uses: Some(3),
                until_ms: None,
            },
            InviteToken {
                token: "t".to_owned(),
                by: "anna@chat.test".to_owned(),
                uses: None,
                until_ms: Some(YEAR_MS),
            },
        ];
        store
            .put_room_card(
                id,
                "<vCard xmlns='vcard-temp'><FN>The &lt;cave&gt;</FN></vCard>",
            )
            .unwrap();
        for number in 0..2000 {
            let affiliation = [
                Affiliation::Outcast,
                Affiliation::Member,
                Affiliation::Admin,
                Affiliation::Owner,
            ][number % 4];
            let one = Affiliated {
                nick: (number % 3 == 0).then(|| format!("n<{number}'")),
                reason: (number % 5 == 0).then(|| "because & so".repeat(20)),
                hats: match number % 2 {
                    0 => Vec::new(),
                    _ => vec!["urn:hat".to_owned(), "urn:cap".to_owned()],
                },
                ..Affiliated::new(format!("p{number}@grösse.test"), affiliation)
            };
            store.put_affiliation(id, &one).unwrap();
        }
        let anna = store.account("anna").unwrap().unwrap().id;
        let one = Affiliated {
            account: Some(anna),
            ..Affiliated::new("anna@chat.test", Affiliation::Owner)
        };
        store.put_affiliation(id, &one).unwrap();
        let rows = (0..50).map(|number| OldRow {
            stamp: Stamp { ms: YEAR_MS + number * DAY_MS, seq: 3 },
            tag: [9; 8],
            at_ms: YEAR_MS + number * DAY_MS,
            with: "coven@rooms.chat.test/witch".to_owned(),
            xml: format!("<message xmlns='jabber:client' type='groupchat' from='coven@rooms.chat.test/witch'><body>{number}</body></message>"),
        });
        let rows = rows.collect();
        let mut reader = store.archive_reader();
        reader.answer(Request::Insert { owner: id, rows }).unwrap();
        reader.answer(Request::Settle).unwrap();
    }
    store.put_room(&record).unwrap();
}

/// All rows of an owner.
fn rows(store: &Store, owner: UserId) -> Vec<Row> {
    match store
        .archive_reader()
        .answer(Request::Page(Query::of(owner)))
        .unwrap()
    {
        Answer::Page {
            rows,
            complete: true,
        } => rows,
        other => panic!("{other:?}"),
    }
}

/// Two stores have the same nodes, archives and rooms, numbers apart.
pub fn assert_same(one: &Store, other: &Store) {
    for account in one.accounts().unwrap() {
        let there = other.account(&account.name).unwrap().unwrap();
        let nodes = |store: &Store, id| {
            let mut nodes = store.nodes(id).unwrap();
            nodes.sort_by_key(|node| node.number);
            let people = store.affiliates(id).unwrap();
            let about = |mut node: Node| {
                node.settings.sort();
                let items = store.items_from(id, &node, 0).unwrap();
                let items: Vec<NodeItem> = items.map(|item| item.unwrap().1).collect();
                let people = people.iter().filter(|(number, _)| *number == node.number);
                let people: Vec<Affiliate> = people.map(|(_, person)| person.clone()).collect();
                assert_eq!(node.items as usize, items.len());
                (
                    node.name,
                    node.settings,
                    node.creator,
                    node.created_ms,
                    node.bytes,
                    items,
                    people,
                )
            };
            nodes.into_iter().map(about).collect::<Vec<_>>()
        };
        let (mine, theirs) = (nodes(one, account.id), nodes(other, there.id));
        assert!(mine == theirs, "{}", account.name);
        assert!(
            rows(one, account.id) == rows(other, there.id),
            "{}",
            account.name
        );
    }
    let rooms = |store: &Store| -> Vec<RoomRecord> {
        store.rooms_after("").unwrap().map(Result::unwrap).collect()
    };
    let (mine, theirs) = (rooms(one), rooms(other));
    assert_eq!(mine.len(), theirs.len());
    for (mine, theirs) in mine.into_iter().zip(theirs) {
        let (id, there) = (mine.id, theirs.id);
        assert_eq!(mine, RoomRecord { id, ..theirs });
        assert_eq!(one.room_card(id).unwrap(), other.room_card(there).unwrap());
        let people = |store: &Store, id| {
            let mut people = store.affiliations(id).unwrap();
            for person in &mut people {
                // The account that it was, and the account that it is.
                let name = person.jid.split('@').next().unwrap_or_default();
                let account = store.account(name).unwrap().map(|account| account.id);
                assert!(
                    !person.jid.ends_with("@chat.test") || person.account == account,
                    "{person:?}"
                );
                person.account = None;
            }
            people
        };
        assert_eq!(people(one, id), people(other, there));
        assert_eq!(rows(one, id), rows(other, there));
    }
}

/// What anna has at Prosody besides, and rooms there, as it writes them.
pub fn prosody(dir: &super::Dir) {
    let file = |name: &str, text: &str| {
        dir.write(&format!("prosody/{name}"), text);
    };
    let conference = |id: &str, name: &str| {
        format!(
            "item({{\n\t[\"attr\"] = {{ [\"xmlns\"] = \"urn:xmpp:bookmarks:1\"; [\"name\"] = \"{name}\"; [\"stamp\"] = \"2024-01-01T00:00:00Z\" }};\n\t[\"name\"] = \"conference\"; [\"key\"] = \"{id}\"; [\"when\"] = 1704067200; [\"with\"] = \"anna@chat.test\";\n}});\n"
        )
    };
    file(
        "chat%2etest/pep/anna.dat",
        "return {\n\t[\"urn:xmpp:bookmarks:1\"] = {\n\t\t[\"name\"] = \"urn:xmpp:bookmarks:1\";\n\t\t[\"config\"] = { [\"max_items\"] = \"max\"; [\"persist_items\"] = true; [\"access_model\"] = \"whitelist\"; [\"send_last_published_item\"] = \"never\"; [\"notify_items\"] = false };\n\t\t[\"affiliations\"] = { [\"ben@chat.test\"] = \"member\" };\n\t\t[\"subscribers\"] = { [\"ben@chat.test/r\"] = true };\n\t};\n\t[\"old\"] = true;\n};\n",
    );
    file(
        "chat%2etest/pep_urn%3axmpp%3abookmarks%3a1/anna.list",
        &format!(
            "{}item({{}});\n{}",
            conference("a@r", "A & a"),
            conference("b@r", "B")
        ),
    );
    let message = |key: &str, from: &str, body: &str, when: &str| {
        format!(
            "item({{\n\t{{ \"{body}\"; [\"attr\"] = {{}}; [\"name\"] = \"body\" }};\n\t[\"attr\"] = {{ [\"from\"] = \"{from}\"; [\"to\"] = \"anna@chat.test\"; [\"stamp\"] = \"x\" }};\n\t[\"name\"] = \"message\"; [\"key\"] = \"{key}\"; [\"when\"] = {when}; [\"with\"] = \"ben@chat.test\";\n}});\n"
        )
    };
    file(
        "chat%2etest/archive/anna.list",
        &message("k1", "ben@chat.test/r", "<hi>", "1704067200.5"),
    );
    let room = |jid: &str| {
        format!(
            "return {{\n\t[\"_jid\"] = \"{jid}\";\n\t[\"_data\"] = {{ [\"name\"] = \"The cave\"; [\"members_only\"] = true; [\"whois\"] = \"anyone\"; [\"persistent\"] = true; [\"hidden\"] = true; [\"password\"] = \"p\"; [\"history_length\"] = 9; [\"subject\"] = \"Spells\"; [\"subject_from\"] = \"{jid}/witch\"; [\"subject_time\"] = 1704067200; [\"occupant_id_salt\"] = \"abc\" }};\n\t[\"anna@chat.test\"] = \"owner\";\n\t[\"ben@x.test\"] = \"member\";\n\t[\"evil.test\"] = \"outcast\";\n\t[\"_affiliation_data\"] = {{ [\"ben@x.test\"] = {{ [\"reserved_nickname\"] = \"Ben\"; [\"hats\"] = {{ [\"urn:h\"] = {{ [\"active\"] = true; [\"title\"] = \"Host\" }} }} }} }};\n}};\n"
        )
    };
    file(
        "rooms%2echat%2etest/config/cave.dat",
        &room("cave@rooms.chat.test"),
    );
    file(
        "conference%2echat%2etest/config/cave.dat",
        &room("cave@conference.chat.test"),
    );
    let presence = "item({ [\"attr\"] = {}; [\"name\"] = \"presence\"; [\"when\"] = 1; });\n";
    file(
        "rooms%2echat%2etest/muc_log/cave.list",
        &format!(
            "{presence}{}",
            message("k2", "cave@rooms.chat.test/witch", "hail", "1704067201")
        ),
    );
}

/// All of that is here.
pub fn assert_prosody(store: &Store, anna: UserId) {
    let nodes = store.nodes(anna).unwrap();
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["old", "urn:xmpp:bookmarks:1"]);
    let node = &nodes[1];
    let mut settings = node.settings.clone();
    settings.sort();
    let wanted = [
        ("access_model", "whitelist"),
        ("deliver_notifications", "false"),
        ("max_items", "max"),
        ("send_last_published_item", "never"),
    ];
    assert_eq!(
        settings,
        wanted.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    let items: Vec<NodeItem> = store
        .items_from(anna, node, 0)
        .unwrap()
        .map(|item| item.unwrap().1)
        .collect();
    assert_eq!(
        items[0],
        NodeItem {
            id: "a@r".to_owned(),
            publisher: "anna@chat.test".to_owned(),
            at_ms: YEAR_MS,
            xml: "<conference xmlns='urn:xmpp:bookmarks:1' name='A &amp; a'></conference>"
                .to_owned(),
        }
    );
    assert_eq!(items.len(), 2);
    let person = store
        .affiliate(anna, node.number, "ben@chat.test")
        .unwrap()
        .unwrap();
    assert_eq!(
        (person.affiliation, person.subscriptions.len()),
        (NodeAffiliation::Member, 1)
    );
    let archived = rows(store, anna);
    assert_eq!(archived.len(), 1);
    assert_eq!(
        (archived[0].at_ms, archived[0].with.as_str()),
        (YEAR_MS + 500, "ben@chat.test/r")
    );
    assert_eq!(
        archived[0].xml,
        "<message xmlns='jabber:client' from='ben@chat.test/r' to='anna@chat.test'><body>&lt;hi&gt;</body></message>"
    );
    let room = store.room("cave").unwrap().unwrap();
    assert_eq!(
        room.config,
        RoomConfig {
            title: "The cave".to_owned(),
            members_only: true,
            non_anonymous: true,
            public: false,
            persistent: true,
            password: Some("p".to_owned()),
            max_history: 9,
            ..RoomConfig::DEFAULT
        }
    );
    let subject = room.subject.unwrap();
    assert_eq!(
        (subject.xml.as_str(), subject.nick.as_str(), subject.at_ms),
        ("<subject>Spells</subject>", "witch", YEAR_MS)
    );
    let people = store.affiliations(room.id).unwrap();
    assert_eq!(people.len(), 3);
    let is = |jid: &str| people.iter().find(|one| one.jid == jid).unwrap();
    assert_eq!(
        (
            is("anna@chat.test").affiliation,
            is("anna@chat.test").account
        ),
        (Affiliation::Owner, Some(anna))
    );
    let ben = is("ben@x.test");
    assert_eq!(
        (ben.affiliation, ben.nick.as_deref(), ben.hats.len()),
        (Affiliation::Member, Some("Ben"), 1)
    );
    assert_eq!(room.hats[0].title, "Host");
    assert_eq!(is("evil.test").affiliation, Affiliation::Outcast);
    let said = rows(store, room.id);
    assert_eq!(said.len(), 1);
    // It goes to everybody who enters, each with a `to` of its own.
    assert_eq!(
        said[0].xml,
        "<message xmlns='jabber:client' from='cave@rooms.chat.test/witch'><body>hail</body></message>"
    );
}

#[test]
fn a_backup_has_nodes_and_rooms_and_the_archive_still_fits() {
    let (old, new) = (super::Dir::new(), super::Dir::new());
    let store = old.store();
    super::fill(&store);
    store.committer().backup().unwrap();
    drop(store);
    let dump = old.path("backup/main.dump");
    let (exit, out, err) = super::snug(&new.0, &["restore", dump.to_str().unwrap()]);
    assert_eq!(exit, 0, "{out}{err}");
    let coven = |store: &Store| store.room("coven").unwrap().unwrap();
    let restored = new.store();
    assert_eq!(
        restored.affiliations(coven(&restored).id).unwrap().len(),
        2001
    );
    let anna = restored.account("anna").unwrap().unwrap().id;
    assert_eq!(restored.nodes(anna).unwrap().len(), 5);
    // A backup has no messages of the archive; its directory is copied along where they are wanted.
    assert_eq!(rows(&restored, anna), []);
    drop(restored);
    let archive = old.path("archive");
    let target = new.path("archive");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([&archive, &target])
        .status();
    assert!(copied.unwrap().success());
    super::assert_same(&old.store(), &new.store());
    // What is given out from now on is nobody's archive.
    let id = new.store().take_room_id().unwrap();
    assert_eq!(rows(&new.store(), id), []);
}

#[test]
fn what_is_wrong_with_nodes_archives_and_rooms_is_named_with_its_line() {
    let dir = super::Dir::new();
    let user = |inside: &str| super::host(&format!("<user name='anna'>\n{inside}\n</user>"));
    let config = |inside: &str| {
        user(&format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>\n{inside}</pubsub>"
        ))
    };
    let items = |inside: &str| {
        user(&format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'>\n{inside}</items></pubsub>"
        ))
    };
    let archive = |inside: &str| {
        user(&format!(
            "<archive xmlns='urn:xmpp:pie:0#mam'>\n<result xmlns='urn:xmpp:mam:2' id='7'>{inside}</result></archive>"
        ))
    };
    let forwarded = |inside: &str| {
        archive(&format!(
            "<forwarded xmlns='urn:xmpp:forward:0'>{inside}</forwarded>"
        ))
    };
    let room = |inside: &str| {
        super::host(&format!(
            "<user name='fine'/>\n<room xmlns='urn:x-snug:room:0' jid='a@rooms.chat.test'>\n{inside}</room>"
        ))
    };
    let long = "x".repeat(1024);
    let cases = [
        (
            config("<configure node=''/>"),
            "line 6: the account \"anna\": the name of a node must have 1 to 1023 bytes",
        ),
        (
            config(&format!(
                "<affiliations node='{long}'><affiliation jid='a@b' affiliation='owner'/></affiliations>"
            )),
            "line 6: the account \"anna\": the name of a node",
        ),
        (
            config("<configure node='n'><x xmlns='jabber:x:data'/></configure>"),
            "is no form of XEP-0004",
        ),
        (
            config(
                "<affiliations node='n'><affiliation jid='@' affiliation='owner'/></affiliations>",
            ),
            "at the node \"n\": \"@\" is no address",
        ),
        (
            items("<item/>"),
            "line 6: the account \"anna\": the id of an item",
        ),
        (
            items("<item id='1'><a xmlns='urn:a'/><a xmlns='urn:a'/></item>"),
            "the item \"1\" has more than one payload",
        ),
        (
            items("<item id='1' publisher='@'/>"),
            "the publisher \"@\" is no address",
        ),
        (
            items(&format!(
                "<item id='1'><a xmlns='urn:a'>{}</a></item>",
                "x".repeat(241 * 1024)
            )),
            "the item \"1\" is longer than 240 KiB",
        ),
        (
            archive(""),
            "line 6: the account \"anna\": the archived message \"7\" has no <forwarded/>",
        ),
        (
            forwarded("<message xmlns='jabber:client'/>"),
            "has no <delay/> with a time",
        ),
        (
            forwarded(
                "<delay xmlns='urn:xmpp:delay' stamp='soon'/><message xmlns='jabber:client'/>",
            ),
            "has no <delay/> with a time",
        ),
        (
            forwarded("<delay xmlns='urn:xmpp:delay' stamp='2024-01-01T00:00:00Z'/>"),
            "has no <message xmlns='jabber:client'/>",
        ),
        (
            forwarded(
                "<delay xmlns='urn:xmpp:delay' stamp='2024-01-01T00:00:00Z'/><message xmlns='jabber:client' from='@'/>",
            ),
            "has no valid address in from",
        ),
        (
            room("").replace("a@rooms.chat.test", "rooms.chat.test"),
            "line 5: \"rooms.chat.test\" is no address of a room",
        ),
        (
            room("</room><room xmlns='urn:x-snug:room:0' jid='A@rooms.chat.test'>"),
            "line 6: the room \"a\" stands there twice",
        ),
        (
            room("<about salt='AAAA'/>"),
            "line 6: the room \"a\": the salt of a room must be 16 bytes",
        ),
        (room("<config/>"), "is no form of XEP-0004"),
        (
            room(
                "<config><x xmlns='jabber:x:data' type='form'><field var='muc#roomconfig_maxusers'><value>-1</value></field></x></config>",
            ),
            "this cannot be chosen: Maximum Number of Occupants",
        ),
        (
            room(
                "<query xmlns='http://jabber.org/protocol/muc#admin'>\n<item jid='a@b' affiliation='king'/></query>",
            ),
            "line 7: the room \"a\": \"king\" is no affiliation",
        ),
        (
            room(
                "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='owner'/></query>",
            ),
            "is no address",
        ),
    ];
    for (text, says) in cases {
        let file = dir.write("wrong", &text);
        let (exit, out, err) = super::snug(&dir.0, &["import", &file]);
        let shown: String = text.chars().take(400).collect();
        assert_eq!((exit, out.as_str()), (1, ""), "{shown}");
        assert!(err.contains(says), "{says:?} is not in {err:?} for {shown}");
    }
    assert!(dir.names().is_empty());
    assert!(dir.store().room("a").unwrap().is_none());
}

#[test]
fn what_there_is_no_room_for_is_counted() {
    let dir = super::Dir::new();
    let configure = |number: usize| format!("<configure node='n{number}'/>");
    let nodes: String = (0..203).map(configure).collect();
    let item = |number: usize| {
        format!(
            "<item id='{number}'><a xmlns='urn:a'>{}</a></item>",
            "x".repeat(200 * 1024)
        )
    };
    let items: String = (0..25).map(item).collect();
    let archived = "<archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='7'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2024-01-01T00:00:00Z'/><message xmlns='jabber:client'/></forwarded></result></archive>";
    let file = dir.write("accounts.xml", super::host(&format!(
        "<user name='anna'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='many'><x xmlns='jabber:x:data' type='form'><field var='pubsub#max_items'><value>max</value></field><field var='pubsub#access_model'><value>later invention</value></field><field var='x#unknown'><value>1</value></field></x></configure>{nodes}</pubsub><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='many'>{items}</items></pubsub>{archived}</user>\n<room xmlns='urn:x-snug:room:0' jid='a@conference.chat.test'/>"
    )));
    dir.write(
        "snug.toml",
        "domain = \"chat.test\"\n[archive]\nenabled = false\n",
    );
    let (exit, out, err) = super::snug(&dir.0, &["import", &file]);
    assert_eq!(exit, 0, "{err}");
    for says in [
        "20 items of PEP, 0 archived messages and 0 rooms with 0 people were imported.",
        "9 nodes or items of PEP were left out: there is room for 200 nodes and 4 MiB an account.",
        "1 archived messages were left out: set archive.enabled = true",
        "1 rooms of conference.chat.test were left out: those of this snug are at rooms.chat.test (rooms.host).",
    ] {
        assert!(out.contains(says), "{says:?} is not in {out}");
    }
    let store = dir.store();
    let anna = store.account("anna").unwrap().unwrap().id;
    let nodes = store.nodes(anna).unwrap();
    assert_eq!((nodes.len(), rows(&store, anna).len()), (200, 0));
    let many = nodes.iter().find(|node| node.name == "many").unwrap();
    // Who may read it is not understood: nobody may.
    assert_eq!(many.items, 20);
    assert!(
        many.settings
            .contains(&("access_model".to_owned(), "whitelist".to_owned()))
    );
}
