//! What the tests of rooms share: a server with people, and a room with some of them in it.

use crate::host::{Host, NO_RATES};
use std::collections::BTreeMap;

const JOIN: &str = "<x xmlns='http://jabber.org/protocol/muc'/>";

/// A server with these people online, each with one device.
pub struct Stage {
    pub host: Host,
    people: BTreeMap<&'static str, u32>,
    rooms: u32,
    /// The address of the room that is played in now.
    pub room: String,
}

impl Stage {
    pub fn new(people: &[&'static str]) -> Stage {
        let mut host = Host::new(NO_RATES);
        let people = people
            .iter()
            .map(|name| {
                host.account(name, "secret");
                (*name, host.go_online(name, "pc"))
            })
            .collect();
        Stage {
            host,
            people,
            rooms: 0,
            room: String::new(),
        }
    }

    /// Begins a new room of `owner`, who enters and configures it.
    pub fn begin(&mut self, config: &[(&str, &str)]) {
        self.rooms += 1;
        self.room = format!("room{}@rooms.chat.test", self.rooms);
        self.enter("owner");
        self.configure(config);
    }

    /// Ends the room: its owner destroys it.
    pub fn end(&mut self) {
        let destroy =
            "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>".to_owned();
        self.iq("owner", "set", &destroy);
    }

    pub fn configure(&mut self, config: &[(&str, &str)]) -> String {
        let fields: String = config
            .iter()
            .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
            .collect();
        let form = format!(
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>"
        );
        self.iq("owner", "set", &form)
    }

    /// Somebody sends, and everybody is drained; what the sender got.
    pub fn send(&mut self, who: &str, text: &str) -> String {
        self.drain();
        self.host.send(self.people[who], text);
        self.heard(who)
    }

    /// Somebody sends; what anybody gets stays to be looked at.
    pub fn send_quietly(&mut self, who: &str, text: &str) {
        self.host.send(self.people[who], text);
    }

    /// Somebody's connection.
    pub fn far(&self, who: &str) -> u32 {
        self.people[who]
    }

    /// Everybody logs in again, after the server was started again.
    pub fn come_back(&mut self) {
        for (name, far) in &mut self.people {
            *far = self.host.go_online(name, "pc");
        }
    }

    /// What somebody got since this was asked last.
    pub fn heard(&mut self, who: &str) -> String {
        self.host.sent(self.people[who])
    }

    pub fn drain(&mut self) {
        for far in self.people.values() {
            self.host.sent(*far);
        }
    }

    /// Somebody enters with their own name as nickname.
    pub fn enter(&mut self, who: &str) -> String {
        let text = format!("<presence to='{}/{who}'>{JOIN}</presence>", self.room);
        self.send(who, &text)
    }

    pub fn iq(&mut self, who: &str, kind: &str, payload: &str) -> String {
        let text = format!("<iq type='{kind}' id='q' to='{}'>{payload}</iq>", self.room);
        self.send(who, &text)
    }

    /// A request of `muc#admin` with one item that has these attributes.
    pub fn admin(&mut self, who: &str, kind: &str, attributes: &str) -> String {
        let query = format!(
            "<query xmlns='http://jabber.org/protocol/muc#admin'><item {attributes}/></query>"
        );
        self.iq(who, kind, &query)
    }

    /// A new address of somebody: `name@chat.test`.
    pub fn jid(&self, who: &str) -> String {
        format!("{who}@chat.test")
    }
}

/// Whether an answer is one that says yes.
pub fn is_result(answer: &str) -> bool {
    answer.contains("type='result'") && !answer.contains("type='error'")
}
