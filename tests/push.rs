//! What push (XEP-0357) costs those who do not use it: nothing is read of the store for it. The figures are printed with `--nocapture`.

#[path = "common/host.rs"]
mod host;

use host::Host;

const MESSAGES: u64 = 100;
const OTHERS: usize = 20;

fn stage() -> (Host, u32) {
    let mut host = Host::new(&format!(
        "{}\n[[component]]\nhost = 'push.example.org'\nsecret = 'secret'\n",
        host::NO_RATES
    ));
    for name in ["anna", "ben"] {
        host.account(name, "secret");
    }
    let anna = host.go_online("anna", "phone");
    (host, anna)
}

/// Enables push for an account and goes away.
fn enable(host: &mut Host, name: &str) {
    let far = host.go_online(name, "phone");
    let answer = host.ask(
        far,
        "<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='push.example.org' node='n'/></iq>",
    );
    assert!(answer.contains("type='result'"), "{answer}");
    host.send(far, "</stream:stream>");
    host.forget(far);
}

/// Reads of the store for each message to somebody.
fn reads_each(host: &mut Host, from: u32, message: &str) -> f64 {
    let before = host.engine.store.reads();
    for _ in 0..MESSAGES {
        host.send(from, message);
    }
    host.sent(from);
    (host.engine.store.reads() - before) as f64 / MESSAGES as f64
}

#[test]
fn who_enabled_nothing_costs_no_read() {
    let (mut host, anna) = stage();
    let message = "<message to='ben@chat.test' type='chat'><body>hi</body></message>";
    reads_each(&mut host, anna, message);
    let nobody = reads_each(&mut host, anna, message);
    for number in 0..OTHERS {
        let name = format!("other{number}");
        host.account(&name, "secret");
        enable(&mut host, &name);
    }
    let others = reads_each(&mut host, anna, message);
    let push = host.component("push.example.org");
    enable(&mut host, "ben");
    let own = reads_each(&mut host, anna, message);
    let told = host.sent(push);
    println!(
        "reads of the store for a message to who is away: {nobody} where nobody enabled push, {others} where {OTHERS} others did, \
         {own} where the recipient did, of whom {} notifications told",
        told.matches("<notification").count()
    );
    assert_eq!(nobody, others);
    assert!(own <= nobody + 0.1, "{own}");
    assert_eq!(told.matches("<notification").count(), 1);
}

#[test]
fn rooms_read_nothing_for_those_who_are_not_there() {
    let (mut host, anna) = stage();
    let request = serde_json::json!({"verb": "room.add", "name": "team", "owner": "anna"});
    assert_eq!(host.control(&request)["ok"], true);
    host.send(
        anna,
        "<presence to='team@rooms.chat.test/anna'><x xmlns='http://jabber.org/protocol/muc'/></presence>\
         <iq type='set' id='c' to='team@rooms.chat.test'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_membersonly'><value>1</value></field></x></query></iq>",
    );
    for number in 0..OTHERS {
        let name = format!("member{number}");
        host.account(&name, "secret");
        let item = format!(
            "<iq type='set' id='m' to='team@rooms.chat.test'><query xmlns='http://jabber.org/protocol/muc#admin'>\
             <item affiliation='member' jid='{name}@chat.test'/></query></iq>"
        );
        assert!(host.ask(anna, &item).contains("type='result'"));
    }
    let message = "<message to='team@rooms.chat.test' type='groupchat'><body>hi</body></message>";
    let nobody = reads_each(&mut host, anna, message);
    enable(&mut host, "ben");
    let others = reads_each(&mut host, anna, message);
    let push = host.component("push.example.org");
    enable(&mut host, "member0");
    let one = reads_each(&mut host, anna, message);
    let told = host.sent(push);
    println!(
        "a message to a room with {OTHERS} members who are away: {nobody}, {others} and {one} reads"
    );
    assert_eq!((nobody, others), (0.0, 0.0));
    assert!(one < 0.2, "{one}");
    assert_eq!(told.matches("<notification").count(), 1);
}
