//! What clients do in rooms.

use super::*;

impl Play {
    pub fn enter(&mut self, place: Place, room: usize) {
        let nick = match self.roll(4) {
            0 => NICKS[self.roll(NICKS.len())].to_owned(),
            _ => NAMES[place.0].to_owned(),
        };
        let history = ["", "<history maxstanzas='0'/>", "<history maxstanzas='3'/>"][self.roll(3)];
        let status = self.number();
        let id = format!("enter{room}");
        let stay = Stay {
            nick: nick.clone(),
            ..Stay::default()
        };
        self.client(place).stays.insert(room, stay);
        self.send(
            place,
            &format!(
                "<presence to='{}/{nick}' id='{id}'><status>{status}</status><x xmlns='{}'>{history}</x></presence>",
                jid(room),
                ns::MUC
            ),
        );
    }

    pub fn leave(&mut self, place: Place, room: usize) {
        let nick = self.clients[&place].stays[&room].nick.clone();
        self.send(
            place,
            &format!("<presence to='{}/{nick}' type='unavailable'/>", jid(room)),
        );
    }

    pub fn compose(&mut self, place: Place, room: usize) -> (u64, String) {
        let number = self.number();
        let text = format!(
            "<message to='{}' type='groupchat' id='m{number}'><body>{} {number}</body></message>",
            jid(room),
            place.0
        );
        (number, text)
    }

    pub fn speak(&mut self, place: Place, room: usize) {
        let (number, text) = self.compose(place, room);
        if !self.host.is_closed(self.clients[&place].far) {
            self.said.insert(number, (place, room));
        }
        self.send(place, &text);
    }

    pub fn rename(&mut self, place: Place, room: usize) {
        let nick = match self.roll(3) {
            0 => NAMES[place.0].to_owned(),
            1 => format!("{}{}", NAMES[place.0], self.roll(2)),
            _ => NICKS[self.roll(NICKS.len())].to_owned(),
        };
        let status = self.number();
        self.send(
            place,
            &format!(
                "<presence to='{}/{nick}' id='rename{room}'><status>{status}</status></presence>",
                jid(room)
            ),
        );
    }

    pub fn status(&mut self, place: Place, room: usize) {
        let nick = self.clients[&place].stays[&room].nick.clone();
        // A few at once, as a client with a bad connection makes them.
        for _ in 0..1 + self.roll(5) {
            let status = self.number();
            self.send(
                place,
                &format!(
                    "<presence to='{}/{nick}'><status>{status}</status></presence>",
                    jid(room)
                ),
            );
        }
    }

    pub fn subject(&mut self, place: Place, room: usize) {
        let number = self.number();
        if let Some(subjects) = self.subjects.get_mut(room) {
            subjects.sent(&number.to_string(), number);
        }
        self.send(
            place,
            &format!("<message to='{}' type='groupchat' id='s{number}'><subject>{number}</subject></message>", jid(room)),
        );
    }

    pub fn ask(
        &mut self,
        place: Place,
        to: &str,
        kind: &str,
        inside: &str,
        asked: Asked,
    ) -> String {
        let id = format!("q{}", self.number());
        self.client(place).asked.insert(id.clone(), asked);
        let text = format!("<iq to='{to}' type='{kind}' id='{id}'>{inside}</iq>");
        self.send(place, &text);
        id
    }

    pub fn kick(&mut self, place: Place, room: usize) {
        let nicks: Vec<String> = self.clients[&place].stays[&room]
            .sees
            .keys()
            .cloned()
            .collect();
        let nick = &nicks[self.roll(nicks.len())];
        let role = ["none", "none", "visitor", "participant"][self.roll(4)];
        let inside = format!(
            "<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='{nick}' role='{role}'/></query>"
        );
        self.ask(place, &jid(room), "set", &inside, Asked::Anything);
    }

    pub fn affiliate(&mut self, place: Place, room: usize) {
        let who = self.roll(NAMES.len());
        let affiliation = ["none", "member", "admin", "owner", "outcast"][self.roll(5)];
        let inside = format!(
            "<query xmlns='http://jabber.org/protocol/muc#admin'><item jid='{}@chat.test' affiliation='{affiliation}'/></query>",
            NAMES[who]
        );
        let id = self.ask_first(place, Asked::Affiliation(room, who));
        if let Some(list) = self.lists.get_mut(&(room, who)) {
            list.sent(&id, affiliation.to_owned());
        }
        self.send(
            place,
            &format!("<iq to='{}' type='set' id='{id}'>{inside}</iq>", jid(room)),
        );
    }

    pub fn ask_first(&mut self, place: Place, asked: Asked) -> String {
        let id = format!("q{}", self.number());
        self.client(place).asked.insert(id.clone(), asked);
        id
    }

    pub fn configure(&mut self, place: Place, room: usize) {
        let (title, members_only, moderated) =
            (self.number(), self.roll(4) == 0, self.roll(3) == 0);
        let field = |name: &str, value: &str| {
            format!("<field var='muc#roomconfig_{name}'><value>{value}</value></field>")
        };
        let flag = |is: bool| if is { "1" } else { "0" };
        let inside = format!(
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>{}{}{}</x></query>",
            field("roomname", &title.to_string()),
            field("membersonly", flag(members_only)),
            field("moderatedroom", flag(moderated)),
        );
        let id = self.ask_first(place, Asked::Config(room));
        if let Some(configs) = self.configs.get_mut(room) {
            configs.sent(&id, (title, members_only, moderated));
        }
        self.send(
            place,
            &format!("<iq to='{}' type='set' id='{id}'>{inside}</iq>", jid(room)),
        );
    }

    /// XEP-0410.
    pub fn ping(&mut self, place: Place, room: usize) {
        let stay = &self.clients[&place].stays[&room];
        let to = format!("{}/{}", jid(room), stay.nick);
        let is_in = stay.is_in;
        self.ask(
            place,
            &to,
            "get",
            "<ping xmlns='urn:xmpp:ping'/>",
            Asked::Ping { is_in },
        );
    }

    pub fn doze(&mut self, place: Place) {
        let client = self.client(place);
        client.asleep = !client.asleep;
        let state = if client.asleep { "inactive" } else { "active" };
        self.send(place, &format!("<{state} xmlns='urn:xmpp:csi:0'/>"));
    }

    pub fn client(&mut self, place: Place) -> &mut Client {
        self.clients
            .get_mut(&place)
            .expect("a client that is there")
    }

    pub fn rooms_of(&self, place: Place) -> Vec<usize> {
        let stays = self.clients[&place].stays.iter();
        stays
            .filter(|(_, stay)| stay.is_in)
            .map(|(room, _)| *room)
            .collect()
    }

    pub fn send(&mut self, place: Place, text: &str) {
        self.tell(format!("{} sends {text}", address(place)));
        let client = self
            .clients
            .get_mut(&place)
            .expect("a client that is there");
        let is_stanza = ["<message", "<presence", "<iq"]
            .iter()
            .any(|start| text.starts_with(start));
        if let Some(managed) = client.managed.as_mut().filter(|_| is_stanza) {
            managed.sent.push_back(text.to_owned());
        }
        let far = client.far;
        self.host.send(far, text);
    }
}
