//! Row 32: sessions that others would like to have, and what they may cost.

use crate::host::Host;
use crate::stage::*;
use snug::limits;

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";

/// Makes a session resumable; its token.
fn enable(host: &mut Host, far: u32) -> String {
    let answer = host.ask(far, ENABLE);
    let from = answer.find("id='").expect("a token") + 4;
    answer[from..]
        .split('\'')
        .next()
        .expect("a token")
        .to_owned()
}

fn resume(host: &mut Host, far: u32, token: &str, h: u32) -> String {
    host.ask(
        far,
        &format!("<resume xmlns='urn:xmpp:sm:3' previd='{token}' h='{h}'/>"),
    )
}

fn logged_in(host: &mut Host, name: &str) -> u32 {
    let far = host.authenticate(name, "secret");
    host.sent(far);
    far
}

fn sessions(host: &Host) -> usize {
    host.engine.sessions().count()
}

#[test]
fn hole_32_resumption_hijack() {
    let (mut host, anna, ben) = anna_and_ben();
    let token = enable(&mut host, anna);
    let message =
        "<message to='anna@chat.test/phone' type='chat'><body>for anna alone</body></message>";
    host.send(ben, message);
    host.drop_connection(anna);
    host.send(ben, message);

    // Tokens are of 128 bits and no two alike; one that is nearly right is worth as little as none.
    let mut seen = std::collections::HashSet::new();
    for number in 0..200 {
        let far = host.log_in("ben", &format!("r{number}"));
        let other = enable(&mut host, far);
        assert!(other.len() >= 22, "{other}");
        assert!(seen.insert(other), "a token came twice");
        host.send(far, "</stream:stream>");
        host.forget(far);
    }
    let thief = logged_in(&mut host, "anna");
    for place in 0..token.len() {
        let mut near = token.clone().into_bytes();
        near[place] = if near[place] == b'A' { b'B' } else { b'A' };
        let near = String::from_utf8(near).expect("ASCII");
        let answer = resume(&mut host, thief, &near, 0);
        assert!(has(&answer, "item-not-found"), "{near}: {answer}");
    }
    host.forget(thief);

    // Whoever is not anna learns nothing from hers, not even that it is there.
    let unknown = {
        let far = logged_in(&mut host, "ben");
        let answer = resume(&mut host, far, "0123456789012345678901", 0);
        host.forget(far);
        answer
    };
    for h in [0, 1, 2, 3, u32::MAX] {
        let far = logged_in(&mut host, "ben");
        let answer = resume(&mut host, far, &token, h);
        assert_eq!(answer, unknown);
        assert!(!answer.contains("for anna alone"));
        host.forget(far);
    }
    let far = stranger(&mut host);
    let answer = resume(&mut host, far, &token, 0);
    assert!(has(&answer, "not-authorized"), "{answer}");
    host.forget(far);
    // Another name that reads alike is another account.
    host.account("anna2", "secret");
    let far = logged_in(&mut host, "anna2");
    assert_eq!(resume(&mut host, far, &token, 0), unknown);
    host.forget(far);

    // It is hers: each stanza comes once more, and once it is acknowledged never again.
    let first = logged_in(&mut host, "anna");
    let answer = resume(&mut host, first, &token, 0);
    assert!(answer.starts_with("<resumed "), "{answer}");
    assert_eq!(answer.matches("for anna alone").count(), 2, "{answer}");
    let second = logged_in(&mut host, "anna");
    let answer = resume(&mut host, second, &token, 1);
    assert_eq!(answer.matches("for anna alone").count(), 1, "{answer}");
    assert!(has(&host.sent(first), "conflict") && host.is_closed(first));
    host.forget(first);
    host.send(second, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    let third = logged_in(&mut host, "anna");
    let answer = resume(&mut host, third, &token, 2);
    assert!(!answer.contains("for anna alone"), "{answer}");
    host.forget(second);

    // What was acknowledged is not handed out again, what was never sent cannot be acknowledged.
    host.drop_connection(third);
    let far = logged_in(&mut host, "anna");
    for h in [0, 1] {
        let answer = resume(&mut host, far, &token, h);
        assert!(has(&answer, "item-not-found"), "{h}: {answer}");
        assert_eq!(sessions(&host), 2);
    }
    let answer = resume(&mut host, far, &token, 3);
    assert!(
        has(&answer, "undefined-condition") && answer.contains("<handled-count-too-high "),
        "{answer}"
    );
    assert!(host.is_closed(far));
    assert_eq!(sessions(&host), 1, "the session lives on a wrong count");
    let far = logged_in(&mut host, "anna");
    let answer = resume(&mut host, far, &token, 2);
    assert!(has(&answer, "item-not-found"), "{answer}");
    still_chats(&mut host, ben, ben, "ben@chat.test");
}

/// What one client does not acknowledge is bounded, and nothing of it is lost: the messages wait.
#[test]
fn hole_32_a_client_that_acknowledges_nothing() {
    let (mut host, anna, ben) = anna_and_ben();
    let token = enable(&mut host, anna);
    let body = "x".repeat(10_000);
    let mut sent = 0;
    while !host.is_closed(anna) && sent < 1000 {
        host.send(
            ben,
            &format!(
                "<message to='anna@chat.test' type='chat' id='{sent}'><body>{body}</body></message>"
            ),
        );
        sent += 1;
    }
    assert!(sent * 10_300 > limits::UNACKED_BYTES && sent * 10_000 < limits::UNACKED_BYTES);
    assert!(has(&host.sent(anna), "resource-constraint"));
    let back = logged_in(&mut host, "anna");
    assert!(has(&resume(&mut host, back, &token, 0), "item-not-found"));
    // The same for one that is away.
    let far = host.log_in("anna", "phone");
    let mut got = host.ask(far, "<presence/>");
    for _ in 0..20 {
        host.pass(1);
        got += &host.sent(far);
    }
    assert_eq!(got.matches("<message").count(), sent);
    let token = enable(&mut host, far);
    host.drop_connection(far);
    for number in 0..sent {
        host.send(
            ben,
            &format!("<message to='anna@chat.test' type='chat' id='{number}'><body>{body}</body></message>"),
        );
    }
    let back = logged_in(&mut host, "anna");
    let answer = resume(&mut host, back, &token, 0);
    assert!(has(&answer, "item-not-found"), "{}", answer.len());
    let id = host.engine.store.account("anna").expect("the store reads");
    let id = id.expect("made above").id;
    let waits = host
        .engine
        .store
        .offline_count(id)
        .expect("the store reads");
    assert_eq!(waits, sent as u64);
    assert_eq!(host.sent(ben), "", "a message was refused");
}

/// All that wait together have their bound: who has waited longest ends first.
#[test]
fn hole_32_many_sessions_that_wait() {
    let mut host = host();
    let ben = host.go_online("ben", "pc");
    let body = "x".repeat(60_000);
    let mut tokens = Vec::new();
    // Sixteen messages a session, a MiB less a little.
    for number in 0..24 {
        let name = format!("user{number}");
        host.account(&name, "secret");
        let far = host.go_online(&name, "phone");
        tokens.push((name.clone(), enable(&mut host, far)));
        host.forget(far);
        for _ in 0..16 {
            host.send(
                ben,
                &format!(
                    "<message to='{name}@chat.test' type='chat'><body>{body}</body></message>"
                ),
            );
        }
    }
    let kept = limits::WAITING_BYTES / (16 * 60_000);
    let alive = sessions(&host) - 1;
    assert!(
        (kept - 2..=kept).contains(&alive),
        "{alive} of 24 sessions wait, {kept} would fit"
    );
    for (place, (name, token)) in tokens.iter().enumerate() {
        let far = logged_in(&mut host, name);
        let answer = resume(&mut host, far, token, 0);
        let oldest = place < 24 - alive;
        assert_eq!(has(&answer, "item-not-found"), oldest, "{place}");
        let got = answer.matches("<message").count();
        assert_eq!(got, if oldest { 0 } else { 16 }, "{place}");
        if oldest {
            let id = host.engine.store.account(name).expect("the store reads");
            let id = id.expect("made above").id;
            assert_eq!(host.engine.store.offline_count(id).expect("it reads"), 16);
        }
        host.forget(far);
    }
}

/// One account has as many sessions as ever; those that only wait give way.
#[test]
fn hole_32_sessions_of_one_account() {
    let mut host = host();
    let mut tokens = Vec::new();
    for number in 0..limits::RESOURCES_PER_ACCOUNT + 5 {
        let far = host.log_in("anna", &format!("r{number}"));
        tokens.push(enable(&mut host, far));
        host.forget(far);
        assert!(sessions(&host) <= limits::RESOURCES_PER_ACCOUNT);
    }
    let far = logged_in(&mut host, "anna");
    for (place, token) in tokens.iter().enumerate().take(6) {
        let answer = resume(&mut host, far, token, 0);
        assert_eq!(
            has(&answer, "item-not-found"),
            place < 5,
            "{place}: {answer}"
        );
    }
    // Those that are there do not.
    let mut host = self::host();
    for number in 0..limits::RESOURCES_PER_ACCOUNT {
        let far = host.log_in("anna", &format!("r{number}"));
        enable(&mut host, far);
    }
    let far = logged_in(&mut host, "anna");
    let answer = host.ask(far, BIND);
    assert!(has(&answer, "resource-constraint"), "{answer}");
}
