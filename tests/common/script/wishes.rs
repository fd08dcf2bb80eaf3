//! Clients that say what they want to hear of: presence with a hash, and the answer to the question about it (XEP-0115, XEP-0060 §9.2).

use super::{Play, Step};
use snug::engine::disco::{Identity, Info, verification};

impl Play {
    /// Sends presence that shows the wish to hear of these nodes, and answers if the server asks.
    pub(super) fn wants(&mut self, name: &str, nodes: &str, step: &Step<'_>) {
        let mut info = Info {
            identities: vec![Identity {
                category: "client".to_owned(),
                kind: "pc".to_owned(),
                ..Identity::default()
            }],
            ..Info::default()
        };
        info.features = nodes
            .split_whitespace()
            .map(|node| format!("{node}+notify"))
            .collect();
        let ver = verification("sha-1", &info.text()).expect("SHA-1 is known");
        let far = self.actor(name, step).far;
        let presence = format!(
            "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:c' ver='{ver}'/></presence>"
        );
        self.host.send(far, &presence);
        self.pull(name);
        let asks = |stanza: &String| stanza.contains(&format!("node='urn:c#{ver}'"));
        let inbox = &mut self.actor(name, step).inbox;
        let Some(place) = inbox.iter().position(asks) else {
            return;
        };
        let asked = inbox.remove(place).expect("it was just found");
        let id = asked
            .split_once(" id='")
            .and_then(|(_, rest)| rest.split_once('\''))
            .map(|(id, _)| id.to_owned())
            .expect("a question has an id");
        let payload = info.payload(None);
        self.host.send(
            far,
            &format!("<iq to='chat.test' id='{id}' type='result'>{payload}</iq>"),
        );
    }
}
