//! Rows 6 to 10 and 36: who is in, and as whom.

use crate::host::{HEADER, Host};
use crate::scram;
use crate::stage::*;

#[test]
fn hole_06_injection_before_tls() {
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    for behind in ["<presence/>", HEADER, " ", "<", BIND] {
        let mut host = host();
        let far = host.connect(false);
        host.send(far, HEADER);
        host.send(far, &format!("{starttls}{behind}"));
        let answer = host.sent(far);
        assert!(host.is_closed(far), "{behind:?} survived the handshake");
        assert!(
            !answer.contains("<mechanisms") && !answer.contains("not-authorized"),
            "{answer}"
        );
    }
    // What was said before TLS is forgotten: the stream is a new one (RFC 6120 §5.4.3.3).
    let mut host = host();
    let far = host.connect(false);
    let before = host.ask(far, HEADER);
    host.send(far, starttls);
    host.sent(far);
    let answer = host.ask(far, BIND);
    assert!(
        answer.contains("<stream:error>") && host.is_closed(far),
        "{answer}"
    );
    assert!(before.contains("<starttls"));

    // Behind a login, what comes before the new header was sent by nobody.
    let plain = snug::auth::encode("\0anna\0secret");
    for behind in [
        "<presence/>",
        BIND,
        "<message to='ben@chat.test'><body>x</body></message>",
    ] {
        let ben = host.go_online("ben", "pc");
        let far = host.connect(true);
        host.send(far, HEADER);
        let answer = host.ask(
            far,
            &format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>{behind}"),
        );
        assert!(answer.contains("<success"), "{answer}");
        assert!(host.is_closed(far), "{behind} was taken");
        assert!(!answer.contains("<jid>"), "{answer}");
        assert_eq!(host.sent(ben), "");
        host.forget(ben);
    }
}

#[test]
fn hole_07_tls_is_required() {
    let mut host = host();
    let plain = snug::auth::encode("\0anna\0secret");
    let far = host.connect(false);
    let features = host.ask(far, HEADER);
    assert!(features.contains("<required/>"), "{features}");
    for word in ["mechanism", "bind", "compress", "register", "session"] {
        assert!(
            !features.contains(word),
            "{word} is offered without TLS: {features}"
        );
    }
    host.forget(far);
    for early in [
        format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>"),
        format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>biwsbj1hbm5hLHI9YWJj</auth>"),
        format!("<response xmlns='{SASL}'/>"),
        "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>"
            .to_owned(),
        BIND.to_owned(),
        ROSTER_GET.to_owned(),
        "<iq type='get' id='x'><query xmlns='jabber:iq:register'/></iq>".to_owned(),
        "<message to='ben@chat.test'><body>x</body></message>".to_owned(),
        "<presence/>".to_owned(),
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>".to_owned(),
    ] {
        let far = host.connect(false);
        host.send(far, HEADER);
        let answer = host.ask(far, &early);
        assert!(
            has(&answer, "policy-violation") || has(&answer, "not-authorized"),
            "{early}\n{answer}"
        );
        assert!(host.is_closed(far), "{early}");
        assert!(
            !answer.contains("<success") && !answer.contains("<challenge"),
            "{early}\n{answer}"
        );
        host.forget(far);
    }
    assert_eq!(host.engine.sessions().count(), 0);
}

#[test]
fn hole_08_authzid_is_not_authcid() {
    let mut host = host();
    for (authzid, fine) in [
        ("", true),
        ("anna@chat.test", true),
        ("ben", false),
        ("ben@chat.test", false),
        ("ben@chat.test/phone", false),
        ("anna@other.test", false),
        ("chat.test", false),
        ("nobody@chat.test", false),
    ] {
        let far = stranger(&mut host);
        let plain = snug::auth::encode(format!("{authzid}\0anna\0secret"));
        let answer = host.ask(
            far,
            &format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>"),
        );
        assert_eq!(
            answer.contains("<success"),
            fine,
            "PLAIN {authzid:?}: {answer}"
        );
        assert_eq!(
            answer.contains("<invalid-authzid/>"),
            !fine,
            "PLAIN {authzid:?}: {answer}"
        );
        host.forget(far);

        let far = stranger(&mut host);
        let mut client = scram::Client::new("SCRAM-SHA-256", "anna", "secret", "abcdefgh");
        if !authzid.is_empty() {
            client = client.acting_as(authzid);
        }
        let (_, answer) = scram_login(&mut host, far, client);
        assert_eq!(
            answer.contains("<success"),
            fine,
            "SCRAM {authzid:?}: {answer}"
        );
        assert_eq!(
            answer.contains("<invalid-authzid/>"),
            !fine,
            "SCRAM {authzid:?}: {answer}"
        );
        if fine {
            host.send(far, HEADER);
            let answer = host.ask(far, BIND);
            assert!(answer.contains("<jid>anna@chat.test/"), "{answer}");
        }
        host.forget(far);
    }
}

#[test]
fn hole_09_another_host_after_login() {
    for other in [
        "other.test",
        "rooms.chat.test",
        "chat.test.evil",
        "ben@chat.test",
        "chat.test/x",
        "",
    ] {
        let mut host = host();
        let far = stranger(&mut host);
        let plain = snug::auth::encode("\0anna\0secret");
        host.send(
            far,
            &format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>"),
        );
        host.sent(far);
        let answer = host.ask(far, &HEADER.replace("chat.test", other));
        assert!(
            has(&answer, "host-unknown") || has(&answer, "improper-addressing"),
            "{other}: {answer}"
        );
        assert!(
            host.is_closed(far) && !answer.contains("<bind"),
            "{other}: {answer}"
        );
        host.send(far, BIND);
        assert_eq!(host.engine.sessions().count(), 0);
    }
    let mut host = host();
    let far = host.authenticate("anna", "secret");
    host.sent(far);
    let answer = host.ask(far, BIND);
    assert!(answer.contains("<jid>anna@chat.test/"), "{answer}");
}

#[test]
fn hole_10_states_before_login() {
    let elements = [
        BIND.to_owned(),
        ROSTER_GET.to_owned(),
        "<message to='ben@chat.test' type='chat'><body>x</body></message>".to_owned(),
        "<message from='anna@chat.test/phone' to='ben@chat.test' type='chat'><body>x</body></message>".to_owned(),
        "<presence/>".to_owned(),
        "<presence to='ben@chat.test' type='subscribe'/>".to_owned(),
        "<iq type='set' id='x'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>".to_owned(),
        "<iq type='get' id='x' to='chat.test'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>".to_owned(),
        "<iq type='get' id='x' to='ben@chat.test/pc'><query xmlns='jabber:iq:version'/></iq>".to_owned(),
        "<iq type='set' id='x' from='anna@chat.test'><query xmlns='jabber:iq:register'><username>anna</username><password>stolen</password></query></iq>".to_owned(),
        "<iq type='set' id='x' from='anna@chat.test'><query xmlns='jabber:iq:register'><remove/></query></iq>".to_owned(),
        "<iq type='set' id='x'><query xmlns='jabber:iq:register'><username>new</username><password>x</password></query></iq>".to_owned(),
        "<iq type='set' id='x'><query xmlns='jabber:iq:auth'><username>anna</username><resource>x</resource></query></iq>".to_owned(),
        "<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>".to_owned(),
        "<enable xmlns='urn:xmpp:sm:3'/>".to_owned(),
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='ANONYMOUS'/>".to_owned(),
        format!("<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>"),
        format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>"),
        format!("<success xmlns='{SASL}'/>"),
        format!("<response xmlns='{SASL}'/>"),
        format!("<response xmlns='{SASL}'>=</response>"),
        "<handshake xmlns='jabber:component:accept'>x</handshake>".to_owned(),
        "<x xmlns='jabber:server:dialback'/>".to_owned(),
    ];
    // A login that is half done, of a name that exists.
    let half = |host: &mut Host| {
        let far = stranger(host);
        let client = scram::Client::new("SCRAM-SHA-256", "anna", "secret", "abcdefgh");
        let first = snug::auth::encode(client.first());
        host.send(
            far,
            &format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{first}</auth>"),
        );
        assert!(host.sent(far).contains("<challenge"));
        far
    };
    let failed = |host: &mut Host| {
        let far = stranger(host);
        let wrong = snug::auth::encode("\0anna\0wrong");
        host.send(
            far,
            &format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{wrong}</auth>"),
        );
        assert!(host.sent(far).contains("<not-authorized/>"));
        far
    };
    type Reach<'a> = &'a dyn Fn(&mut Host) -> u32;
    let states: [(&str, Reach); 4] = [
        ("no TLS", &|host| {
            let far = host.connect(false);
            host.send(far, HEADER);
            host.sent(far);
            far
        }),
        ("TLS", &|host| stranger(host)),
        ("half a login", &half),
        ("a failed login", &failed),
    ];
    for (state, make) in states {
        let mut host = host();
        let ben = host.go_online("ben", "pc");
        for element in &elements {
            let far = make(&mut host);
            let answer = host.ask(far, element);
            let refused = answer.contains("<stream:error>")
                || answer.contains(&format!("<failure xmlns='{SASL}'>"))
                || answer.contains("type='error'");
            assert!(refused, "{state}: {element}\n{answer}");
            assert!(
                !answer.contains("type='result'")
                    && !answer.contains("<success")
                    && !answer.contains("<jid>"),
                "{state}: {element}\n{answer}"
            );
            // And what comes behind it is no more than a stranger's either.
            host.send(far, HEADER);
            host.send(far, BIND);
            assert!(!host.sent(far).contains("<jid>"), "{state}: {element}");
            assert_eq!(host.engine.sessions().count(), 1, "{state}: {element}");
            assert_eq!(host.sent(ben), "", "{state}: {element}");
            host.forget(far);
        }
        assert!(
            host.engine
                .store
                .account("new")
                .expect("the store reads")
                .is_none()
        );
        let far = host.log_in("anna", "phone");
        host.forget(far);
    }
    // Logged in and not bound: nothing but binding.
    let mut host = host();
    let ben = host.go_online("ben", "pc");
    for element in elements.iter().skip(1) {
        let far = host.authenticate("anna", "secret");
        host.sent(far);
        let answer = host.ask(far, element);
        // XEP-0198 §3, §5: there is nothing to resume, but a resource may still be bound.
        let refused = match element.contains("urn:xmpp:sm:3") {
            true => answer.contains("<failed ") && !answer.contains("<resumed "),
            false => answer.contains("<stream:error>") && host.is_closed(far),
        };
        assert!(refused, "{element}\n{answer}");
        assert_eq!(host.engine.sessions().count(), 1, "{element}");
        assert_eq!(host.sent(ben), "", "{element}");
        host.forget(far);
    }
}

#[test]
fn hole_36_passwords_of_others() {
    let (mut host, anna, ben) = anna_and_ben();
    let keys = |host: &Host, name: &str| {
        host.engine
            .store
            .account(name)
            .expect("the store reads")
            .map(|account| (account.sha1, account.sha256))
    };
    let (annas, bens) = (keys(&host, "anna"), keys(&host, "ben"));
    for (username, to) in [
        ("ben", ""),
        ("ben", " to='chat.test'"),
        ("BEN", ""),
        ("b&#101;n", ""),
        ("\u{ff42}en", ""),
        ("nobody", ""),
        ("ben", " to='anna@chat.test'"),
    ] {
        let answer = host.ask(anna, &format!("<iq type='set' id='x'{to}><query xmlns='jabber:iq:register'><username>{username}</username><password>stolen</password></query></iq>"));
        assert!(has(&answer, "forbidden"), "{username}: {answer}");
    }
    for request in [
        "<iq type='set' id='x' to='ben@chat.test'><query xmlns='jabber:iq:register'><username>ben</username><password>stolen</password></query></iq>",
        "<iq type='set' id='x' to='ben@chat.test'><query xmlns='jabber:iq:register'><remove/></query></iq>",
        "<iq type='set' id='x'><query xmlns='jabber:iq:register'><remove/><username>ben</username></query></iq>",
        "<iq type='set' id='x' to='nobody@chat.test'><query xmlns='jabber:iq:register'><remove/></query></iq>",
    ] {
        let answer = host.ask(anna, request);
        assert!(answer.contains("type='error'"), "{request}\n{answer}");
    }
    assert!(
        keys(&host, "anna") == annas && keys(&host, "ben") == bens,
        "a password was changed"
    );
    assert!(keys(&host, "nobody").is_none());
    assert!(!host.is_closed(ben));

    // One's own: every other session ends, this one goes on, and the old password is worth nothing.
    let tablet = host.go_online("anna", "tablet");
    let half = host.authenticate("anna", "secret");
    host.sent(half);
    let answer = host.ask(anna, "<iq type='set' id='own' to='chat.test'><query xmlns='jabber:iq:register'><username>anna</username><password>better</password></query></iq>");
    assert!(answer.contains("type='result'"), "{answer}");
    assert!(
        !host.is_closed(anna) && host.is_closed(tablet),
        "the other session lives"
    );
    assert!(keys(&host, "ben") == bens && keys(&host, "anna") != annas);
    let answer = host.ask(half, BIND);
    assert!(
        !answer.contains("<jid>"),
        "a login with the old password is bound: {answer}"
    );
    for (password, fine) in [("secret", false), ("better", true)] {
        let far = host.authenticate("anna", password);
        assert_eq!(host.sent(far).contains("<success"), fine, "{password}");
    }
}
