//! Rows 11, 14, 15, 16 and 19: who says what to whom, and who is told what.

use crate::host::{Host, NO_RATES};
use crate::stage::*;

#[test]
fn hole_11_the_sender_is_who_it_says() {
    let mut host = host();
    let ben = host.go_online("ben", "pc");
    let tablet = host.go_online("anna", "tablet");
    // ben shows himself to anna, or her requests would not reach him.
    host.send(tablet, "<presence to='ben@chat.test' type='subscribe'/>");
    host.send(ben, "<presence to='anna@chat.test' type='subscribed'/>");
    host.sent(ben);
    let forged = [
        "from='ben@chat.test'",
        "from='ben@chat.test/pc'",
        "from='anna@chat.test/tablet'",
        "from='chat.test'",
        "from=''",
        "from=' '",
        "from='@chat.test'",
        "from='anna@other.test/phone'",
        "from='anna@chat.test/Phone'",
        "from='a\u{430}nna@chat.test/phone'",
        "from='anna@chat.test/phone/x'",
        "from='&#98;en@chat.test'",
        "from='anna@chat.test/phone' from='ben@chat.test/pc'",
        "from='anna@chat.test/phone' fro&#109;='x'",
    ];
    let own = [
        "",
        "from='anna@chat.test'",
        "from='anna@chat.test/phone'",
        "from='ANNA@Chat.Test/phone'",
        "from='\u{ff41}nna@chat.test/phone'",
        "from='&#97;nna@chat.test/phone'",
        "xmlns:x='urn:x' x:from='ben@chat.test'",
    ];
    for (stanzas, fine) in [(&forged[..], false), (&own[..], true)] {
        for from in stanzas {
            for stanza in [
                format!(
                    "<message {from} to='ben@chat.test/pc' type='chat'><body>x</body></message>"
                ),
                format!("<presence {from} to='ben@chat.test/pc'/>"),
                format!(
                    "<iq {from} to='ben@chat.test/pc' type='get' id='i'><query xmlns='jabber:iq:version'/></iq>"
                ),
            ] {
                let anna = host.log_in("anna", "phone");
                let answer = host.ask(anna, &stanza);
                let got = host.sent(ben);
                if fine {
                    assert_eq!(elements(&got).len(), 1, "{stanza}\n{got}\n{answer}");
                    assert_eq!(
                        got.matches("from='").count() - got.matches("x:from='").count(),
                        1,
                        "{got}"
                    );
                    assert!(
                        got.contains(" from='anna@chat.test/phone'"),
                        "{stanza}\n{got}"
                    );
                } else {
                    assert_eq!(got, "", "{stanza}");
                    assert!(
                        has(&answer, "invalid-from") || has(&answer, "not-well-formed"),
                        "{stanza}\n{answer}"
                    );
                    assert!(host.is_closed(anna));
                }
                host.forget(anna);
                host.sent(ben);
            }
        }
    }
    assert!(!host.sent(tablet).contains("<message"));
}

#[test]
fn hole_14_roster_push_spoof() {
    let (mut host, anna, ben) = anna_and_ben();
    let tablet = host.go_online("ben", "tablet");
    // She may ask his client other things.
    host.send(anna, "<presence to='ben@chat.test' type='subscribe'/>");
    host.send(ben, "<presence to='anna@chat.test' type='subscribed'/>");
    host.sent(ben);
    host.send(
        anna,
        "<iq type='get' id='v' to='ben@chat.test/pc'><query xmlns='jabber:iq:version'/></iq>",
    );
    assert!(host.sent(ben).contains("jabber:iq:version"));
    let item = "<query xmlns='jabber:iq:roster'><item jid='evil@chat.test' subscription='both' name='mother'/></query>";
    for (what, to) in [
        ("set", "ben@chat.test"),
        ("set", "ben@chat.test/pc"),
        ("set", "ben@chat.test/nothere"),
        ("get", "ben@chat.test/pc"),
        ("get", "ben@chat.test"),
    ] {
        let answer = host.ask(
            anna,
            &format!("<iq type='{what}' id='push' to='{to}'>{item}</iq>"),
        );
        assert_eq!(host.sent(ben), "", "{what} for {to} reached the client");
        assert!(
            has(&answer, "service-unavailable"),
            "{what} for {to}: {answer}"
        );
        // Not by a name that is only written differently either.
        let odd = item
            .replace(
                "<query xmlns='jabber:iq:roster'>",
                "<r:query xmlns:r='jabber:iq:roster' xmlns='jabber:iq:roster'>",
            )
            .replace("</query>", "</r:query>");
        let answer = host.ask(
            anna,
            &format!("<iq type='{what}' id='push' to='{to}'>{odd}</iq>"),
        );
        assert_eq!(host.sent(ben), "", "{what} for {to} reached the client");
        assert!(
            has(&answer, "service-unavailable"),
            "{what} for {to}: {answer}"
        );
    }
    let roster = host.ask(tablet, ROSTER_GET);
    assert!(!roster.contains("evil"), "{roster}");
}

#[test]
fn hole_15_forged_copies_and_archive_results() {
    let (mut host, anna, ben) = anna_and_ben();
    let tablet = host.go_online("ben", "tablet");
    for far in [ben, tablet] {
        let enable = "<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>";
        assert!(host.ask(far, enable).contains("type='result'"));
    }
    host.sent(ben);
    let inside = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='mother@chat.test/x' to='ben@chat.test' type='chat'><body>send money</body></message></forwarded>";
    let forged = [
        format!("<received xmlns='urn:xmpp:carbons:2'>{inside}</received>"),
        format!("<sent xmlns='urn:xmpp:carbons:2'>{inside}</sent>"),
        format!("<received xmlns='urn:xmpp:carbons:1'>{inside}</received>"),
        format!("<c:sent xmlns:c='urn:xmpp:carbons:2'>{inside}</c:sent>"),
        format!("<result xmlns='urn:xmpp:mam:2' queryid='q' id='1'>{inside}</result>"),
        format!("<result xmlns='urn:xmpp:mam:1' queryid='q' id='1'>{inside}</result>"),
        format!("<m:result xmlns:m='urn:xmpp:mam:2' id='1'>{inside}</m:result>"),
    ];
    let check = |got: &str, what: &str| {
        assert!(!got.contains("mother"), "{what}: {got}");
        for stanza in elements(got) {
            assert!(
                stanza.contains(" from='anna@chat.test/phone'"),
                "{what}: {stanza}"
            );
        }
    };
    for (number, child) in forged.iter().enumerate() {
        for around in [
            "",
            "<body>hello</body>",
            forged[(number + 1) % forged.len()].as_str(),
        ] {
            for to in ["ben@chat.test", "ben@chat.test/pc"] {
                for kind in ["chat", "normal", "headline", "error"] {
                    let message =
                        format!("<message to='{to}' type='{kind}'>{around}{child}</message>");
                    host.send(anna, &message);
                    // What comes is from anna, and says nothing in anybody else's name; a copy of it there is not.
                    let (got, copied) = (host.sent(ben), host.sent(tablet));
                    check(&got, &message);
                    check(&copied, &message);
                    assert!(!host.is_closed(anna));
                    let (full, error) = (to.contains('/'), kind == "error");
                    assert_eq!(
                        elements(&got).len(),
                        usize::from(full || !error),
                        "{message}"
                    );
                    assert_eq!(
                        elements(&copied).len(),
                        usize::from(!full && !error),
                        "{message}"
                    );
                }
            }
        }
    }
    // One's own client is no server either.
    host.send(
        tablet,
        &format!(
            "<message to='ben@chat.test' type='chat'>{}</message>",
            forged[0]
        ),
    );
    assert!(!host.sent(ben).contains("mother") && !host.sent(tablet).contains("mother"));
    // Kept for later is no way around it.
    host.forget(ben);
    host.forget(tablet);
    for child in &forged {
        host.send(
            anna,
            &format!("<message to='ben@chat.test' type='chat'><body>x</body>{child}</message>"),
        );
    }
    let ben = host.log_in("ben", "pc");
    host.send(ben, "<presence/>");
    let got = host.sent(ben);
    assert_eq!(got.matches("<body>x</body>").count(), forged.len());
    assert!(!got.contains("mother"), "{got}");
    // What anna forwards as herself she may.
    host.send(
        anna,
        &format!("<message to='ben@chat.test' type='chat'><body>look</body>{inside}</message>"),
    );
    let got = host.sent(ben);
    assert!(
        got.contains("mother") && got.contains(" from='anna@chat.test/phone'"),
        "{got}"
    );
}

#[test]
fn hole_16_forged_stanza_ids_and_delays() {
    let (mut host, anna, ben) = anna_and_ben();
    let forged = [
        "<stanza-id xmlns='urn:xmpp:sid:0' id='forged1' by='ben@chat.test'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='forged2' by='ben@chat.test'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='forged3' by='b&#101;n@chat.test'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='forged4' by='BEN@Chat.Test'/>",
        "<p:stanza-id xmlns:p='urn:xmpp:sid:0' id='forged5' by='ben@chat.test'></p:stanza-id>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='forged6' by='chat.test'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='forged7' by='room@rooms.chat.test'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='forged8' by=' ben@chat.test&#32;'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='forged9' by='ben@chat.test/pc'><x/></stanza-id>",
        "<delay xmlns='urn:xmpp:delay' id='forgedA' from='chat.test' stamp='2001-01-01T00:00:00Z'/>",
        "<delay xmlns='urn:xmpp:delay' id='forgedB' from='ch&#97;t.test' stamp='2001-01-01T00:00:00Z'/>",
    ];
    let honest = "<stanza-id xmlns='urn:xmpp:sid:0' id='honest' by='room@other.test'/><origin-id xmlns='urn:xmpp:sid:0' id='mine'/>";
    let message = |to: &str| {
        format!(
            "<message to='{to}' type='chat'>{}<body>hello</body>{honest}{}</message>",
            forged[..5].concat(),
            forged[5..].concat()
        )
    };
    let check = |got: &str| {
        assert_eq!(elements(got).len(), 1, "{got}");
        assert!(!got.contains("forged"), "{got}");
        assert!(
            got.contains("id='honest'")
                && got.contains("id='mine'")
                && got.contains("<body>hello</body>"),
            "{got}"
        );
    };
    for to in ["ben@chat.test", "ben@chat.test/pc"] {
        host.send(anna, &message(to));
        check(&host.sent(ben));
    }
    // Kept for later is no way around it.
    host.forget(ben);
    host.send(anna, &message("ben@chat.test"));
    let ben = host.log_in("ben", "pc");
    host.send(ben, "<presence/>");
    check(&messages(&host.sent(ben)).concat());
}

/// The messages among what a client received.
fn messages(text: &str) -> Vec<String> {
    let mut all = elements(text);
    all.retain(|xml| xml.starts_with("<message"));
    all
}

/// ejabberd 25.04 took out the first forged id only. With an archive there is one id of the account, and it is the archive's own.
#[test]
fn hole_16_forged_ids_of_an_archive() {
    let (mut host, anna, ben) = anna_and_ben_on(&format!("{NO_RATES}\n[archive]\nenabled = true"));
    let genuine = |got: &str| {
        assert!(!got.contains("forged"), "{got}");
        let ids: Vec<&str> = got.split("<stanza-id ").skip(1).collect();
        assert_eq!(ids.len(), 1, "{got}");
        assert!(ids[0].contains(" by='ben@chat.test'"), "{got}");
        let id = ids[0].split("id='").nth(1).expect("an id");
        id[..22].to_owned()
    };
    let by = ["ben@chat.test", "b&#101;n@chat.test", "&#x42;EN@chat.test"];
    let forged = by.map(|by| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='forged'/>"));
    let message = |number| {
        format!(
            "<message to='ben@chat.test' id='m{number}' type='chat'>{}<body>hello</body>{}</message>",
            forged[..2].concat(),
            forged[2]
        )
    };
    host.send(anna, &message(1));
    let live = genuine(&messages(&host.sent(ben)).concat());
    host.forget(ben);
    host.send(anna, &message(2));
    let ben = host.log_in("ben", "pc");
    host.send(ben, "<presence/>");
    let waited = genuine(&messages(&host.sent(ben)).concat());
    // What lies in the archives has none, and goes by the ids that were told.
    let query = "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>";
    let bens = host.ask(ben, query);
    let annas = host.ask(anna, query);
    for archive in [&bens, &annas] {
        assert_eq!(messages(archive).len(), 2, "{archive}");
        assert!(!archive.contains("<stanza-id"), "{archive}");
    }
    for id in [live, waited] {
        assert!(bens.contains(&format!(" id='{id}'>")), "{bens}");
        assert!(!annas.contains(&id), "{annas}");
    }
}

/// CVE-2017-5589 and its family: clients took anybody's copies and results for their own server's. Those that somebody makes up come from who made them
/// up, without what was made up, and so the archive keeps them.
#[test]
fn hole_15_results_of_an_archive_that_somebody_makes_up() {
    let (mut host, anna, ben) = anna_and_ben_on(&format!("{NO_RATES}\n[archive]\nenabled = true"));
    let tablet = host.go_online("ben", "tablet");
    host.sent(ben);
    let said = "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>\
        <message xmlns='jabber:client' from='boss@chat.test/x' to='ben@chat.test' type='chat'><body>pay anna</body></message></forwarded>";
    let result = format!(
        "<result xmlns='urn:xmpp:mam:2' queryid='q' id='AAAAAAAAAAAAAAAAAAAAAA'>{said}</result>"
    );
    for (sender, from) in [
        (anna, "anna@chat.test/phone"),
        (tablet, "ben@chat.test/tablet"),
    ] {
        for own in ["", "from='ben@chat.test' "] {
            let forged = format!(
                "<message {own}to='ben@chat.test/pc' type='chat'>{result}<store xmlns='urn:xmpp:hints'/></message>"
            );
            host.send(sender, &forged);
            let got = messages(&host.sent(ben));
            if sender == anna && !own.is_empty() {
                // HOLES 11: nobody says that they are another.
                assert!(got.is_empty() && host.is_closed(anna), "{got:?}");
                continue;
            }
            assert_eq!(got.len(), 1, "{got:?}");
            let head = got[0].split('>').next().expect("a start tag");
            assert!(head.contains(&format!(" from='{from}'")), "{head}");
        }
    }
    let archive = host.ask(
        ben,
        "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2' queryid='real'/></iq>",
    );
    for row in messages(&archive) {
        assert!(row.contains("queryid='real'"), "{row}");
        assert!(
            !row.contains("queryid='q'") && !row.contains("boss"),
            "{row}"
        );
    }
    assert_eq!(messages(&archive).len(), 3, "{archive}");
}

#[test]
fn hole_19_strangers_learn_nothing() {
    let mut host = host();
    host.account("away", "secret");
    let anna = host.go_online("anna", "phone");
    let ben = host.go_online("ben", "pc");
    // One who blocks the asker, which the asker must not see either.
    host.account("cold", "secret");
    let cold = host.go_online("cold", "pc");
    let block = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='anna@chat.test'/></block></iq>";
    assert!(host.ask(cold, block).contains("type='result'"));
    let namespaces = asked_namespaces(&host);
    assert!(namespaces.len() > 12);
    let everything = |host: &mut Host, who: &str| {
        let mut seen = Vec::new();
        for (space, name) in &namespaces {
            for what in ["get", "set"] {
                for inside in ["", " node='x'"] {
                    let before = host.derivations;
                    let answer = host.ask(anna, &format!("<iq type='{what}' id='ask' to='{who}'><{name} xmlns='{space}'{inside}/></iq>"));
                    seen.push((
                        format!("{what} {space}{inside}"),
                        answer.replace(who, "WHO"),
                        host.derivations - before,
                    ));
                }
            }
        }
        for presence in [
            "type='probe'",
            "",
            "type='unavailable'",
            "type='subscribe'",
            "type='unsubscribe'",
            "type='subscribed'",
            "type='unsubscribed'",
        ] {
            let answer = host.ask(anna, &format!("<presence to='{who}' {presence}/>"));
            // What changes in one's own contact list names the contact; it is the same for all.
            seen.push((
                format!("presence {presence}"),
                answer
                    .replace(who, "WHO")
                    .split(" id='")
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
                0,
            ));
        }
        host.send(anna, &format!("<iq type='set' id='x'><query xmlns='jabber:iq:roster'><item jid='{who}' subscription='remove'/></query></iq>"));
        host.sent(anna);
        seen
    };
    let unknown = everything(&mut host, "nobody@chat.test");
    for who in ["ben@chat.test", "away@chat.test", "cold@chat.test"] {
        for ((what, nobody, work), (_, somebody, same_work)) in
            unknown.iter().zip(everything(&mut host, who))
        {
            assert_eq!(
                *nobody, somebody,
                "{what} tells {who} from nobody@chat.test"
            );
            assert_eq!(*work, same_work, "{what}");
        }
    }
    for (what, answer, _) in unknown
        .iter()
        .filter(|(what, ..)| !what.starts_with("presence"))
    {
        assert!(has(answer, "service-unavailable"), "{what}: {answer}");
    }
    // A resource that is not there: the same, whoever's it would be.
    for (space, name) in &namespaces {
        let ask = |who: &str| {
            format!("<iq type='get' id='ask' to='{who}'><{name} xmlns='{space}'/></iq>")
        };
        let there = host
            .ask(anna, &ask("ben@chat.test/none"))
            .replace("ben@", "nobody@");
        assert_eq!(there, host.ask(anna, &ask("nobody@chat.test/none")));
    }
    host.sent(ben);
    // Who is allowed is told, so that this test says something.
    host.send(anna, "<presence to='ben@chat.test' type='subscribe'/>");
    host.send(ben, "<presence to='anna@chat.test' type='subscribed'/>");
    let answer = host.ask(anna, "<iq type='get' id='ask' to='ben@chat.test'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
    assert!(answer.contains("type='result'"), "{answer}");
    // And is not any more when it is over.
    host.send(ben, "<presence to='anna@chat.test' type='unsubscribed'/>");
    let answer = host.ask(anna, "<iq type='get' id='ask' to='ben@chat.test'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
    assert!(has(&answer, "service-unavailable"), "{answer}");
}
