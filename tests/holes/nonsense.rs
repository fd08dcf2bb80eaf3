//! Rows 34 and 35: names and stanzas that nobody means.

use crate::host::{Host, NO_RATES};
use crate::stage::*;
use snug::xmpp::Jid;
use std::collections::HashSet;
use std::time::{Duration, Instant};

#[test]
fn hole_34_names_are_prepared_once() {
    let mut dice = Dice(0x0bad_cafe_dead_beef);
    let alphabet: Vec<char> = "aAzZ09.-_@/\\ '\"&<>:\u{0}\u{7f}\u{ad}\u{df}\u{130}\u{131}\u{149}\u{1c5}\u{3a3}\u{3c2}\u{587}\u{5d0}\u{627}\u{966}\u{1e9e}\u{200b}\u{200d}\u{2028}\u{2163}\u{212a}\u{2126}\u{fb01}\u{fdfa}\u{fe0f}\u{ff21}\u{ff20}\u{ff0f}\u{feff}\u{fffd}\u{ffff}\u{10400}\u{1d400}\u{1f600}\u{e0001}\u{10ffff}e\u{301}\u{323}"
        .chars()
        .collect();
    let mut accepted = 0;
    for round in 0..40_000 {
        let mut text: String = (0..1 + dice.below(12))
            .map(|_| *dice.pick(&alphabet))
            .collect();
        match round % 4 {
            0 => text.push_str("@chat.test"),
            1 => text = format!("anna@chat.test/{text}"),
            2 => text = format!("{text}@chat.test/{text}"),
            _ => {}
        }
        let Ok(jid) = Jid::parse(&text) else { continue };
        accepted += 1;
        for part in [jid.local(), Some(jid.domain()), jid.resource()]
            .into_iter()
            .flatten()
        {
            assert!(!part.is_empty() && part.len() <= 1023, "{text:?}");
            assert!(!part.contains('\u{0}'), "{text:?}");
        }
        let again = Jid::parse(jid.as_str()).unwrap_or_else(|error| {
            panic!(
                "{text:?} -> {:?} is refused the second time: {error:?}",
                jid.as_str()
            )
        });
        assert_eq!(
            again.as_str(),
            jid.as_str(),
            "{text:?} is prepared differently the second time"
        );
    }
    assert!(accepted > 5000, "only {accepted} of the names were any");
    // Lengths: a part has 1023 bytes, after preparation too.
    for (part, fine) in [
        ("a".repeat(1023), true),
        ("a".repeat(1024), false),
        ("\u{fdfa}".repeat(341), false),
        ("\u{df}".repeat(511), true),
        ("\u{df}".repeat(512), false),
    ] {
        assert_eq!(
            Jid::parse(&format!("{part}@chat.test")).is_ok(),
            fine,
            "local of {} bytes",
            part.len()
        );
    }
    for (part, fine) in [("a".repeat(1023), true), ("a".repeat(1024), false)] {
        assert_eq!(
            Jid::parse(&format!("anna@chat.test/{part}")).is_ok(),
            fine,
            "resource of {} bytes",
            part.len()
        );
    }
    // And through the whole server: an address that cannot be is answered, not fatal.
    let (mut host, anna, ben) = anna_and_ben();
    for to in [
        "@chat.test",
        "ben@",
        "ben@chat.test/",
        "ben@@chat.test",
        "b en@chat.test",
        "ben@chat.test/\u{7f}",
        "\u{2028}@chat.test",
        "&#9;@chat.test",
        &"x".repeat(5000),
    ] {
        let answer = host.ask(
            anna,
            &format!("<message to='{to}'><body>x</body></message>"),
        );
        assert!(has(&answer, "jid-malformed"), "{to:?}: {answer}");
        elements(&answer);
    }
    still_chats(&mut host, anna, ben, "BEN@chat.test/pc");
}

#[test]
fn hole_35_nonsense_in_every_namespace() {
    let seed = std::env::var("SNUG_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(35u64);
    let bound = Duration::from_secs(
        std::env::var("SNUG_SECONDS")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(4),
    );
    println!("SNUG_SEED={seed}");
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut host = Host::new(&format!(
        "{NO_RATES}\n[registration]\nmode = \"open\"\n[archive]\nenabled = true"
    ));
    for name in ["anna", "ben", "watcher"] {
        host.account(name, "secret");
    }
    let namespaces = asked_namespaces(&host);
    // anna and ben know each other, the watcher listens to both.
    let watcher = host.go_online("watcher", "pc");
    let begin = Instant::now();
    let (mut sent, mut streams) = (0, 0);
    // As many as fit, and on a busy machine enough.
    while begin.elapsed() < bound || sent < 600 {
        let ben = host.go_online("ben", "pc");
        let mut stranger_connection = stranger(&mut host);
        let mut anna = host.log_in("anna", "phone");
        if dice.below(2) == 0 {
            host.send(anna, "<presence/>");
            host.send(anna, "<presence to='ben@chat.test' type='subscribe'/>");
            host.send(ben, "<presence to='anna@chat.test' type='subscribed'/>");
        }
        for _ in 0..200 {
            let far = match dice.below(10) {
                0 => stranger_connection,
                1 => ben,
                _ => anna,
            };
            let mut nonsense = nonsense(&mut dice, &namespaces);
            let broken = dice.below(300) == 0;
            if broken {
                nonsense = nonsense.replacen('>', "", 1);
            }
            host.send(far, &nonsense);
            if broken && !host.is_closed(far) {
                host.drop_connection(far);
            }
            sent += 1;
            if dice.below(40) == 0 {
                host.pass(1);
                // Who says nothing for long is pinged, and the watcher does not answer.
                host.send(watcher, " ");
            }
            for actor in [anna, ben, watcher, stranger_connection] {
                let got = host.sent(actor);
                // The strict pass: whoever reads this with expat or libxml2 reads it too.
                if !got.is_empty() {
                    elements(&got);
                }
            }
            if host.is_closed(stranger_connection) {
                host.forget(stranger_connection);
                stranger_connection = stranger(&mut host);
            }
            if host.is_closed(ben) {
                break;
            }
            if host.is_closed(anna) {
                host.forget(anna);
                make_sure_of(&mut host, "anna");
                anna = host.log_in("anna", "phone");
                streams += 1;
            }
            still_chats(&mut host, anna, watcher, "watcher@chat.test");
            host.sent(anna);
        }
        for far in [anna, ben, stranger_connection] {
            host.forget(far);
        }
        for name in ["anna", "ben", "watcher"] {
            make_sure_of(&mut host, name);
        }
        host.take_trace();
    }
    println!("{sent} pieces of nonsense, {streams} streams ended by them");
    assert_eq!(host.stray_bytes, 0);
    assert_eq!(host.engine.sessions().count(), 1);
}

/// The account may have removed itself, or found its way to a new password.
fn make_sure_of(host: &mut Host, name: &str) {
    if host
        .engine
        .store
        .account(name)
        .expect("the store reads")
        .is_none()
    {
        return host.account(name, "secret");
    }
    let far = host.authenticate(name, "secret");
    if !host.sent(far).contains("<success") {
        let request =
            serde_json::json!({"verb": "user.passwd", "name": name, "password": "secret"});
        assert_eq!(host.control(&request)["ok"], true);
    }
    host.forget(far);
}

const VALUES: [&str; 17] = [
    "",
    " ",
    "anna",
    "ben@chat.test",
    "secret",
    "-129",
    "127",
    "99999999999999999999",
    "remove",
    "both",
    "&lt;x/&gt;",
    "&#x1F600;",
    "nobody@chat.test/x",
    "\u{301}",
    "a\u{200b}b",
    "chat.test",
    "evil@chat.test",
];

/// A stanza that is well-formed and mostly wrong.
pub fn nonsense(dice: &mut Dice, namespaces: &[(String, String)]) -> String {
    let addresses = [
        "",
        "",
        "",
        "chat.test",
        "anna@chat.test",
        "ben@chat.test",
        "ben@chat.test/pc",
        "anna@chat.test/phone",
        "nobody@chat.test",
        "nobody@chat.test/x",
        "other.test",
        "x@other.test",
        "@",
        "rooms.chat.test",
        "x@rooms.chat.test",
        "chat.test/x",
        "\u{df}@chat.test",
        "&#98;en@chat.test",
    ];
    let kind = *dice.pick(&["iq", "iq", "iq", "iq", "message", "presence"]);
    let types: &[&str] = match kind {
        "iq" => &[
            "get", "set", "get", "set", "result", "error", "", "GET", "s&#101;t",
        ],
        "message" => &[
            "chat",
            "normal",
            "groupchat",
            "headline",
            "error",
            "",
            "nonsense",
        ],
        _ => &[
            "",
            "unavailable",
            "subscribe",
            "subscribed",
            "unsubscribe",
            "unsubscribed",
            "probe",
            "error",
            "nonsense",
        ],
    };
    let mut text = format!("<{kind}");
    let to = *dice.pick(&addresses);
    if !to.is_empty() {
        text.push_str(&format!(" to='{to}'"));
    }
    let stanza_type = *dice.pick(types);
    if !stanza_type.is_empty() {
        text.push_str(&format!(" type='{stanza_type}'"));
    }
    match dice.below(12) {
        0 => {}
        1 => text.push_str(" id=''"),
        2 => text.push_str(" id='&lt;&apos;&#10;&gt;'"),
        3 => text.push_str(&format!(" id='{}'", "i".repeat(3000))),
        4 => text.push_str(" id='x' xml:lang='&quot;'"),
        n => text.push_str(&format!(" id='i{n}'")),
    }
    if dice.below(60) == 0 {
        text.push_str(" from='ben@chat.test'");
    }
    text.push('>');
    for _ in 0..[0, 1, 1, 1, 1, 1, 2, 3][dice.below(8)] {
        match dice.below(2) {
            0 => text.push_str(&nearly_right(dice, namespaces)),
            _ => child(dice, namespaces, 0, &mut text),
        }
    }
    if kind == "message" {
        text.push_str("<body>n</body>");
    }
    text.push_str(&format!("</{kind}>"));
    text
}

/// What clients really send, with a few things changed: attributes gone or with other values, something more inside, something twice.
fn nearly_right(dice: &mut Dice, namespaces: &[(String, String)]) -> String {
    let mut text = (*dice.pick(&[
        "<query xmlns='jabber:iq:roster' ver=''><item jid='ben@chat.test' name='Ben' subscription='both' ask='subscribe' approved='true'><group>a</group><group>b</group></item></query>",
        "<query xmlns='jabber:iq:roster'><item jid='watcher@chat.test' subscription='remove'/></query>",
        "<query xmlns='jabber:iq:roster'/>",
        "<query xmlns='jabber:iq:register'><username>anna</username><password>secret</password></query>",
        "<query xmlns='jabber:iq:register'><remove/></query>",
        "<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>",
        "<query xmlns='http://jabber.org/protocol/disco#items' node='n'/>",
        "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>phone</resource></bind>",
        "<delay xmlns='urn:xmpp:delay' from='chat.test' stamp='2026-01-01T00:00:00Z'>x</delay>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='chat.test' id='x'/>",
        "<query xmlns='urn:xmpp:mam:2' queryid='q'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field><field var='with'><value>ben@chat.test</value></field><field var='start'><value>2026-01-01T00:00:00Z</value></field></x><set xmlns='http://jabber.org/protocol/rsm'><max>5</max><before/></set><flip-page/></query>",
        "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='ids'><value>AAAAAAAAAAAAAAAAAAAAAA</value></field><field var='after-id'><value>AaIDIKJiAACNznUGm0I9rw</value></field></x></query>",
        "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>3</max><after>AaIDIKJiAACNznUGm0I9rw</after><index>1</index></set></query>",
        "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>ben@chat.test</jid></always><never><jid>watcher@chat.test/pc</jid></never></prefs>",
        "<metadata xmlns='urn:xmpp:mam:2'/>",
        "<retract xmlns='urn:xmpp:message-retract:1' id='i5'/>",
        "<replace xmlns='urn:xmpp:message-correct:0' id='i5'/>",
        "<priority>5</priority>",
        "<show>away</show>",
    ]))
    .to_owned();
    for _ in 0..dice.below(4) {
        // Not the namespace: what is in none of them is somebody else's.
        let attributes: Vec<usize> = text.match_indices("='").map(|(at, _)| at).skip(1).collect();
        match dice.below(5) {
            0 | 1 if !attributes.is_empty() => {
                let at = *dice.pick(&attributes);
                let end = at + 2 + text[at + 2..].find('\'').expect("its other quote");
                let begin = text[..at]
                    .rfind(' ')
                    .expect("white space before an attribute");
                match dice.below(2) {
                    0 => text.replace_range(begin..=end, ""),
                    _ => text.replace_range(at + 2..end, dice.pick::<&str>(&VALUES)),
                }
            }
            2 => {
                // Something more behind the first start tag that is not empty.
                let behind = text
                    .match_indices('>')
                    .map(|(at, _)| at + 1)
                    .find(|at| !text[..*at].ends_with("/>") && *at < text.len());
                if let Some(at) = behind {
                    let mut more = String::new();
                    child(dice, namespaces, 1, &mut more);
                    text.insert_str(at, &more);
                }
            }
            3 => {
                let twice = text.clone();
                text.push_str(&twice);
            }
            _ => {
                for name in ["Ben", "anna", "secret", "phone", ">5<", ">a<"] {
                    let other = match name.starts_with('>') {
                        true => format!(">{}<", dice.pick::<&str>(&VALUES)),
                        false => (*dice.pick::<&str>(&VALUES)).to_owned(),
                    };
                    text = text.replace(name, &other);
                }
            }
        }
    }
    text
}

/// One child that a handler may look for, with what it does not expect inside.
fn child(dice: &mut Dice, namespaces: &[(String, String)], depth: usize, out: &mut String) {
    let names = [
        "query",
        "item",
        "group",
        "username",
        "password",
        "remove",
        "body",
        "subject",
        "thread",
        "delay",
        "stanza-id",
        "priority",
        "show",
        "status",
        "x",
        "error",
        "ping",
        "resource",
        "store",
        "no-store",
        "active",
        "time",
        "vCard",
        "jid",
    ];
    let (space, name) = dice.pick(namespaces);
    let name = match depth {
        0 if dice.below(5) > 0 => name.as_str(),
        // What most handlers look for.
        1 if dice.below(2) == 0 => "item",
        _ => *dice.pick(&names),
    };
    let prefix = if dice.below(6) == 0 { "p:" } else { "" };
    out.push_str(&format!("<{prefix}{name}"));
    if !prefix.is_empty() {
        out.push_str(&format!(" xmlns:p='{space}'"));
    } else if depth == 0 || dice.below(4) == 0 {
        out.push_str(&format!(" xmlns='{space}'"));
    }
    let mut used = HashSet::new();
    for _ in 0..dice.below(4) {
        let attribute = *dice.pick(&[
            "jid",
            "name",
            "subscription",
            "ask",
            "approved",
            "node",
            "by",
            "from",
            "id",
            "stamp",
            "type",
            "var",
        ]);
        if used.insert(attribute) {
            let value = *dice.pick(&VALUES);
            out.push_str(&format!(" {attribute}='{value}'"));
        }
    }
    out.push('>');
    for _ in 0..dice.below(4) {
        match dice.below(4) {
            0 if depth < 6 => child(dice, namespaces, depth + 1, out),
            1 => out.push_str(&format!(
                "<username>{}</username>",
                *dice.pick(&["anna", "ben", "new", "\u{130}"])
            )),
            2 => out.push_str("<![CDATA[<&>]]>"),
            _ => out.push_str(dice.pick::<&str>(&VALUES)),
        }
    }
    if dice.below(40) == 0 {
        out.push_str(&"x".repeat(9000));
    }
    out.push_str(&format!("</{prefix}{name}>"));
}
