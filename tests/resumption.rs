//! Stream management of the built binary over real TCP and TLS: sessions whose connection is cut, and what they cost.

#[path = "common/client.rs"]
mod client;
#[path = "common/scram.rs"]
mod scram;
#[path = "common/server.rs"]
mod server;

use client::Client;
use server::{Server, wait_for};
use snug::limits::RESOURCES_PER_ACCOUNT;

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";

/// Makes the session resumable; its token.
fn enable(client: &mut Client) -> String {
    client.send(ENABLE);
    let answer = client.expect("/>");
    let from = answer.find(" id='").expect("a token") + " id='".len();
    answer[from..]
        .split('\'')
        .next()
        .expect("a token")
        .to_owned()
}

/// Logs in and takes a session over; the count that the server says.
fn resume(mut client: Client, name: &str, token: &str, h: u32) -> (Client, u32) {
    client.log_in_plain(name, "secret");
    client.send(&format!(
        "<resume xmlns='urn:xmpp:sm:3' previd='{token}' h='{h}'/>"
    ));
    let answer = client.expect_between("<resumed ", "/>");
    let from = answer.find(" h='").expect("a count") + " h='".len();
    let handled = answer[from..].split('\'').next().expect("a count");
    (client, handled.parse().expect("a number"))
}

fn message(number: u32) -> String {
    format!("<message to='anna@chat.test/phone' type='chat'><body>{number}</body></message>")
}

#[test]
fn a_cut_connection_is_taken_up_where_it_was() {
    let server = Server::start("resumption", "");
    server.add_user("anna", "secret");
    server.add_user("ben", "secret");
    let mut ben = Client::online(&server, "ben", "secret", "pc");
    let mut anna = Client::online(&server, "anna", "secret", "phone");
    let token = enable(&mut anna);
    let mut next = 0;
    for turn in 0..6 {
        // Some are heard, some are written to a connection that is cut before they are read, some come while there is none.
        for number in next..next + 30 {
            ben.send(&message(number));
        }
        let heard = next + 10;
        for number in next..heard {
            anna.expect(&format!("<body>{number}</body>"));
        }
        anna.send("<presence><status>");
        drop(anna);
        for number in next + 30..next + 40 {
            ben.send(&message(number));
        }
        let again = match turn % 2 {
            0 => Client::starttls(&server),
            _ => Client::direct(&server),
        };
        let (client, handled) = resume(again, "anna", &token, heard);
        anna = client;
        assert_eq!(handled, 0, "half a stanza was counted");
        for number in heard..next + 40 {
            let got = anna.expect("</message>");
            let body = format!("<body>{number}</body>");
            assert!(got.contains(&body), "{body} should come, there came {got}");
        }
        next += 40;
        anna.send(&format!("<a xmlns='urn:xmpp:sm:3' h='{next}'/>"));
    }
    // The old connection may seem to live.
    let mut old = anna;
    ben.send(&message(next));
    old.expect("</message>");
    let (mut anna, _) = resume(Client::direct(&server), "anna", &token, next + 1);
    old.expect("<conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
    anna.send(
        "<message to='ben@chat.test/pc'><body>here</body></message><r xmlns='urn:xmpp:sm:3'/>",
    );
    anna.expect("<a xmlns='urn:xmpp:sm:3' h='1'/>");
    assert!(ben.expect("</message>").contains("<body>here</body>"));
}

#[test]
fn sessions_that_wait_are_small() {
    const SESSIONS: usize = 300;
    let server = Server::start("waiting", "");
    let accounts = SESSIONS.div_ceil(RESOURCES_PER_ACCOUNT);
    for number in 0..accounts {
        server.add_user(&format!("anna{number}"), "secret");
    }
    let online = |number: usize| {
        let name = format!("anna{}", number % accounts);
        Client::online(&server, &name, "secret", &format!("r{number}"))
    };
    let mut clients: Vec<Client> = (0..SESSIONS).map(online).collect();
    let plain = server.anonymous_kb();
    for client in &mut clients {
        // What others' presence brought stands before it.
        client.send(ENABLE);
        client.expect_between("<enabled ", "/>");
    }
    let managed = server.anonymous_kb();
    drop(clients);
    let waiting = || {
        let answer = server.command(&["online"], "");
        let table = String::from_utf8_lossy(&answer.stdout).into_owned();
        let all = table.matches("waits for its client").count() == SESSIONS;
        all.then(|| server.anonymous_kb())
    };
    let kept = wait_for(waiting).expect("all of them wait");
    let more = |kb: u64, than: u64| kb.saturating_sub(than) as f64 / SESSIONS as f64;
    println!(
        "{:.2} KB more for a session that is counted, {:.2} KB more when it waits for its client",
        more(managed, plain),
        more(kept, managed)
    );
    assert!(more(managed, plain) < 1.0);
    assert!(more(kept, managed) < 1.0);
}
