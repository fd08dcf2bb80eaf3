//! What the engine tells later features of a client's capabilities, which no client sees; and that the memory of them is bounded.

mod common;

use common::host::{Host, NO_RATES};
use snug::engine::session::SessionId;
use snug::limits;

const EXODUS: &str = "QgayPKawpkPSDYmwT/WM94uAlu0=";
const INFO: &str = "<identity category='client' name='Exodus 0.9.1' type='pc'/><feature var='http://jabber.org/protocol/caps'/>\
    <feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/>\
    <feature var='http://jabber.org/protocol/muc'/>";

fn host() -> Host {
    let mut host = Host::new(NO_RATES);
    host.account("anna", "secret");
    host.account("ben", "secret");
    host
}

/// Shows a hash and says the id of the question, where one came.
fn show(host: &mut Host, far: u32, hash: &str, ver: &str) -> Option<String> {
    let answer = host.ask(
        far,
        &format!("<presence><c xmlns='http://jabber.org/protocol/caps' hash='{hash}' node='urn:n' ver='{ver}'/></presence>"),
    );
    let rest = &answer[answer.find("<iq ")?..];
    let rest = &rest[rest.find("id='")? + 4..];
    Some(rest[..rest.find('\'')?].to_owned())
}

fn tell(host: &mut Host, far: u32, id: &str, info: &str) {
    host.send(
        far,
        &format!("<iq type='result' to='chat.test' id='{id}'><query xmlns='http://jabber.org/protocol/disco#info'>{info}</query></iq>"),
    );
}

fn session(host: &Host, name: &str) -> SessionId {
    host.engine.sessions_of(name)[0]
}

fn can(host: &Host, name: &str, feature: &str) -> Option<bool> {
    let known = host.engine.features_of(session(host, name));
    known.map(|known| known.has(feature))
}

#[test]
fn a_verified_answer_counts_for_all_and_a_forged_one_for_its_sender() {
    let mut host = host();
    let anna = host.log_in("anna", "phone");
    let id = show(&mut host, anna, "sha-1", EXODUS).expect("she is asked");
    assert_eq!(can(&host, "anna", "http://jabber.org/protocol/muc"), None);
    tell(&mut host, anna, &id, "<feature var='urn:evil'/>");
    assert_eq!(can(&host, "anna", "urn:evil"), Some(true));

    let ben = host.log_in("ben", "pc");
    let id = show(&mut host, ben, "sha-1", EXODUS).expect("what anna said is not believed of ben");
    tell(&mut host, ben, &id, INFO);
    assert_eq!(
        can(&host, "ben", "http://jabber.org/protocol/muc"),
        Some(true)
    );
    assert_eq!(can(&host, "ben", "urn:evil"), Some(false));
    assert_eq!(can(&host, "anna", "urn:evil"), Some(true));

    host.kill();
    let anna = host.log_in("anna", "phone");
    assert_eq!(show(&mut host, anna, "sha-1", EXODUS), None);
    assert_eq!(
        can(&host, "anna", "http://jabber.org/protocol/muc"),
        Some(true)
    );
    // Another hash that nobody knows: what was known is over.
    assert!(show(&mut host, anna, "sha-1", "other").is_some());
    assert_eq!(can(&host, "anna", "http://jabber.org/protocol/muc"), None);
}

#[test]
fn a_form_that_hashes_like_features_takes_none_away() {
    // HOLES 18: XEP-0115's text does not say where features end: this answer hashes like the true one, and names only three features.
    let forged = "<identity category='client' name='Exodus 0.9.1' type='pc'/><feature var='http://jabber.org/protocol/caps'/>\
        <feature var='http://jabber.org/protocol/disco#info'/><x xmlns='jabber:x:data' type='result'>\
        <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/disco#items</value></field>\
        <field var='http://jabber.org/protocol/muc'/></x>";
    let mut host = host();
    let anna = host.log_in("anna", "phone");
    let id = show(&mut host, anna, "sha-1", EXODUS).expect("she is asked");
    tell(&mut host, anna, &id, forged);
    let ben = host.log_in("ben", "pc");
    assert_eq!(
        show(&mut host, ben, "sha-1", EXODUS),
        None,
        "it hashes right"
    );
    for feature in ["disco#items", "muc"] {
        let feature = format!("http://jabber.org/protocol/{feature}");
        assert_eq!(can(&host, "ben", &feature), Some(true), "{feature}");
    }
}

#[test]
fn one_client_teaches_little_and_nothing_long() {
    let mut host = host();
    let anna = host.log_in("anna", "phone");
    let ben = host.log_in("ben", "pc");
    let mut learned = 0;
    for number in 0..u32::from(limits::CAPS_LEARNED) * 2 {
        let text = format!("urn:{number}<");
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let ver = snug::auth::encode(hash.as_ref());
        let id = show(&mut host, anna, "sha-256", &ver).expect("each is new");
        tell(
            &mut host,
            anna,
            &id,
            &format!("<feature var='urn:{number}'/>"),
        );
        assert_eq!(can(&host, "anna", &format!("urn:{number}")), Some(true));
        learned += u32::from(show(&mut host, ben, "sha-256", &ver).is_none());
    }
    assert_eq!(learned, u32::from(limits::CAPS_LEARNED));
    let id = show(&mut host, anna, "sha-1", "long").expect("she is asked");
    tell(
        &mut host,
        anna,
        &id,
        &format!("<feature var='{}'/>", "x".repeat(limits::CAPS_BYTES)),
    );
    assert_eq!(can(&host, "anna", "x"), None);
    // Longer than anything that is a hash: not even asked for.
    assert_eq!(show(&mut host, anna, "sha-1", &"x".repeat(600)), None);
}

#[test]
fn the_store_keeps_so_many() {
    let host = host();
    let store = &host.engine.store;
    for number in 0..limits::CAPS_STORED + 3 {
        store
            .put_capabilities(&format!("sha-1 {number}"), number as u64, "urn:a<")
            .expect("it is kept");
    }
    for (number, there) in [
        (0, false),
        (2, false),
        (3, true),
        (limits::CAPS_STORED + 2, true),
    ] {
        let kept = store
            .capabilities(&format!("sha-1 {number}"))
            .expect("it is read");
        assert_eq!(kept.is_some(), there, "{number}");
    }
}
