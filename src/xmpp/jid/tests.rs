use std::collections::HashMap;

use super::*;

fn whole(text: &str) -> Result<String, JidError> {
    Jid::parse(text).map(|jid| jid.as_str().to_owned())
}

#[test]
fn the_three_forms() {
    let jid = Jid::parse("anna@chat.test/phone").unwrap();
    assert_eq!(
        (jid.local(), jid.domain(), jid.resource(), jid.bare()),
        (Some("anna"), "chat.test", Some("phone"), "anna@chat.test")
    );
    assert!(jid.is_full() && !jid.is_bare() && !jid.is_domain());
    let jid = Jid::parse("anna@chat.test").unwrap();
    assert_eq!(
        (jid.local(), jid.domain(), jid.resource(), jid.bare()),
        (Some("anna"), "chat.test", None, "anna@chat.test")
    );
    assert!(jid.is_bare() && !jid.is_domain());
    let jid = Jid::parse("chat.test").unwrap();
    assert_eq!(
        (jid.local(), jid.domain(), jid.resource(), jid.bare()),
        (None, "chat.test", None, "chat.test")
    );
    assert!(jid.is_bare() && jid.is_domain());
    let jid = Jid::parse("chat.test/a@b/c").unwrap();
    assert_eq!(
        (jid.local(), jid.domain(), jid.resource(), jid.bare()),
        (None, "chat.test", Some("a@b/c"), "chat.test")
    );
    assert!(jid.is_full() && !jid.is_domain());
}

#[test]
fn normalised_text_is_borrowed() {
    for text in [
        "anna@chat.test/phone",
        "anna@chat.test",
        "chat.test",
        "chat.test/Work PC",
        "a@[::1]/B",
        "josé@münchen.test/Straße",
        "a@b/\u{1F389}",
    ] {
        let jid = Jid::parse(text).unwrap();
        assert!(matches!(jid.text, Cow::Borrowed(_)), "{text}");
        assert_eq!(jid.as_str(), text);
    }
}

#[test]
fn one_address_has_one_text() {
    for (given, normalised) in [
        ("Anna@Chat.Test/Phone", "anna@chat.test/Phone"),
        ("ANNA@chat.test.", "anna@chat.test"),
        ("chat.test./x", "chat.test/x"),
        ("Stra\u{DF}e@chat.test", "strasse@chat.test"),
        ("\u{FF41}nna@chat.test", "anna@chat.test"),
        ("jose\u{301}@chat.test", "jos\u{E9}@chat.test"),
        ("an\u{AD}na@chat.test", "anna@chat.test"),
        ("\u{212B}@chat.test", "\u{E5}@chat.test"),
        ("a@M\u{DC}NCHEN.test", "a@m\u{FC}nchen.test"),
        ("a@b\u{3002}test\u{FF0E}", "a@b.test"),
        ("a@[0:0:0:0:0:0:0:1]/x", "a@[::1]/x"),
        ("a@[FE80::1]", "a@[fe80::1]"),
        ("a@192.168.0.7", "a@192.168.0.7"),
        ("a@b/\u{2075}", "a@b/5"),
        ("a@b/\u{FF20}\u{FF0F}", "a@b/@/"),
        ("a@b/\u{2764}\u{FE0F}", "a@b/\u{2764}"),
        ("a@b/\u{5E9}\u{5DC}", "a@b/\u{5E9}\u{5DC}"),
    ] {
        assert_eq!(whole(given).as_deref(), Ok(normalised), "{given:?}");
    }
}

#[test]
fn refusals_name_the_part() {
    use JidError::{Empty, Prohibited, TooLong};
    use Part::{Domain, Local, Resource};
    for (text, error) in [
        ("", Empty(Domain)),
        ("@chat.test", Empty(Local)),
        ("anna@", Empty(Domain)),
        ("anna@/phone", Empty(Domain)),
        ("/phone", Empty(Domain)),
        ("anna@chat.test/", Empty(Resource)),
        ("\u{AD}@chat.test", Empty(Local)),
        ("a@b/\u{AD}", Empty(Resource)),
        (".", Empty(Domain)),
        ("a@\u{3002}", Empty(Domain)),
        ("..", Prohibited(Domain)),
        ("a@b..c", Prohibited(Domain)),
        ("a@.b", Prohibited(Domain)),
        ("a@b@c", Prohibited(Domain)),
        ("a@b c", Prohibited(Domain)),
        ("a@b\u{FF20}c", Prohibited(Domain)),
        ("a@b\u{2100}", Prohibited(Domain)),
        ("a@b\u{FF0F}c", Prohibited(Domain)),
        ("a@b\u{7F}\u{E9}", Prohibited(Domain)),
        ("a@[::1", Prohibited(Domain)),
        ("a@[::1%eth0]", Prohibited(Domain)),
        ("a@[1.2.3.4]", Prohibited(Domain)),
        ("a@::1", Prohibited(Domain)),
        ("an na@b", Prohibited(Local)),
        ("an\u{A0}na@b", Prohibited(Local)),
        ("an\tna@b", Prohibited(Local)),
        ("a\u{FF20}c@b", Prohibited(Local)),
        ("a\u{FF0F}c@b", Prohibited(Local)),
        ("\u{1F389}@b", Prohibited(Local)),
        ("a@b/\u{7}", Prohibited(Resource)),
        ("a@b/\u{7F}", Prohibited(Resource)),
        ("a@b/x\u{2028}", Prohibited(Resource)),
        ("a@b/\u{E000}", Prohibited(Resource)),
        ("a@b/\u{FFFE}", Prohibited(Resource)),
        ("a@b/x\u{202E}y", Prohibited(Resource)),
        ("a@b/x\u{2067}y", Prohibited(Resource)),
        ("a@b/\u{5E9}a", Prohibited(Resource)),
        ("a@b/\u{5E9}\u{1F389}", Prohibited(Resource)),
        ("a@b/a\u{1F389}\u{5E9}", Prohibited(Resource)),
    ] {
        assert_eq!(whole(text), Err(error), "{text:?}");
    }
    for character in "\"&':<>".chars() {
        assert_eq!(
            whole(&format!("an{character}na@b")),
            Err(Prohibited(Local)),
            "{character}"
        );
        assert_eq!(
            whole(&format!("b{character}c")),
            Err(Prohibited(Domain)),
            "{character}"
        );
        assert!(whole(&format!("a@b/{character}")).is_ok(), "{character}");
    }
    let (fits, long) = ("a".repeat(PART_BYTES), "a".repeat(PART_BYTES + 1));
    let all = format!("{fits}@{fits}/{fits}");
    assert_eq!(whole(&all).as_ref(), Ok(&all));
    assert_eq!(FullJid::parse(&all).unwrap().resource(), fits);
    assert_eq!(whole(&format!("{long}@b")), Err(TooLong(Local)));
    assert_eq!(whole(&format!("a@{long}")), Err(TooLong(Domain)));
    assert_eq!(whole(&format!("a@b/{long}")), Err(TooLong(Resource)));
    // Three bytes that normalise to 33.
    assert_eq!(
        whole(&format!("a@b/{}", "\u{FDFA}".repeat(300))),
        Err(TooLong(Resource))
    );
}

#[test]
fn owned_jids_are_keys_by_their_text() {
    let anna = BareJid::parse("Anna@chat.test").unwrap();
    let phone = anna.with_resource("Phone").unwrap();
    assert_eq!(
        (
            phone.local(),
            phone.domain(),
            phone.bare(),
            phone.resource()
        ),
        (Some("anna"), "chat.test", "anna@chat.test", "Phone")
    );
    assert_eq!(
        (phone.to_bare(), anna.local(), anna.domain()),
        (anna.clone(), Some("anna"), "chat.test")
    );
    assert_eq!(
        phone,
        FullJid::new(Some("ANNA"), "chat.test", "Phone").unwrap()
    );
    assert_eq!(Jid::from(&phone).as_str(), phone.as_str());
    assert_eq!(anna.with_resource(""), Err(JidError::Empty(Part::Resource)));
    assert_eq!(
        BareJid::parse("anna@chat.test/x"),
        Err(JidError::Prohibited(Part::Resource))
    );
    assert_eq!(
        FullJid::parse("anna@chat.test"),
        Err(JidError::Empty(Part::Resource))
    );
    let sessions = HashMap::from([(phone.clone(), 1)]);
    assert_eq!(sessions.get("anna@chat.test/Phone"), Some(&1));
    let accounts = HashMap::from([(anna.clone(), 2)]);
    assert_eq!(accounts.get(phone.bare()), Some(&2));
    assert_eq!(anna.cmp(&phone.to_bare()), std::cmp::Ordering::Equal);
    let domain = BareJid::new(None, "Chat.Test").unwrap();
    assert_eq!((domain.local(), domain.as_str()), (None, "chat.test"));
    assert_eq!(domain.with_resource("x").unwrap().local(), None);
}
