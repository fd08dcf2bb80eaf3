//! Rows 25 to 28: too much of something.

use crate::allocator;
use crate::host::{HEADER, Host};
use crate::stage::*;
use snug::limits;
use std::net::IpAddr;

#[test]
fn hole_25_brute_force() {
    let wrong = snug::auth::encode("\0anna\0wrong");
    let guess = format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{wrong}</auth>");
    // Three tries on a stream.
    let mut host = host();
    let far = stranger(&mut host);
    for _ in 0..limits::LOGIN_TRIES {
        assert!(!host.is_closed(far));
        host.send(far, &guess);
    }
    let answer = host.sent(far);
    assert_eq!(
        answer.matches("<not-authorized/>").count(),
        usize::from(limits::LOGIN_TRIES)
    );
    assert!(
        has(&answer, "policy-violation") && host.is_closed(far),
        "{answer}"
    );

    // How many guesses one gets answered in five minutes, with a new connection for each.
    let guesses = |host: &mut Host,
                   address: &dyn Fn(u64) -> IpAddr,
                   account: &dyn Fn(u64) -> String| {
        let begin = host.now().mono_ms;
        let mut answered = 0;
        while host.now().mono_ms - begin < 300_000 && answered < 1000 {
            let far = host.connect_from(&address(answered).to_string(), Some(crate::host::tls()));
            host.send(far, HEADER);
            host.sent(far);
            let plain = snug::auth::encode(format!("\0{}\0wrong", account(answered)));
            host.send(
                far,
                &format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>"),
            );
            for _ in 0..30 {
                if host.sent(far).contains("<not-authorized/>") {
                    answered += 1;
                    break;
                }
                host.pass(1);
            }
            host.forget(far);
        }
        answered
    };
    let one = |_: u64| IpAddr::from([192, 168, 1, 66]);
    let many = |n: u64| IpAddr::from([10, 0, (n / 250) as u8, (n % 250) as u8]);
    let household = |n: u64| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n as u16]);
    let anna = |_: u64| "anna".to_owned();
    let anybody = |n: u64| format!("user{n}");
    for (what, count) in [
        (
            "one address, one account",
            guesses(&mut fresh(), &one, &anna),
        ),
        (
            "one address, many accounts",
            guesses(&mut fresh(), &one, &anybody),
        ),
        (
            "many addresses, one account",
            guesses(&mut fresh(), &many, &anna),
        ),
        (
            "one /64, many accounts",
            guesses(&mut fresh(), &household, &anybody),
        ),
    ] {
        println!("{what}: {count} guesses in 300 s");
        assert!(
            (10..60).contains(&count),
            "{what}: {count} guesses in 300 s"
        );
    }
    // Delay, not lock-out: whoever knows the password gets in at once, all through the attack.
    let mut host = fresh();
    guesses(&mut host, &many, &anna);
    let begin = host.now().mono_ms;
    host.log_in("anna", "phone");
    assert!(host.now().mono_ms - begin < 1000, "anna is locked out");
}

#[test]
fn hole_26_stanza_flood() {
    let mut host = fresh();
    let anna = host.go_online("anna", "phone");
    let ben = host.go_online("ben", "pc");
    host.sent(anna);
    let body = "x".repeat(900);
    let count = 1500;
    let flood: String = (0..count)
        .map(|n| {
            format!(
                "<message to='ben@chat.test' type='chat' id='n{n}'><body>{body}</body></message>"
            )
        })
        .collect();
    host.send(anna, &flood);
    let mut got = host.sent(ben);
    let at_once = got.matches("<message").count();
    assert!(
        (300..900).contains(&at_once),
        "{at_once} of {count} messages went through at once"
    );
    // Others are not slowed down.
    still_chats(&mut host, ben, anna, "anna@chat.test");
    let mut seconds = 0;
    while got.matches("<message").count() < count && seconds < 300 {
        host.pass(1);
        seconds += 1;
        got.push_str(&host.sent(ben));
    }
    // 20 kB a second above the burst of 512 KiB, and nothing is lost or changes its place.
    assert!(
        (30..80).contains(&seconds),
        "{count} messages took {seconds} s"
    );
    let order: Vec<String> = got
        .split(" id='n")
        .skip(1)
        .map(|rest| rest.split('\'').next().expect("an id").to_owned())
        .collect();
    assert_eq!(order, (0..count).map(|n| n.to_string()).collect::<Vec<_>>());

    // Presence costs more than its bytes: it reaches many.
    let mut host = fresh();
    let anna = host.go_online("anna", "phone");
    host.send(anna, &"<presence><show>away</show></presence>".repeat(4000));
    let broadcast = host.sent(anna).matches("<presence").count();
    assert!(broadcast < 2000, "{broadcast} presences at once");
}

#[test]
fn hole_27_strangers_have_thirty_seconds() {
    let mut host = host();
    let silent = host.connect(true);
    let slow = host.connect(true);
    let busy = host.connect(false);
    let known = host.authenticate("anna", "secret");
    host.send(busy, HEADER);
    let mut bytes = HEADER.bytes().cycle();
    for second in 0..29 {
        // One byte a second, and a keepalive a second, are no reason to wait longer.
        host.bytes(slow, &[bytes.next().expect("endless")]);
        host.bytes(busy, b" ");
        host.bytes(known, b"\n");
        host.pass(1);
        for far in [silent, slow, busy, known] {
            assert!(!host.is_closed(far), "after {second} s");
        }
    }
    host.pass(3);
    for (name, far) in [
        ("silent", silent),
        ("slow", slow),
        ("busy", busy),
        ("not bound", known),
    ] {
        assert!(host.is_closed(far), "the {name} one is still there");
        assert!(has(&host.sent(far), "connection-timeout"));
        host.forget(far);
    }
    assert_eq!(host.engine.streams().count(), 0);
}

#[test]
fn hole_28_a_reader_that_does_not_read() {
    let (mut host, anna, ben) = anna_and_ben();
    host.account("carl", "secret");
    let carl = host.go_online("carl", "pc");
    host.deaf.push(ben);
    let message = format!(
        "<message to='ben@chat.test' type='chat'><body>{}</body></message>",
        "x".repeat(1000)
    );
    for _ in 0..1000 {
        host.send(anna, &message);
    }
    // The shell sees what waits and ends it (`net/lines.rs`); the engine counts truthfully and keeps nothing besides.
    let queued = host.engine.queued(host.conn(ben));
    assert!(
        (1_000_000..1_300_000).contains(&queued),
        "{queued} bytes wait"
    );
    still_chats(&mut host, anna, carl, "carl@chat.test");
    let base = allocator::live();
    let conn = host.conn(ben);
    host.drop_connection(ben);
    let freed = base - allocator::live();
    assert!(
        freed >= queued as isize,
        "{freed} of {queued} bytes were freed"
    );
    assert_eq!(host.engine.queued(conn), 0);
    host.send(anna, &message);
    assert_eq!(host.stray_bytes, 0);
}
