//! Those who have something to do with a node: subscriptions and affiliations (XEP-0060 §6.1, §6.2, §8.6 to §8.9).

use super::access::Relation;
use super::config::AccessModel;
use super::error::{not_subscribed, refused, too_many_subscriptions, unsupported};
use super::{Node, Owner};
use crate::engine::Engine;
use crate::engine::delivery::Delivery;
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::{Affiliate, NodeAffiliation, NodeSubscription, RosterItem, StoreError};
use crate::xml::{Writer, written};
use crate::xmpp::form::FieldType;
use crate::xmpp::{Condition, Field, Form, FormType, Jid, StanzaError, ns};

/// The state of a subscription (XEP-0060 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none.
    None,
    /// An owner still has to agree.
    Pending,
    /// It holds.
    Subscribed,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            State::None => "none",
            State::Pending => "pending",
            State::Subscribed => "subscribed",
        }
    }

    /// By its name; `unconfigured` is not known here.
    pub fn named(name: &str) -> Option<State> {
        [State::None, State::Pending, State::Subscribed]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

impl From<&NodeSubscription> for State {
    fn from(subscription: &NodeSubscription) -> State {
        match subscription.pending {
            true => State::Pending,
            false => State::Subscribed,
        }
    }
}

impl Affiliate {
    /// Its subscriptions: address and state.
    pub fn subscribed(&self) -> impl Iterator<Item = (String, State)> {
        self.subscriptions.iter().map(|one| {
            let jid = match &*one.resource {
                "" => self.jid.clone(),
                resource => format!("{}/{resource}", self.jid),
            };
            (jid, State::from(one))
        })
    }
}

impl Engine {
    /// Somebody subscribes an address of its own (§6.1). The last item follows where the node is configured so.
    pub fn subscribe(
        &mut self,
        owner: &Owner,
        name: &str,
        who: &Relation,
        jid: &Jid<'_>,
    ) -> Result<State, StanzaError> {
        let Some(node) = self.node_of(owner, name)? else {
            return Err(Condition::ItemNotFound.into());
        };
        node.may_subscribe(who)?;
        // §6.1.3.10.
        if !node.config().takes_subscriptions() && node.affiliation(who) == NodeAffiliation::None {
            return Err(unsupported("subscribe"));
        }
        let resource = jid.resource().unwrap_or_default();
        let person = node.person(&who.bare);
        let mine = person.map_or(&[][..], |person| &person.subscriptions);
        if let Some(there) = mine.iter().find(|one| one.resource == resource) {
            // §6.1.3.7; a second subscription of the same address is the first one (§6.1.6).
            return match there.pending {
                true => Err(refused(Condition::NotAuthorized, "pending-subscription")),
                false => Ok(State::Subscribed),
            };
        }
        if mine.len() >= limits::SUBSCRIPTIONS_PER_AFFILIATE {
            return Err(too_many_subscriptions());
        }
        let asks = node.asks_owner(who);
        let state = match asks {
            true => State::Pending,
            false => State::Subscribed,
        };
        self.set_subscription(owner, name, jid, state)
            .map_err(|error| match error.condition {
                Condition::ResourceConstraint if error.app.is_none() => too_many_subscriptions(),
                _ => error,
            })?;
        if asks {
            self.ask_owner(owner, name, jid)?;
        } else {
            self.send_last_to_subscriber(owner, name, jid)?;
        }
        self.tell_owner(owner, name, jid, state);
        Ok(state)
    }

    /// Somebody subscribes no more (§6.2).
    pub fn unsubscribe(
        &mut self,
        owner: &Owner,
        name: &str,
        jid: &Jid<'_>,
    ) -> Result<(), StanzaError> {
        let Some(node) = self.node_of(owner, name)? else {
            return Err(Condition::ItemNotFound.into());
        };
        match node.subscription(jid) {
            State::None => Err(not_subscribed()),
            _ => {
                self.set_subscription(owner, name, jid, State::None)?;
                self.tell_owner(owner, name, jid, State::None);
                Ok(())
            }
        }
    }

    /// Sets the state of an address's subscription, without a word to anybody.
    pub fn set_subscription(
        &mut self,
        owner: &Owner,
        name: &str,
        jid: &Jid<'_>,
        state: State,
    ) -> Result<(), StanzaError> {
        let resource = jid.resource().unwrap_or_default();
        self.change_person(owner, name, jid.bare(), |person| {
            person.subscriptions.retain(|one| one.resource != resource);
            if state != State::None {
                person.subscriptions.push(NodeSubscription {
                    resource: resource.to_owned(),
                    pending: state == State::Pending,
                });
            }
        })
    }

    /// Sets what somebody is to a node (§8.9.2).
    pub fn set_affiliation(
        &mut self,
        owner: &Owner,
        name: &str,
        bare: &str,
        affiliation: NodeAffiliation,
    ) -> Result<(), StanzaError> {
        let mut before = self.hearers(owner, name)?;
        self.change_person(owner, name, bare, |person| {
            person.affiliation = affiliation;
        })?;
        self.cancel_unallowed(owner, name)?;
        before.extend(self.settle_pending(owner, name)?);
        Ok(self.send_last_to_new(owner, name, &before)?)
    }

    fn change_person(
        &mut self,
        owner: &Owner,
        name: &str,
        bare: &str,
        change: impl FnOnce(&mut Affiliate),
    ) -> Result<(), StanzaError> {
        let people: usize = self.nodes_of(owner)?.map(|node| node.people.len()).sum();
        let Engine { store, pubsub, .. } = self;
        let Some(node) = pubsub.node_mut(owner, name) else {
            return Err(Condition::ItemNotFound.into());
        };
        let place = node.people.iter().position(|person| person.jid == bare);
        if place.is_none() && people >= limits::AFFILIATES_PER_OWNER {
            return Err(StanzaError::text(
                Condition::ResourceConstraint,
                "too many people have something to do with these nodes",
            ));
        }
        let mut person = match place {
            Some(place) => node.people[place].clone(),
            None => Affiliate {
                jid: bare.to_owned(),
                affiliation: NodeAffiliation::None,
                subscriptions: Vec::new(),
            },
        };
        change(&mut person);
        store.put_affiliate(owner.id, node.stored.number, &person)?;
        let stays = person.affiliation != NodeAffiliation::None || !person.subscriptions.is_empty();
        match (place, stays) {
            (Some(place), true) => node.people[place] = person,
            (Some(place), false) => drop(node.people.remove(place)),
            (None, true) => node.people.push(person),
            (None, false) => {}
        }
        Ok(())
    }

    /// An owner agrees to a subscription that waits for it, or does not (§8.6). Whether one waited.
    pub fn answer_subscription(
        &mut self,
        owner: &Owner,
        name: &str,
        jid: &Jid<'_>,
        allow: bool,
    ) -> Result<bool, StanzaError> {
        let waits = self
            .node_of(owner, name)?
            .is_some_and(|node| node.subscription(jid) == State::Pending);
        if !waits {
            return Ok(false);
        }
        let state = match allow {
            true => State::Subscribed,
            false => State::None,
        };
        self.set_subscription(owner, name, jid, state)?;
        self.tell_subscription(owner, name, jid, state);
        if allow {
            self.send_last_to_subscriber(owner, name, jid)?;
        }
        Ok(true)
    }

    /// §8.7.4: subscriptions that need no answer any more hold: who waits is on the list now, or the node asks for nobody. The sessions that heard it.
    pub(super) fn settle_pending(
        &mut self,
        owner: &Owner,
        name: &str,
    ) -> Result<Vec<SessionId>, StanzaError> {
        let Some(node) = self.pubsub.node(owner, name) else {
            return Ok(Vec::new());
        };
        let asks = node.config().access() == AccessModel::Authorize;
        let settled: Vec<String> = node
            .people
            .iter()
            .filter(|person| !asks || person.affiliation != NodeAffiliation::None)
            .flat_map(|person| person.subscribed())
            .filter(|(_, state)| *state == State::Pending)
            .map(|(jid, _)| jid)
            .collect();
        let mut heard = Vec::new();
        for jid in settled.iter().filter_map(|jid| Jid::parse(jid).ok()) {
            self.answer_subscription(owner, name, &jid, true)?;
            heard.extend(self.sessions_for(&jid));
        }
        Ok(heard)
    }

    /// Tells an address how its subscription is now (§12.14), where it is there.
    pub fn tell_subscription(&mut self, owner: &Owner, name: &str, jid: &Jid<'_>, state: State) {
        let event = subscription_event(name, jid, state);
        let to = self.sessions_for(jid);
        self.send_event(owner, &to, "headline", &event, None);
    }

    /// The same to the owner, where the node is configured so (`notify_sub`).
    fn tell_owner(&mut self, owner: &Owner, name: &str, jid: &Jid<'_>, state: State) {
        let told = self
            .pubsub
            .node(owner, name)
            .is_some_and(|node| node.config().notifies_subscriptions());
        if told {
            let event = subscription_event(name, jid, state);
            let to = self.sessions_for(&Jid::from(&owner.jid));
            self.send_event(owner, &to, "headline", &event, None);
        }
    }

    /// The sessions that a message for an address reaches.
    pub(super) fn sessions_for(&self, jid: &Jid<'_>) -> Vec<SessionId> {
        if !self.is_local(jid) {
            return Vec::new();
        }
        let name = jid.local().unwrap_or_default();
        match jid.resource() {
            Some(resource) => self.session_at(name, resource).into_iter().collect(),
            None => {
                let mut sessions = self.sessions_of(name);
                sessions.retain(|session| self.is_messageable(*session));
                sessions
            }
        }
    }

    /// §6.1.7: a new subscriber gets the last item.
    fn send_last_to_subscriber(
        &mut self,
        owner: &Owner,
        name: &str,
        jid: &Jid<'_>,
    ) -> Result<(), StoreError> {
        let to = self.sessions_for(jid);
        self.send_last_to(owner, name, &to)
    }

    /// §8.6: asks an account whether somebody may subscribe. It waits like any message where nobody is there.
    pub fn ask_owner(
        &mut self,
        owner: &Owner,
        name: &str,
        jid: &Jid<'_>,
    ) -> Result<(), StanzaError> {
        let form = Form::new(FormType::Form)
            .title("Subscription request")
            .instructions("Choose whether to let this address subscribe to your node.")
            .form_type(ns::SUBSCRIBE_AUTHORIZATION)
            .field(
                Field::new("pubsub#node", Some(FieldType::TextSingle))
                    .label("Node")
                    .value(name),
            )
            .field(
                Field::new("pubsub#subscriber_jid", Some(FieldType::JidSingle))
                    .label("Who wants to subscribe")
                    .value(jid.as_str()),
            )
            .field(
                Field::new("pubsub#allow", Some(FieldType::Boolean))
                    .label("Let this address subscribe?")
                    .value("false"),
            );
        let id = self.random.id();
        let bare = owner.jid.as_str();
        let text = written(|out| {
            out.start("message")
                .attr("from", bare)
                .attr("to", bare)
                .attr("id", &id);
            form.write(out);
            out.end();
        });
        let to = self.sessions_for(&Jid::from(&owner.jid));
        if to.is_empty() {
            return match self.store.push_offline(owner.id, self.now.wall_ms, &text) {
                Ok(_) => Ok(()),
                Err(StoreError::QueueFull) => Err(Condition::ResourceConstraint.into()),
                Err(error) => Err(error.into()),
            };
        }
        for session in to {
            self.deliver(session, Delivery::of(bare), |out| {
                out.extend_from_slice(text.as_bytes())
            });
        }
        Ok(())
    }

    /// XEP-0163 §7.1: who may not read a node any more is not subscribed to it any more, and hears so.
    pub(super) fn cancel_unallowed(&mut self, owner: &Owner, name: &str) -> Result<(), StoreError> {
        let Some(node) = self.pubsub.node(owner, name) else {
            return Ok(());
        };
        let groups = node.config().access() == AccessModel::Roster;
        let mut lost = Vec::new();
        for person in node
            .people
            .iter()
            .filter(|one| !one.subscriptions.is_empty())
        {
            let Ok(jid) = Jid::parse(&person.jid) else {
                continue;
            };
            let relation = self.relation(owner, &jid, groups)?;
            if node.may_subscribe(&relation).is_err() {
                lost.extend(person.subscribed().map(|(jid, _)| jid));
            }
        }
        for jid in lost.iter().filter_map(|jid| Jid::parse(jid).ok()) {
            if let Err(error) = self.set_subscription(owner, name, &jid, State::None) {
                log::error!("a subscription could not be cancelled: {error:?}");
            }
            self.tell_subscription(owner, name, &jid, State::None);
        }
        Ok(())
    }

    /// What a contact is to an account has changed. Where it may not read a node any more it is not subscribed to it any more; where it is in a group
    /// that may, it gets the last item (§12.2).
    pub fn recheck_contact(
        &mut self,
        name: &str,
        before: &RosterItem,
        now: &RosterItem,
    ) -> Result<(), StoreError> {
        let contact = &now.jid;
        let Some(owner) = self.account_owner(name)? else {
            return Ok(());
        };
        let (was, is) = (self.shown(name, before), self.shown(name, now));
        let lets_in = |node: &Node, item: &RosterItem| {
            let config = node.config();
            config
                .groups()
                .any(|group| item.groups.iter().any(|mine| mine == group))
        };
        let opened: Vec<String> = self
            .nodes_of(&owner)?
            .filter(|node| node.config().access() == AccessModel::Roster)
            .filter(|node| lets_in(node, &is) && !lets_in(node, &was))
            .map(|node| node.name().to_owned())
            .collect();
        for node in opened {
            let hearers = self.hearers(&owner, &node)?;
            let own = self.available_at(contact);
            let to: Vec<SessionId> = own.filter(|session| hearers.contains(session)).collect();
            self.send_last_to(&owner, &node, &to)?;
        }
        let subscribed: Vec<String> = self
            .nodes_of(&owner)?
            .filter(|node| {
                node.person(contact.as_str())
                    .is_some_and(|person| !person.subscriptions.is_empty())
            })
            .map(|node| node.name().to_owned())
            .collect();
        for node in subscribed {
            self.cancel_unallowed(&owner, &node)?;
        }
        Ok(())
    }
}

impl Node {
    /// The addresses that wait for the owner's answer.
    pub fn pending(&self) -> Vec<String> {
        self.people
            .iter()
            .flat_map(Affiliate::subscribed)
            .filter(|(_, state)| *state == State::Pending)
            .map(|(jid, _)| jid)
            .collect()
    }

    /// The state of an address's subscription.
    pub fn subscription(&self, jid: &Jid<'_>) -> State {
        let resource = jid.resource().unwrap_or_default();
        let mut mine = self
            .person(jid.bare())
            .into_iter()
            .flat_map(|person| &person.subscriptions);
        mine.find(|one| one.resource == resource)
            .map_or(State::None, State::from)
    }
}

fn subscription_event(name: &str, jid: &Jid<'_>, state: State) -> String {
    written(|out| {
        out.start("event").attr("xmlns", ns::PUBSUB_EVENT);
        write_subscription(out, Some(name), jid.as_str(), state);
        out.end();
    })
}

/// `<subscription/>`, as answers and events have it.
pub fn write_subscription(out: &mut Writer<'_>, node: Option<&str>, jid: &str, state: State) {
    out.start("subscription")
        .attr_opt("node", node)
        .attr("jid", jid)
        .attr("subscription", state.name())
        .end();
}
