//! The tables of RFC 6121 appendix A as steps: nine states, four stanzas, two directions. Each row plays between two accounts of its own,
//! whose states are written into the store before they log in.

use super::{Play, Step};
use snug::store::{RosterItem, Subscription};
use snug::xmpp::BareJid;

impl Play {
    /// `appendix A outbound subscribe, to one who is None` or `appendix A inbound subscribed, from one who is From`, with rows
    /// `None + Pending In -> delivered, None`.
    pub(super) fn appendix_a(&mut self, what: &str, step: &Step<'_>) {
        let (head, other) = what
            .split_once(" one who is ")
            .unwrap_or_else(|| self.fail(step, "who is the other one?"));
        let outbound = head.starts_with("outbound ");
        let kind = head
            .split([' ', ','])
            .nth(1)
            .unwrap_or_else(|| self.fail(step, "which stanza?"));
        for (number, row) in step.block.lines().map(str::trim).enumerate() {
            let (before, rest) = row
                .split_once(" -> ")
                .unwrap_or_else(|| self.fail(step, row));
            let (fate, after) = rest
                .split_once(", ")
                .unwrap_or_else(|| self.fail(step, row));
            let names = ["one", "two"].map(|who| format!("{who}{}-{number}", step.line));
            self.row(
                &names,
                [before.trim(), other.trim()],
                outbound,
                kind,
                fate,
                after,
                step,
            );
        }
    }

    /// `between anna and ben: To + Pending In` is anna's state; ben's is its mirror. Both have no session yet.
    pub(super) fn between(&mut self, what: &str, step: &Step<'_>) {
        let parts = what.split_once(": ");
        let (names, state) = parts.unwrap_or_else(|| self.fail(step, "which state?"));
        let names = names.split_once(" and ");
        let (user, contact) = names.unwrap_or_else(|| self.fail(step, "between whom?"));
        let (base, pending) = state.split_once(" + Pending ").unwrap_or((state, ""));
        let base = match base {
            "To" => "From",
            "From" => "To",
            both_or_none => both_or_none,
        };
        let mirror = match pending {
            "" => base.to_owned(),
            "Out" => format!("{base} + Pending In"),
            "In" => format!("{base} + Pending Out"),
            both => format!("{base} + Pending {both}"),
        };
        self.put_state(user, contact, state, step);
        self.put_state(contact, user, &mirror, step);
    }

    #[allow(clippy::too_many_arguments)]
    fn row(
        &mut self,
        names: &[String; 2],
        states: [&str; 2],
        outbound: bool,
        kind: &str,
        fate: &str,
        after: &str,
        step: &Step<'_>,
    ) {
        let [tested, other] = names.each_ref().map(|name| format!("{name}/r"));
        for name in names {
            self.host.account(name, "secret");
        }
        self.put_state(&names[0], &names[1], states[0], step);
        self.put_state(&names[1], &names[0], states[1], step);
        for name in [&tested, &other] {
            self.log_in(name, step);
            self.go_online(name, step);
        }
        for name in [&tested, &other] {
            self.pull(name);
            self.actor(name, step).inbox.clear();
        }
        let (from, to) = match outbound {
            true => (&tested, &other),
            false => (&other, &tested),
        };
        let far = self.actor(from, step).far;
        let bare = to.trim_end_matches("/r");
        self.host.bytes(
            far,
            format!("<presence to='{bare}@chat.test' type='{kind}'/>").as_bytes(),
        );
        let stanza = self.place_of(to, &format!("type='{kind}'"), step);
        let push = self.place_of(&tested, "jabber:iq:roster", step);
        let row = format!("{} -> {fate}, {after}", states[0]);
        if stanza.is_some() != (fate == "delivered") {
            self.fail(step, &format!("{row}: it was not {fate}"));
        }
        let now = self.state(&names[0], &names[1]);
        if now != after {
            self.fail(step, &format!("{row}: the state is {now}"));
        }
        if push.is_some() != (visible(states[0]) != visible(after)) {
            self.fail(step, &format!("{row}: the push is {push:?}"));
        }
        // §3.1.6, §3.2.3, §3.3.3: first the stanza, then what it changed.
        if !outbound && stanza.is_some() && push.is_some() && stanza > push {
            self.fail(step, &format!("{row}: the push came before the stanza"));
        }
        for name in [&tested, &other] {
            self.actors.remove(name);
        }
    }

    fn place_of(&mut self, name: &str, text: &str, step: &Step<'_>) -> Option<usize> {
        self.pull(name);
        let inbox = &self.actor(name, step).inbox;
        inbox.iter().position(|stanza| stanza.contains(text))
    }

    pub(super) fn put_state(&mut self, user: &str, contact: &str, state: &str, step: &Step<'_>) {
        let (base, pending) = state.split_once(" + Pending ").unwrap_or((state, ""));
        let subscription = match base {
            "None" => Subscription::None,
            "To" => Subscription::To,
            "From" => Subscription::From,
            "Both" => Subscription::Both,
            _ => self.fail(step, &format!("{state} is no state")),
        };
        let request = format!(
            "<presence from='{contact}@chat.test' to='{user}@chat.test' type='subscribe'/>"
        );
        let item = RosterItem {
            jid: BareJid::new(Some(contact), "chat.test").expect("a test's name is a name"),
            name: None,
            groups: Vec::new(),
            subscription,
            ask: pending.starts_with("Out"),
            approved: false,
            pending_in: pending.ends_with("In").then_some(request),
            listed: state != "None + Pending In",
            apart: false,
        };
        let store = &self.host.engine.store;
        let id = store
            .account(user)
            .expect("the store reads")
            .expect("made above")
            .id;
        match state {
            // Appendix A.1: one who is not in the roster at all is in this state.
            "None" => {}
            _ => store.put_roster_item(id, &item).expect("the store writes"),
        }
    }

    fn state(&self, user: &str, contact: &str) -> String {
        let store = &self.host.engine.store;
        let id = store
            .account(user)
            .expect("the store reads")
            .expect("made above")
            .id;
        let contact = BareJid::new(Some(contact), "chat.test").expect("a test's name is a name");
        let Some(item) = store.roster_item(id, &contact).expect("the store reads") else {
            return "None".to_owned();
        };
        let pending = match (item.ask, item.pending_in.is_some()) {
            (false, false) => "",
            (true, false) => " + Pending Out",
            (false, true) => " + Pending In",
            (true, true) => " + Pending Out+In",
        };
        let approved = if item.approved { ", pre-approved" } else { "" };
        format!("{:?}{pending}{approved}", item.subscription)
    }
}

/// What of a state stands in the roster (RFC 6121 §2.1.2).
fn visible(state: &str) -> (&str, bool, bool) {
    let (state, approved) = match state.strip_suffix(", pre-approved") {
        Some(state) => (state, true),
        None => (state, false),
    };
    let (base, pending) = state.split_once(" + Pending ").unwrap_or((state, ""));
    (base, pending.starts_with("Out"), approved)
}
