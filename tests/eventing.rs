//! What personal eventing costs the disk: an account with 500 contacts logs in, shows its presence, publishes. Run with `--nocapture` for the figures.

mod common;

use common::host::Host;
use snug::auth::{Hash, ScramKeys};
use snug::engine::disco::{Identity, Info, verification};
use snug::engine::pubsub::publish::Publication;
use snug::store::{Document, DocumentKind, RosterItem, Subscription};
use snug::xmpp::BareJid;

const CONTACTS: usize = 500;
/// Of them there.
const ONLINE: usize = 50;
const WANTED: [&str; 3] = [
    "urn:xmpp:avatar:metadata",
    "http://jabber.org/protocol/nick",
    "eu.siacs.conversations.axolotl.devicelist",
];

fn name(number: usize) -> String {
    format!("c{number:03}")
}

/// A server where anna and 500 others see each other.
fn server() -> Host {
    let host = Host::new("[limits]\nlogin_rate = 0\nstanza_rate = 0\n");
    let keys = |hash| ScramKeys::derive(hash, "secret", b"salt", 1).expect("a password");
    let (sha1, sha256) = (keys(Hash::Sha1), keys(Hash::Sha256));
    let store = &host.engine.store;
    let make = |name: &str| {
        let made = store.create_account(name, sha1.clone(), sha256.clone(), 0);
        made.expect("a new name")
    };
    let anna = make("anna");
    let friend = |name: &str| RosterItem {
        subscription: Subscription::Both,
        listed: true,
        ..RosterItem::new(BareJid::new(Some(name), "chat.test").expect("a name"))
    };
    for number in 0..CONTACTS {
        let id = make(&name(number));
        for (owner, contact) in [(anna, friend(&name(number))), (id, friend("anna"))] {
            store.put_roster_item(owner, &contact).expect("a contact");
        }
    }
    store.commit().expect("a disk");
    host
}

/// Everybody but anna has published at these nodes.
fn everybody_publishes(host: &mut Host, nodes: &[&str]) {
    for number in 0..CONTACTS {
        let owner = host.engine.account_owner(&name(number)).expect("a disk");
        let owner = owner.expect("made above");
        let by = host.engine.in_the_name_of(&owner);
        for node in nodes {
            let publication = Publication::new(
                node,
                Some("current".to_owned()),
                format!("<a xmlns='{node}'>{number}</a>"),
            );
            let done = host.engine.publish(&owner, &by, publication);
            done.expect("published");
        }
    }
    host.pass(1);
}

/// A presence with a hash of these wishes, and the answer to the question about it.
fn wishes(nodes: &[&str]) -> (String, Info) {
    let info = Info {
        identities: vec![Identity {
            category: "client".to_owned(),
            kind: "pc".to_owned(),
            ..Identity::default()
        }],
        features: nodes.iter().map(|node| format!("{node}+notify")).collect(),
        ..Info::default()
    };
    let ver = verification("sha-1", &info.text()).expect("SHA-1");
    let presence = format!(
        "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:c' ver='{ver}'/></presence>"
    );
    (presence, info)
}

/// Comes online wanting these nodes; what was received until nothing more came, and how often the store was read.
fn come(host: &mut Host, name: &str, resource: &str, nodes: &[&str]) -> (u32, String, u64) {
    let (presence, info) = wishes(nodes);
    let far = host.log_in(name, resource);
    let before = host.engine.store.reads();
    let mut seen = host.ask(far, &presence);
    let question = seen
        .split("<iq ")
        .find(|iq| iq.contains("disco#info"))
        .and_then(|iq| iq.split_once(" id='"))
        .and_then(|(_, rest)| rest.split_once('\''));
    if let Some((id, _)) = question {
        let answer = format!(
            "<iq to='chat.test' id='{id}' type='result'>{}</iq>",
            info.payload(None)
        );
        host.send(far, &answer);
        seen.push_str(&host.sent(far));
    }
    let mut quiet = 0;
    while quiet < 3 {
        host.pass(1);
        let more = host.sent(far);
        quiet = if more.is_empty() { quiet + 1 } else { 0 };
        seen.push_str(&more);
    }
    (far, seen, host.engine.store.reads() - before)
}

#[test]
fn who_has_500_contacts_costs_a_bounded_number_of_reads() {
    let mut host = server();
    let online: Vec<u32> = (0..ONLINE)
        .map(|number| come(&mut host, &name(number), "r", &WANTED).0)
        .collect();

    // A client that wants to hear of nothing: its presence alone.
    let (plain, _, alone) = come(&mut host, "anna", "plain", &[]);
    // Nobody has published anything: each contact's account, and that it has no nodes. The next client finds that in memory.
    let (second, seen, nothing) = come(&mut host, "anna", "nothing", &WANTED);
    assert_eq!(seen.matches("<event").count(), 0);
    let (third, _, nothing_again) = come(&mut host, "anna", "again", &WANTED);
    // Everybody has, but not at the nodes that are wanted.
    everybody_publishes(&mut host, &["urn:a", "urn:b"]);
    let (fourth, seen, other) = come(&mut host, "anna", "other", &WANTED);
    assert_eq!(seen.matches("<event").count(), 0);
    // Everybody has, at all of them, and nothing of it is in memory: the server was restarted.
    everybody_publishes(&mut host, &WANTED);
    for far in online.into_iter().chain([plain, second, third, fourth]) {
        host.drop_connection(far);
    }
    host.restart(true);
    let online: Vec<u32> = (0..ONLINE)
        .map(|number| come(&mut host, &name(number), "r", &WANTED).0)
        .collect();
    let plain = come(&mut host, "anna", "plain", &[]).0;
    let (tablet, seen, first) = come(&mut host, "anna", "tablet", &WANTED);
    assert_eq!(seen.matches("<event").count(), CONTACTS * WANTED.len());
    // The next one.
    let (phone, seen, all) = come(&mut host, "anna", "phone", &WANTED);
    assert_eq!(seen.matches("<event").count(), CONTACTS * WANTED.len());

    // One presence broadcast: no read.
    let before = host.engine.store.reads();
    host.send(phone, "<presence><show>away</show></presence>");
    let broadcast = host.engine.store.reads() - before;
    for far in &online {
        assert!(host.sent(*far).contains("<show>away</show>"));
    }
    host.sent(plain);
    // One publication that 50 contacts hear of.
    let before = host.engine.store.reads();
    host.send(
        phone,
        "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='http://jabber.org/protocol/nick'>\
         <item id='current'><nick xmlns='http://jabber.org/protocol/nick'>A</nick></item></publish></pubsub></iq>",
    );
    let publication = host.engine.store.reads() - before;
    for far in &online {
        assert_eq!(host.sent(*far).matches("<event").count(), 1);
    }

    println!(
        "{CONTACTS} contacts, {ONLINE} of them online; reads of the store:\n\
         a client comes that wants to hear of nothing               {alone}\n\
         wants 3 nodes, nobody has any                              {nothing}\n\
         the same once more                                         {nothing_again}\n\
         wants 3 nodes, all have others                             {other}\n\
         wants 3 nodes, all have them: 1500 items, after a restart  {first}\n\
         the same once more                                         {all}\n\
         a presence broadcast                                       {broadcast}\n\
         a publication that 50 contacts hear of                     {publication}"
    );
    let (away, here) = ((CONTACTS - ONLINE) as u64, ONLINE as u64);
    let sent = (CONTACTS * WANTED.len()) as u64;
    assert_eq!(broadcast, 0);
    assert!(alone <= 8, "{alone}");
    // The account, and that it has no nodes; of who is here the latter.
    assert!(nothing <= alone + 2 * away + here + 8, "{nothing}");
    assert!(nothing_again <= alone, "{nothing_again}");
    assert!(other <= alone + 3 * away + 8, "{other}");
    // The account, its nodes, who has to do with them, whom it blocks, whether it shows itself: 5, and an item each.
    assert!(first <= alone + 5 * away + 2 * here + sent + 8, "{first}");
    // Whether it shows itself.
    assert!(all <= alone + away + 8, "{all}");
    assert!(publication <= 4, "{publication}");

    // Nothing is kept of anybody once all are gone, but for what is bounded in bytes.
    for far in online.into_iter().chain([plain, tablet, phone]) {
        host.drop_connection(far);
    }
    assert!(host.engine.is_empty());
}

#[test]
fn what_a_slow_client_is_owed_waits_until_it_takes_it() {
    let mut host = server();
    let long = "x".repeat(3000);
    for number in 0..CONTACTS {
        let owner = host.engine.account_owner(&name(number)).expect("a disk");
        let owner = owner.expect("made above");
        let by = host.engine.in_the_name_of(&owner);
        let publication = Publication::new(
            WANTED[0],
            Some("current".to_owned()),
            format!("<a xmlns='urn:a'>{long}</a>"),
        );
        let done = host.engine.publish(&owner, &by, publication);
        done.expect("published");
    }
    // 1.5 MB in all, more than a way to a client may hold.
    let (phone, seen, _) = come(&mut host, "anna", "phone", &WANTED[..1]);
    assert_eq!(seen.matches("<event").count(), CONTACTS);
    let (presence, _) = wishes(&WANTED[..1]);
    let far = host.log_in("anna", "tablet");
    let first = host.ask(far, &presence);
    let events = first.matches("<event").count();
    assert!(events > 0 && events < CONTACTS / 4, "{events} at once");
    // It goes before it has got the rest.
    host.drop_connection(far);
    host.drop_connection(phone);
    host.pass(2);
    assert!(host.engine.is_empty());
}

#[test]
fn a_picture_that_came_with_the_account_is_shown() {
    let mut host = Host::new("[limits]\nlogin_rate = 0\nstanza_rate = 0\n");
    host.account("anna", "secret");
    let store = &host.engine.store;
    let anna = store.account("anna").expect("a disk").expect("made above");
    let vcard = Document {
        kind: DocumentKind::Vcard,
        name: String::new(),
        xml: "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>aGVsbG8=</BINVAL></PHOTO></vCard>"
            .to_owned(),
    };
    store.put_documents(anna.id, &[vcard]).expect("a vCard");
    let far = host.log_in("anna", "phone");
    let seen = host.ask(far, "<presence/>");
    let photo = "<photo>aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d</photo>";
    assert!(seen.contains(photo), "{seen}");
    // Whoever wants the node finds it.
    let items = "<iq type='get' id='i'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'/></pubsub></iq>";
    let seen = host.ask(far, items);
    assert!(seen.contains(">aGVsbG8=</data>"), "{seen}");
}
