//! Rows 1 to 5: bytes that a parser should not have taken.

use crate::allocator;
use crate::host::{HEADER, Host, NO_RATES};
use crate::stage::*;
use snug::limits;
use snug::xmpp::ns;

const LAUGHS: &str = "<!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;'>\
    <!ENTITY lol3 '&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;'>]>";

#[test]
fn hole_01_entity_expansion() {
    let header = HEADER.trim_start_matches("<?xml version='1.0'?>");
    // Before and in the header, before login.
    let strangers = [
        format!("<?xml version='1.0'?>{LAUGHS}{header}"),
        format!("{LAUGHS}{header}"),
        format!("{HEADER}{LAUGHS}"),
        HEADER.replace("to='chat.test'", "to='&lol3;'"),
        HEADER.replace("version='1.0' xmlns", "version='1.0' x='&lol;' xmlns"),
        format!("{HEADER}<auth xmlns='{SASL}' mechanism='PLAIN'>&lol3;</auth>"),
        format!("{HEADER}<auth xmlns='{SASL}' mechanism='&lol;'/>"),
    ];
    let mut host = host();
    let base = allocator::live();
    allocator::peak();
    for bytes in &strangers {
        for secure in [false, true] {
            let far = host.connect(secure);
            let answer = host.ask(far, bytes);
            assert!(has(&answer, "restricted-xml"), "{bytes}\n{answer}");
            assert!(host.is_closed(far), "{bytes}");
            assert_eq!(host.unread(far), 0);
            host.forget(far);
        }
    }
    // In a stanza, after login: nothing of it reaches anybody.
    let ben = host.go_online("ben", "pc");
    for evil in [
        format!("<message to='ben@chat.test'>{LAUGHS}<body>x</body></message>"),
        format!("{LAUGHS}<message to='ben@chat.test'><body>x</body></message>"),
        "<message to='ben@chat.test'><body>&lol3;</body></message>".to_owned(),
        "<message to='ben@chat.test' id='&lol3;'><body>x</body></message>".to_owned(),
        "<message to='ben@chat.test'><body><!-- x --></body></message>".to_owned(),
        "<message to='ben@chat.test'><body><?php x?></body></message>".to_owned(),
    ] {
        let anna = host.go_online("anna", "phone");
        let answer = host.ask(anna, &evil);
        assert!(has(&answer, "restricted-xml"), "{evil}\n{answer}");
        assert!(host.is_closed(anna));
        assert_eq!(host.sent(ben), "", "{evil}");
        host.forget(anna);
    }
    let most = allocator::peak() - base;
    assert!(most < 1 << 20, "{most} bytes at the worst moment");
}

#[test]
fn hole_02_what_strangers_leave_behind() {
    let mut host = Host::new(NO_RATES);
    let garbage: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"<?xml version='1.0'?><stream:stream to='chat.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'><a",
        b"<?xml version='1.0'?><stream:stream to='other.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
        b"<?xml version='1.0'?><stream:stream to='chat.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'><auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>biwsbj1hbm5hLHI9YWJj</auth>",
        b"\xff\xfe\x00\x00",
        b"                                    ",
        b"",
    ];
    let strangers = |host: &mut Host, count: usize| {
        for number in 0..count {
            let far = host.connect(number % 3 > 0);
            host.bytes(far, garbage[number % garbage.len()]);
            host.sent(far);
            host.forget(far);
            host.take_trace();
        }
    };
    strangers(&mut host, 100);
    let base = allocator::live();
    strangers(&mut host, 10_000);
    let left = allocator::live() - base;
    assert!(left < 64 * 1024, "10 000 strangers left {left} bytes");
    assert_eq!(host.engine.streams().count(), 0);
    assert_eq!(host.engine.sessions().count(), 0);

    // Amplification: many elements or attributes in few bytes.
    let many = format!(
        "{HEADER}<x>{}</x>",
        "<a/>".repeat(limits::ELEMENTS_BEFORE_LOGIN as usize)
    );
    let enough = format!(
        "{HEADER}<x>{}</x>",
        "<a/>".repeat(limits::ELEMENTS_BEFORE_LOGIN as usize - 1)
    );
    // Refused at the element that is too many, not at the end.
    let endless = format!(
        "{HEADER}<x>{}",
        "<a/>".repeat(limits::ELEMENTS_BEFORE_LOGIN as usize)
    );
    let open = format!("{HEADER}{}", "<a>".repeat(2000));
    let attributes: String = (0..1000).map(|n| format!(" a{n}=''")).collect();
    let attributed = format!("{HEADER}<x{attributes}/>");
    for (bytes, condition) in [
        (&many, "policy-violation"),
        (&endless, "policy-violation"),
        (&open, "policy-violation"),
        (&attributed, "policy-violation"),
        (&enough, "not-authorized"),
    ] {
        let far = host.connect(true);
        let answer = host.ask(far, bytes);
        assert!(has(&answer, condition), "{}: {answer}", &bytes[..200]);
        assert!(host.is_closed(far));
        host.forget(far);
    }
}

#[test]
fn hole_03_big_and_half_stanzas() {
    let (mut host, anna, ben) = anna_and_ben();
    // After login: one byte too many.
    let start = "<message to='ben@chat.test'><body>";
    let end = "</body></message>";
    let fits = limits::STANZA_BYTES - start.len() - end.len();
    host.send(anna, &format!("{start}{}{end}", "x".repeat(fits)));
    assert!(host.sent(ben).len() > limits::STANZA_BYTES - 100);
    let answer = host.ask(anna, &format!("{start}{}{end}", "x".repeat(fits + 1)));
    assert!(has(&answer, "policy-violation"), "{answer}");
    assert!(host.is_closed(anna));
    assert_eq!(host.unread(anna), 0, "the buffer is still there");
    assert_eq!(host.sent(ben).matches("<message").count(), 0);

    // The end need not come for it: it is refused as soon as it is too long.
    let anna = host.go_online("anna", "phone");
    for _ in 0..5 {
        host.bytes(anna, &[b' '; 1000]);
    }
    host.send(anna, start);
    let piece = "y".repeat(64 * 1024);
    for _ in 0..5 {
        host.send(anna, &piece);
    }
    assert!(host.is_closed(anna));
    assert_eq!(host.unread(anna), 0);

    // Before login: half stanzas of many strangers.
    let base = allocator::live();
    let count = 1000;
    let mut strangers = Vec::new();
    for _ in 0..count {
        let far = host.connect(true);
        host.send(far, HEADER);
        host.sent(far);
        host.send(
            far,
            &format!(
                "<auth xmlns='{SASL}'>{}",
                "x".repeat(limits::STANZA_BYTES_BEFORE_LOGIN - 100)
            ),
        );
        strangers.push(far);
    }
    let each = (allocator::live() - base) / count;
    println!("{each} bytes for a stranger with 8 KiB of half a stanza");
    assert!(
        each < 12 * 1024,
        "{each} bytes for a stranger with 8 KiB of half a stanza"
    );
    for far in &strangers {
        assert!(!host.is_closed(*far));
        host.send(*far, &"x".repeat(101));
        assert!(host.is_closed(*far), "a stranger sends more than 8 KiB");
        host.forget(*far);
    }
    let left = (allocator::live() - base) / count;
    assert!(left < 1024, "{left} bytes left of each stranger");
}

#[test]
fn hole_04_compression() {
    let mut host = host();
    let compress =
        "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>";
    let far = host.connect(true);
    let features = host.ask(far, HEADER);
    assert!(
        features.contains("<mechanisms") && !features.contains("compress"),
        "{features}"
    );
    let answer = host.ask(far, compress);
    assert!(answer.contains("<unsupported-method/>"), "{answer}");
    assert!(!answer.contains("<compressed"), "{answer}");

    let far = host.authenticate("anna", "secret");
    let features = host.sent(far);
    assert!(
        features.contains("<bind") && !features.contains("compress"),
        "{features}"
    );
    let answer = host.ask(far, compress);
    assert!(answer.contains("<unsupported-method/>"), "{answer}");

    // Bound: it is no stanza at all, and what looks like zlib is not XML.
    for evil in [
        compress.as_bytes(),
        b"\x78\x9c\x4b\x4c\x04\x02\x00\x03\x4a\x01\x27",
    ] {
        let anna = host.go_online("anna", "phone");
        host.bytes(anna, evil);
        let answer = host.sent(anna);
        assert!(
            answer.contains("<stream:error>") && host.is_closed(anna),
            "{answer}"
        );
        host.forget(anna);
    }
}

#[test]
fn hole_05_stanza_smuggling() {
    let smuggled =
        "<message from='boss@chat.test' to='ben@chat.test'><body>smuggled</body></message>";
    // What no strict parser takes: the stream ends, nothing reaches anybody.
    let refused: Vec<Vec<u8>> = vec![
        // Bytes that are not UTF-8: a lead byte that swallows '<', overlong '<', surrogates, more than Unicode has, a lonely tail.
        b"<message to='ben@chat.test'><body>\xEB\x3C</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>\xEB\x3C\x3E</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>\xC0\xBCx/\xC0\xBE</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>\xE0\x80\xBC</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>\xED\xA0\x80</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>\xF4\x90\x80\x80</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>\x80</body></message>".to_vec(),
        b"<message to='ben@chat.test' a='\xC3'><body>x</body></message>".to_vec(),
        // Characters that XML does not have, as bytes and as references.
        b"<message to='ben@chat.test'><body>\x01</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>\x00</body></message>".to_vec(),
        b"<message to='ben@chat.test' a='\x01'/>".to_vec(),
        "<message to='ben@chat.test'><body>\u{fffe}</body></message>".into(),
        b"<message to='ben@chat.test'><body>&#0;</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>&#1;</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>&#xD800;</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>&#xDC00;</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>&#x110000;</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>&#xFFFF;</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>& amp;</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>&amp</body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>]]></body></message>".to_vec(),
        // Names and prefixes that are none.
        b"<:message to='ben@chat.test'><body>x</body></:message>".to_vec(),
        b"<message to='ben@chat.test'><:body>x</:body></message>".to_vec(),
        b"<message to='ben@chat.test'><body>x</:body></message>".to_vec(),
        b"<message to='ben@chat.test'><a:>x</a:></message>".to_vec(),
        b"<message to='ben@chat.test'><a:b:c xmlns:a='urn:a'>x</a:b:c></message>".to_vec(),
        b"<message to='ben@chat.test'><p:body>x</p:body></message>".to_vec(),
        b"<message to='ben@chat.test' p:a='x'/>".to_vec(),
        b"<message to='ben@chat.test'><x xmlns:p=''/></message>".to_vec(),
        b"<message to='ben@chat.test'><x xmlns:xml='urn:x'/></message>".to_vec(),
        b"<message to='ben@chat.test'><x xmlns:xmlns='urn:x'/></message>".to_vec(),
        b"<message to='ben@chat.test'><xmlns:x/></message>".to_vec(),
        b"<mess\nage to='ben@chat.test'><body>x</body></mess\nage>".to_vec(),
        b"<message to='ben@chat.test'>< body>x</body></message>".to_vec(),
        b"<message to='ben@chat.test'><1/></message>".to_vec(),
        b"<message|x to='ben@chat.test'/>".to_vec(),
        // Namespaces with what parsers put between namespace and name.
        b"<message to='ben@chat.test'><x xmlns='urn:a|b'/></message>".to_vec(),
        b"<message to='ben@chat.test'><x xmlns='urn:a&#10;b'/></message>".to_vec(),
        b"<message to='ben@chat.test'><x xmlns='urn:a}b'/></message>".to_vec(),
        b"<message to='ben@chat.test'><x xmlns='urn:&#97;'/></message>".to_vec(),
        b"<message to='ben@chat.test'><x xmlns:p='urn:a|b'/></message>".to_vec(),
        // Attributes: twice, also under two prefixes of one namespace; without quotes, without space, with '<'.
        b"<message to='ben@chat.test' to='anna@chat.test'/>".to_vec(),
        b"<message to='ben@chat.test'><x xmlns:a='urn:a' xmlns:b='urn:a' a:k='1' b:k='2'/></message>".to_vec(),
        b"<message to='ben@chat.test'><x xmlns='urn:a' xmlns='urn:b'/></message>".to_vec(),
        b"<message to=ben@chat.test/>".to_vec(),
        b"<message to='ben@chat.test'id='1'/>".to_vec(),
        format!("<message to='ben@chat.test' a='{smuggled}'/>").into_bytes(),
        b"<message to='ben@chat.test' a/>".to_vec(),
        // Ends that do not fit.
        b"<message to='ben@chat.test'><body>x</bodY></message>".to_vec(),
        b"<message to='ben@chat.test'><a><b></a></b></message>".to_vec(),
        b"<message to='ben@chat.test'><body>x</body x='1'></message>".to_vec(),
        b"<message to='ben@chat.test'/ >".to_vec(),
        b"text between stanzas<message to='ben@chat.test'/>".to_vec(),
        b"<![CDATA[<message/>]]>".to_vec(),
    ];
    let mut host = host();
    let ben = host.go_online("ben", "pc");
    for evil in &refused {
        let shown = String::from_utf8_lossy(evil).into_owned();
        let anna = host.log_in("anna", "phone");
        host.bytes(anna, evil);
        // An end for what might have been taken for the beginning of something.
        host.send(anna, "</body></message>");
        assert!(host.is_closed(anna), "the stream goes on after {shown:?}");
        assert_eq!(host.sent(ben), "", "ben received something of {shown:?}");
        host.forget(anna);
    }
    // What is well-formed but made to be read twice: one stanza in, one stanza out, and what is inside stays inside.
    for inside in [
        format!("<![CDATA[</body></message>{smuggled}]]>"),
        format!("</body><x><![CDATA[]]]]><![CDATA[>{smuggled}]]></x><body>"),
        format!("&lt;/body>&lt;/message>{}", smuggled.replace('<', "&#60;")),
        format!("</body><stream:stream>{smuggled}</stream:stream><body>"),
        format!("</body><stream:error>{smuggled}</stream:error><body>"),
        format!(
            "</body><x a='&lt;/message>{}'/><body>",
            smuggled.replace('<', "&lt;").replace('\'', "&apos;")
        ),
        format!("</body><x a=\"'/>\" b='\"/>'>{smuggled}</x><body>"),
        format!("</body><message xmlns='jabber:client/x'>{smuggled}</message><body>"),
    ] {
        let anna = host.log_in("anna", "phone");
        host.send(
            anna,
            &format!("<message to='ben@chat.test' type='chat'><body>{inside}</body></message>"),
        );
        let got = host.sent(ben);
        let found = elements(&got);
        assert_eq!(found.len(), 1, "{inside}\n{got}\n{}", host.sent(anna));
        let document = stanza(&found[0]);
        let message = document.root().children().next().expect("one element");
        assert!(message.is(ns::CLIENT, "message"));
        assert_eq!(
            message.attr("from").as_deref(),
            Some("anna@chat.test/phone"),
            "{inside}"
        );
        host.forget(anna);
    }
    // A namespace is a name, not a part of one: none of these is a stanza, nor a request for the roster.
    for almost in [
        "jabber:client|",
        "jabber:client|x",
        "jabber:client&#10;",
        " jabber:client",
        "jabber:Client",
        "jabber:client/",
        "",
    ] {
        let anna = host.log_in("anna", "phone");
        let answer = host.ask(
            anna,
            &format!("<message xmlns='{almost}' to='ben@chat.test'><body>x</body></message>"),
        );
        assert!(
            has(&answer, "unsupported-stanza-type") || has(&answer, "bad-namespace-prefix"),
            "{almost:?}: {answer}"
        );
        assert_eq!(host.sent(ben), "", "{almost:?}");
        host.forget(anna);
    }
    for almost in [
        "urn:ietf:params:xml:ns:xmpp-binding",
        "urn:ietf:params:xml:ns:xmpp-bin",
    ] {
        let far = host.authenticate("anna", "secret");
        let answer = host.ask(
            far,
            &format!("<iq type='set' id='b'><bind xmlns='{almost}'/></iq>"),
        );
        assert!(!answer.contains("<jid>"), "{almost:?}: {answer}");
        host.forget(far);
    }
    let anna = host.log_in("anna", "phone");
    for almost in ["jabber:iq:roster/", "jabber:iq:Roster", "jabber:iq:roste"] {
        let answer = host.ask(
            anna,
            &format!("<iq type='get' id='q'><query xmlns='{almost}'/></iq>"),
        );
        assert!(!answer.contains("type='result'"), "{almost:?}: {answer}");
    }
}
