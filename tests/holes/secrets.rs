//! Rows 20 to 22: what nobody shall find out.

use crate::host::{HEADER, Host, NO_RATES};
use crate::scram;
use crate::stage::*;
use snug::auth::{ScramKeys, Secret};
use snug::engine::Random;
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What one login shows to somebody who watches from outside: sizes, derived keys, commits, allocations, and how long the answer is held back.
#[derive(Debug, PartialEq)]
struct Outside {
    challenge: (usize, Vec<usize>),
    end: String,
    derivations: usize,
    commits: usize,
    seconds: u64,
}

#[test]
fn hole_20_accounts_cannot_be_counted() {
    let mut host = Host::new("[limits]\nlogin_rate = 3");
    for name in ["anna", "berta"] {
        host.account(name, "secret");
    }
    let mut salts = Vec::new();
    let mut try_scram = |host: &mut Host, name: &str, mechanism: &str| {
        let (commits, derivations) = (host.commits, host.derivations);
        let far = stranger(host);
        let mut client = scram::Client::new(mechanism, name, "wrong", "abcdefgh");
        let first = snug::auth::encode(client.first());
        let answer = host.ask(
            far,
            &format!("<auth xmlns='{SASL}' mechanism='{mechanism}'>{first}</auth>"),
        );
        let challenge = inner(&answer, "challenge")
            .unwrap_or_else(|| panic!("no challenge for {name}: {answer}"));
        let challenge =
            String::from_utf8(snug::auth::decode(&challenge).expect("base64")).expect("text");
        let parts: Vec<&str> = challenge.split(',').collect();
        salts.push((
            name.to_owned(),
            mechanism.to_owned(),
            parts[1].to_owned(),
            parts[2].to_owned(),
        ));
        let last = snug::auth::encode(client.answer(&challenge).expect("a challenge"));
        host.send(far, &format!("<response xmlns='{SASL}'>{last}</response>"));
        let mut seconds = 0;
        let mut end = host.sent(far);
        while end.is_empty() && seconds < 20 {
            host.pass(1);
            seconds += 1;
            end = host.sent(far);
        }
        host.forget(far);
        Outside {
            challenge: (
                challenge.len(),
                parts.iter().map(|part| part.len()).collect(),
            ),
            end,
            commits: host.commits - commits,
            derivations: host.derivations - derivations,
            seconds,
        }
    };
    for mechanism in ["SCRAM-SHA-1", "SCRAM-SHA-256"] {
        // Each name twice, and a minute between the rounds that forgives.
        for round in 0..2 {
            host.pass(61);
            let known = try_scram(&mut host, "anna", mechanism);
            for other in ["berta", "cornelia", "d", "no such name", "e\u{301}mile"] {
                host.pass(61);
                let unknown = try_scram(&mut host, other, mechanism);
                assert_eq!(known, unknown, "{mechanism}, round {round}: {other:?}");
            }
            assert!(known.end.contains("<not-authorized/>"), "{}", known.end);
        }
    }
    // Salts are the same at every try, differ from name to name and from hash to hash, and the rounds are one number.
    let distinct: HashSet<_> = salts.iter().collect();
    assert_eq!(distinct.len(), 12, "{salts:?}");
    assert_eq!(
        salts
            .iter()
            .map(|(.., salt, _)| salt)
            .collect::<HashSet<_>>()
            .len(),
        12,
        "a salt is used twice"
    );
    assert_eq!(
        salts
            .iter()
            .map(|(.., rounds)| rounds)
            .collect::<HashSet<_>>()
            .len(),
        1
    );
    // They do not come from what somebody could compute without the server's own secret.
    let mut elsewhere = Host::new("");
    let (challenge, _) = {
        let far = stranger(&mut elsewhere);
        scram_login(
            &mut elsewhere,
            far,
            scram::Client::new("SCRAM-SHA-256", "cornelia", "wrong", "abcdefgh"),
        )
    };
    let salt = challenge.split(',').nth(1).expect("a salt").to_owned();
    assert!(
        salts.iter().all(|(.., known, _)| *known != salt),
        "two servers have the same salt"
    );

    // PLAIN: the same work, the same answer, after the same time.
    let mut try_plain = |name: &str| {
        host.pass(61);
        let derivations = host.derivations;
        let far = stranger(&mut host);
        let plain = snug::auth::encode(format!("\0{name}\0wrong"));
        let answer = host.ask(
            far,
            &format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>"),
        );
        host.forget(far);
        (answer, host.derivations - derivations)
    };
    let known = try_plain("anna");
    assert_eq!(known.1, 1);
    for other in ["berta", "cornelia", "no such name"] {
        assert_eq!(known, try_plain(other), "{other}");
    }

    // Where registration is open a taken name must be told; asking for many costs as much as guessing passwords.
    let mut host = Host::new("[registration]\nmode = \"open\"\n[limits]\nlogin_rate = 3");
    host.account("anna", "secret");
    let mut waited = 0;
    for number in 0..12 {
        let far = stranger(&mut host);
        host.send(far, "<iq type='set' id='x'><query xmlns='jabber:iq:register'><username>anna</username><password>x</password></query></iq>");
        let mut answer = host.sent(far);
        while answer.is_empty() {
            host.pass(1);
            waited += 1;
            answer = host.sent(far);
            assert!(waited < 200);
        }
        assert!(has(&answer, "conflict"), "{number}: {answer}");
        host.forget(far);
    }
    assert!(waited > 30, "12 taken names were asked for in {waited} s");
}

#[test]
fn hole_21_secrets_compare_in_constant_time() {
    // The time that a comparison takes must not tell where the first difference is: an early exit would make the first of these two a thousand times faster.
    let size = 1 << 18;
    let right = vec![7u8; size];
    let (mut early, mut late) = (right.clone(), right.clone());
    early[0] ^= 1;
    late[size - 1] ^= 1;
    let keys = |stored_key: &[u8]| ScramKeys {
        salt: vec![1],
        iterations: 1,
        stored_key: stored_key.to_vec(),
        server_key: vec![2],
    };
    let (right_keys, early_keys, late_keys) = (keys(&right), keys(&early), keys(&late));
    let secret = Secret::new(right.clone());
    let (early_secret, late_secret) = (Secret::new(early.clone()), Secret::new(late.clone()));
    fn fastest(compare: &dyn Fn() -> bool) -> Duration {
        (0..15)
            .map(|_| {
                let begin = Instant::now();
                assert!(!compare(), "what differs is not the same");
                begin.elapsed()
            })
            .min()
            .expect("some")
    }
    type Comparison<'t> = (&'t str, &'t dyn Fn() -> bool, &'t dyn Fn() -> bool);
    let comparisons: [Comparison<'_>; 4] = [
        (
            "same_in_constant_time",
            &|| snug::auth::same_in_constant_time(&right, &early),
            &|| snug::auth::same_in_constant_time(&right, &late),
        ),
        ("Secret ==", &|| secret == early_secret, &|| {
            secret == late_secret
        }),
        ("Secret::matches", &|| secret.matches(&early), &|| {
            secret.matches(&late)
        }),
        ("ScramKeys ==", &|| right_keys == early_keys, &|| {
            right_keys == late_keys
        }),
    ];
    for (name, early, late) in comparisons {
        let (early, late) = (fastest(early), fastest(late));
        assert!(
            early * 4 > late,
            "{name}: {early:?} where the first byte differs, {late:?} where the last one does"
        );
    }
    assert!(
        snug::auth::same_in_constant_time(&right, &right.clone())
            && !snug::auth::same_in_constant_time(&right, &right[1..])
    );

    // The types hold the rest: a Secret's bytes are private and it has no other comparison. Whoever takes bytes out of it, or keys out of ScramKeys,
    // is on this list, and is looked at when the list grows.
    let mut takers = Vec::new();
    for path in sources(std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    ))) {
        let text = std::fs::read_to_string(&path).expect("a source file");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let relative = path
            .strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
            .expect("inside")
            .display()
            .to_string();
        for (number, line) in text.lines().enumerate() {
            let takes = [".expose()", "stored_key", "server_key", ".proof"]
                .iter()
                .any(|word| line.contains(word));
            if takes && !relative.ends_with("tests.rs") && !line.trim_start().starts_with("//") {
                let compares = [
                    "==",
                    "!=",
                    ".eq(",
                    ".ne(",
                    "cmp(",
                    "starts_with(",
                    "contains(&",
                ]
                .iter()
                .any(|word| line.contains(word));
                assert!(
                    !compares || line.contains(".len()"),
                    "{relative}:{}: a secret is compared: {line}",
                    number + 1
                );
                takers.push(relative.clone());
            }
        }
    }
    takers.sort();
    takers.dedup();
    let known = [
        // Accounts on their way in and out: keys are read and written, never compared.
        "admin/portable/read.rs",
        "admin/portable/write.rs",
        "cli/moving/prosody/mod.rs",
        "auth/fake.rs",
        "auth/keys.rs",
        "auth/mod.rs",
        "auth/plain.rs",
        "auth/scram.rs",
        "net/threads.rs",
        "store/account.rs",
    ];
    let new: Vec<&String> = takers
        .iter()
        .filter(|file| !known.contains(&file.as_str()))
        .collect();
    assert!(
        new.is_empty(),
        "these files handle secret bytes now, see that they compare none: {new:?}"
    );
}

fn sources(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(sources(&path)),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                found.push(path)
            }
            false => {}
        }
    }
    found.sort();
    found
}

#[test]
fn hole_22_ids_are_not_guessed() {
    let mut host = Host::new(&format!("{NO_RATES}\n[registration]\nmode = \"open\""));
    let drawn: Rc<RefCell<HashSet<Vec<u8>>>> = Rc::default();
    let log = drawn.clone();
    let mut dice = Dice(0x5eed_1234_5678_9abc);
    host.engine.random = Random::new(move |bytes| {
        bytes.fill_with(|| (dice.roll() >> 24) as u8);
        log.borrow_mut().insert(bytes.to_vec());
    });
    host.account("anna", "secret");
    host.account("ben", "secret");
    let mut ids = Vec::new();
    let collect = |text: &str, ids: &mut Vec<String>| {
        for element in text.split('<') {
            // Those that the server gives: its streams', its own requests', the resource that it chose.
            if element.starts_with("stream:stream ")
                || (element.starts_with("iq ")
                    && (element.contains("type='set'") || element.contains("type='get'")))
            {
                let from = element.find(" id='").expect("an id") + 5;
                ids.push(
                    element[from..]
                        .split('\'')
                        .next()
                        .expect("its end")
                        .to_owned(),
                );
            }
            if let Some(jid) = element.strip_prefix("jid>") {
                ids.push(jid.split_once('/').expect("a resource").1.to_owned());
            }
        }
    };
    let far = host.connect(true);
    collect(&host.ask(far, HEADER), &mut ids);
    let client = scram::Client::new("SCRAM-SHA-256", "anna", "secret", "clientnonce");
    let (challenge, end) = scram_login(&mut host, far, client);
    assert!(end.contains("<success"));
    ids.push(
        challenge
            .split(',')
            .next()
            .expect("a nonce")
            .replace("r=clientnonce", ""),
    );
    collect(&host.ask(far, HEADER), &mut ids);
    collect(&host.ask(far, BIND), &mut ids);
    // A roster push and a ping.
    host.ask(far, ROSTER_GET);
    collect(&host.ask(far, "<iq type='set' id='mine'><query xmlns='jabber:iq:roster'><item jid='ben@chat.test'/></query></iq>"), &mut ids);
    host.pass(302);
    collect(&host.sent(far), &mut ids);
    assert_eq!(ids.len(), 6, "{ids:?}");
    use base64::Engine as _;
    for id in &ids {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(id)
            .unwrap_or_else(|_| panic!("{id:?} is no id of the one kind"));
        assert!(bytes.len() >= 16, "{id:?} has {} bits", bytes.len() * 8);
        assert!(
            drawn.borrow().contains(&bytes),
            "{id:?} is not random bytes as they came"
        );
    }
    assert_eq!(
        ids.iter().collect::<HashSet<_>>().len(),
        ids.len(),
        "an id was given twice"
    );
}
