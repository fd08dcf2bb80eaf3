//! Who may do what at a node (XEP-0060 §4.1, §4.5): a decision out of what somebody is to the owner and to the node, and of nothing else.

use super::config::{AccessModel, PublishModel};
use super::error::refused;
use super::{Node, Owner};
use crate::engine::Engine;
use crate::store::{NodeAffiliation, RosterItem, StoreError, Subscription};
use crate::xmpp::{Condition, Jid, StanzaError};

/// What somebody is to the owner of nodes.
#[derive(Clone, Debug, Default)]
pub struct Relation {
    /// Bare JID.
    pub bare: String,
    /// Whether it is the owner.
    pub is_owner: bool,
    /// Whether the owner lets it see presence.
    pub sees: bool,
    /// The groups of the owner's contact list that it is in.
    pub groups: Vec<String>,
}

/// Why somebody may not read or subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// §6.1.3.8, §6.5.9.10: an outcast; §4.1: one who may only publish.
    Outcast,
    /// §6.1.3.2, §6.5.9.6.
    NoPresence,
    /// §6.1.3.3, §6.5.9.7.
    NotInGroup,
    /// §6.1.3.4, §6.5.9.8.
    NotListed,
    /// §6.5.9.3.
    NotSubscribed,
}

impl From<Denied> for StanzaError {
    fn from(denied: Denied) -> StanzaError {
        match denied {
            Denied::Outcast => Condition::Forbidden.into(),
            Denied::NoPresence => {
                refused(Condition::NotAuthorized, "presence-subscription-required")
            }
            Denied::NotInGroup => refused(Condition::NotAuthorized, "not-in-roster-group"),
            Denied::NotListed => refused(Condition::NotAllowed, "closed-node"),
            Denied::NotSubscribed => refused(Condition::NotAuthorized, "not-subscribed"),
        }
    }
}

impl Node {
    /// What somebody is to the node: the owner of the nodes is the owner of each.
    pub fn affiliation(&self, who: &Relation) -> NodeAffiliation {
        if who.is_owner {
            return NodeAffiliation::Owner;
        }
        self.person(&who.bare)
            .map_or(NodeAffiliation::None, |person| person.affiliation)
    }

    /// Whether somebody may read items, and hears of events where it wants to.
    pub fn may_read(&self, who: &Relation) -> Result<(), Denied> {
        self.may_subscribe(who)?;
        let subscribed = self
            .person(&who.bare)
            .is_some_and(|person| person.subscriptions.iter().any(|one| !one.pending));
        // §4.5: one who is on the list need not be asked for.
        let listed = self.affiliation(who) != NodeAffiliation::None;
        match self.config().access() == AccessModel::Authorize && !subscribed && !listed {
            true => Err(Denied::NotSubscribed),
            false => Ok(()),
        }
    }

    /// Whether somebody may subscribe, perhaps after an owner has agreed.
    pub fn may_subscribe(&self, who: &Relation) -> Result<(), Denied> {
        match self.affiliation(who) {
            NodeAffiliation::Outcast | NodeAffiliation::PublishOnly => {
                return Err(Denied::Outcast);
            }
            NodeAffiliation::None => {}
            _ => return Ok(()),
        }
        let config = self.config();
        match config.access() {
            AccessModel::Open | AccessModel::Authorize => Ok(()),
            AccessModel::Presence if who.sees => Ok(()),
            AccessModel::Presence => Err(Denied::NoPresence),
            AccessModel::Roster => {
                let mut allowed = config.groups();
                match allowed.any(|group| who.groups.iter().any(|mine| mine == group)) {
                    true => Ok(()),
                    false => Err(Denied::NotInGroup),
                }
            }
            AccessModel::Whitelist => Err(Denied::NotListed),
        }
    }

    /// Whether a subscription of somebody waits for the owner (§6.1.4).
    pub fn asks_owner(&self, who: &Relation) -> bool {
        self.config().access() == AccessModel::Authorize
            && self.affiliation(who) == NodeAffiliation::None
    }

    /// Whether somebody may publish (§7.1.3.1).
    pub fn may_publish(&self, who: &Relation) -> bool {
        match self.affiliation(who) {
            NodeAffiliation::Owner | NodeAffiliation::Publisher | NodeAffiliation::PublishOnly => {
                return true;
            }
            NodeAffiliation::Outcast => return false,
            _ => {}
        }
        match self.config().publish_model() {
            PublishModel::Publishers => false,
            PublishModel::Open => self.may_read(who).is_ok(),
            PublishModel::Subscribers => self
                .person(&who.bare)
                .is_some_and(|person| person.subscriptions.iter().any(|one| !one.pending)),
        }
    }

    /// Whether somebody may retract or replace an item of this publisher (§4.1, §7.2.3.1): publishers any, who else may publish only its own.
    pub fn may_change(&self, who: &Relation, publisher: &str) -> bool {
        match self.affiliation(who) {
            NodeAffiliation::Owner | NodeAffiliation::Publisher => true,
            _ => self.may_publish(who) && who.bare == publisher,
        }
    }
}

impl Engine {
    /// What somebody is to an account. `groups` says whether the groups matter; who is online and whose groups do not matter costs no read, everybody
    /// else at most one.
    pub fn relation(
        &self,
        owner: &Owner,
        who: &Jid<'_>,
        groups: bool,
    ) -> Result<Relation, StoreError> {
        let mut relation = Relation {
            bare: who.bare().to_owned(),
            is_owner: owner.is(who),
            ..Relation::default()
        };
        if relation.is_owner {
            relation.sees = true;
            return Ok(relation);
        }
        let loaded = self.loaded_at(&owner.jid);
        if let Some(user) = loaded {
            relation.sees = self.lets_see(user, who.bare());
            if !groups {
                return Ok(relation);
            }
        }
        let bare = who.to_bare();
        let item = self.store.roster_item(owner.id, &bare)?;
        let item = item.unwrap_or_else(|| RosterItem::new(bare));
        let shown = self.shown(owner.name(), &item);
        relation.sees |= loaded.is_none()
            && matches!(shown.subscription, Subscription::From | Subscription::Both);
        relation.groups = shown.groups;
        Ok(relation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::pubsub::settings::settings;
    use crate::store::{self, Affiliate, NodeSubscription};

    fn node(access: &str, people: &[(&str, NodeAffiliation, &[bool])]) -> Node {
        let mut stored = store::Node::new("urn:x", "anna@a.test", 0);
        stored.settings = settings(&[("access_model", access), ("roster_groups_allowed", "F")]);
        let people = people.iter().map(|(jid, affiliation, pending)| Affiliate {
            jid: (*jid).to_owned(),
            affiliation: *affiliation,
            subscriptions: pending
                .iter()
                .map(|pending| NodeSubscription {
                    resource: String::new(),
                    pending: *pending,
                })
                .collect(),
        });
        Node {
            stored,
            people: people.collect(),
        }
    }

    fn ben(sees: bool, groups: &[&str]) -> Relation {
        Relation {
            bare: "ben@a.test".to_owned(),
            is_owner: false,
            sees,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    #[test]
    fn each_access_model_lets_in_whom_it_says() {
        use Denied::*;
        let stranger = ben(false, &[]);
        let friend = ben(true, &["F"]);
        let colleague = ben(true, &["C"]);
        let rows = [
            ("open", [Ok(()), Ok(()), Ok(())]),
            ("presence", [Err(NoPresence), Ok(()), Ok(())]),
            ("roster", [Err(NotInGroup), Ok(()), Err(NotInGroup)]),
            ("whitelist", [Err(NotListed); 3]),
            ("authorize", [Err(NotSubscribed); 3]),
        ];
        for (access, expected) in rows {
            let found = [&stranger, &friend, &colleague].map(|who| node(access, &[]).may_read(who));
            assert_eq!(found, expected, "{access}");
            for affiliation in [NodeAffiliation::Member, NodeAffiliation::Publisher] {
                let node = node(access, &[("ben@a.test", affiliation, &[])]);
                assert_eq!(node.may_read(&stranger), Ok(()), "{access}");
            }
            let node = node(
                access,
                &[("ben@a.test", NodeAffiliation::Outcast, &[false])],
            );
            assert_eq!(node.may_read(&friend), Err(Outcast), "{access}");
        }
        let waiting = node(
            "authorize",
            &[("ben@a.test", NodeAffiliation::None, &[true])],
        );
        assert_eq!(waiting.may_read(&friend), Err(NotSubscribed));
        assert_eq!(waiting.may_subscribe(&stranger), Ok(()));
        let agreed = node(
            "authorize",
            &[("ben@a.test", NodeAffiliation::None, &[false])],
        );
        assert_eq!(agreed.may_read(&stranger), Ok(()));
    }
}
