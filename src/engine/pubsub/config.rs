//! The configuration of a node (XEP-0060 §16.4.4), asked for what it means; what settings there are stands in `settings.rs`.

use super::error::{precondition_not_met, refused};
use super::publish::Wanted;
use super::settings::{
    ACCESS_MODEL, GROUPS, ITEM_EXPIRE, Kind, MAX_ITEMS, MAX_PAYLOAD, SETTINGS, Setting, changed,
    setting,
};
use crate::limits;
use crate::store::NodeAffiliation;
use crate::xml;
use crate::xmpp::form::FieldType;
use crate::xmpp::{Condition, Field, Form, FormType, StanzaError, ns};

/// Who may subscribe and read (XEP-0060 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessModel {
    /// Everybody.
    Open,
    /// Who may see the owner's presence.
    Presence,
    /// Who is in one of some groups of the owner's contact list.
    Roster,
    /// Who is asked for and let in by an owner.
    Authorize,
    /// Who stands in a list.
    Whitelist,
}

/// When the last item is sent without being asked for (XEP-0060 §16.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SendLast {
    /// Never.
    Never,
    /// To a new subscriber.
    OnSubscription,
    /// To a new subscriber, and to every client that comes.
    OnPresence,
}

/// What happens to a new item where as many are kept as may be (XEP-0060 §7.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest goes, and subscribers are told.
    RetractOldest,
    /// The oldest goes.
    DiscardOldest,
    /// The new one is refused.
    Reject,
}

/// Who is named as the publisher of an item (XEP-0060 §12.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemReply {
    /// The owner of the nodes.
    Owner,
    /// Who published it, where that is not whom the event comes from.
    Publisher,
    /// Nobody.
    Nobody,
}

/// Who may publish besides owners and publishers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishModel {
    /// Nobody.
    Publishers,
    /// Who is subscribed.
    Subscribers,
    /// Who may read.
    Open,
}

/// The configuration of a node, out of its settings.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a>(pub &'a [(String, String)]);

impl Config<'_> {
    /// One setting: what was said, or the default.
    fn get(&self, name: &str) -> &str {
        let said = self.0.iter().find(|(known, _)| known == name);
        said.map_or_else(|| setting(name).map_or("", |s| s.default), |(_, v)| v)
    }

    fn is(&self, name: &str) -> bool {
        self.get(name) == "true"
    }

    /// Who may subscribe and read.
    pub fn access(&self) -> AccessModel {
        match self.get(ACCESS_MODEL) {
            "open" => AccessModel::Open,
            "presence" => AccessModel::Presence,
            "roster" => AccessModel::Roster,
            "authorize" => AccessModel::Authorize,
            _ => AccessModel::Whitelist,
        }
    }

    /// The groups that [`AccessModel::Roster`] lets in.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.several(GROUPS)
    }

    fn several(&self, name: &str) -> impl Iterator<Item = &str> {
        let mine = self.0.iter().filter(move |(known, _)| known == name);
        mine.map(|(_, value)| value.as_str())
    }

    /// Whether who does not share presence may subscribe.
    pub fn takes_subscriptions(&self) -> bool {
        self.is("subscribe")
    }

    /// Who may publish besides publishers.
    pub fn publish_model(&self) -> PublishModel {
        match self.get("publish_model") {
            "open" => PublishModel::Open,
            "subscribers" => PublishModel::Subscribers,
            _ => PublishModel::Publishers,
        }
    }

    /// How many items are kept.
    pub fn max_items(&self) -> u32 {
        let said = self.get(MAX_ITEMS).parse().unwrap_or(u32::MAX);
        said.min(limits::ITEMS_PER_NODE)
    }

    /// What happens to a new item where as many are kept as may be.
    pub fn when_full(&self) -> WhenFull {
        match self.get("publish_node_full") {
            "reject" => WhenFull::Reject,
            "discard-oldest" => WhenFull::DiscardOldest,
            _ => WhenFull::RetractOldest,
        }
    }

    /// Milliseconds after which an item goes; `None` for never.
    pub fn expires_after_ms(&self) -> Option<u64> {
        let seconds: u64 = self.get(ITEM_EXPIRE).parse().ok()?;
        Some(seconds * 1000)
    }

    /// The namespace that payloads must have; empty for any.
    pub fn payload_type(&self) -> &str {
        self.get("type")
    }

    /// Bytes of the longest payload.
    pub fn max_payload(&self) -> usize {
        let said = self.get(MAX_PAYLOAD).parse().unwrap_or(usize::MAX);
        said.min(limits::ITEM_BYTES)
    }

    /// Whether items are kept.
    pub fn persists(&self) -> bool {
        self.is("persist_items") && self.max_items() > 0
    }

    /// When the last item is sent without being asked for.
    pub fn send_last(&self) -> SendLast {
        match self.get("send_last_published_item") {
            "never" => SendLast::Never,
            "on_sub" => SendLast::OnSubscription,
            _ => SendLast::OnPresence,
        }
    }

    /// Whether subscribers are told of events at all.
    pub fn notifies(&self) -> bool {
        self.is("deliver_notifications")
    }

    /// Whether events carry what was published.
    pub fn delivers_payloads(&self) -> bool {
        self.is("deliver_payloads")
    }

    /// The type of the messages that tell of events.
    pub fn message_type(&self) -> &str {
        self.get("notification_type")
    }

    /// Who is named as the publisher of an item.
    pub fn item_reply(&self) -> ItemReply {
        match self.get("itemreply") {
            "owner" => ItemReply::Owner,
            "none" => ItemReply::Nobody,
            _ => ItemReply::Publisher,
        }
    }

    /// Whether the owner is told who subscribes.
    pub fn notifies_subscriptions(&self) -> bool {
        self.is("notify_sub")
    }

    /// Whether subscribers are told of a new configuration.
    pub fn notifies_config(&self) -> bool {
        self.is("notify_config")
    }

    /// Whether subscribers are told when the node is deleted.
    pub fn notifies_delete(&self) -> bool {
        self.is("notify_delete")
    }

    /// Whether subscribers are told of retracted items without being asked for it.
    pub fn notifies_retract(&self) -> bool {
        self.is("notify_retract")
    }

    /// Its title; empty without one.
    pub fn title(&self) -> &str {
        self.get("title")
    }

    /// The form to change it, or as it is.
    pub fn form(&self, kind: FormType) -> Form {
        let mut form = Form::new(kind).form_type(ns::NODE_CONFIG);
        for setting in &SETTINGS {
            form = form.field(self.field(setting));
        }
        form
    }

    /// §5.4: what anybody who sees the node may know of it.
    pub fn metadata(&self) -> Form {
        let mut form = Form::new(FormType::Result).form_type(ns::NODE_METADATA);
        let told = [
            "type",
            "title",
            "description",
            "language",
            "contact",
            ACCESS_MODEL,
            "publish_model",
            MAX_ITEMS,
        ];
        for setting in told.iter().filter_map(|name| setting(name)) {
            if !self.get(setting.name).is_empty() {
                form = form.field(self.field(setting));
            }
        }
        form
    }

    fn field(&self, setting: &Setting) -> Field {
        let kind = match setting.kind {
            Kind::Flag => FieldType::Boolean,
            Kind::Choice(_) => FieldType::ListSingle,
            Kind::Number { .. } | Kind::Text => FieldType::TextSingle,
            Kind::Several(kind) => kind,
        };
        let mut field =
            Field::new(format!("pubsub#{}", setting.name), Some(kind)).label(setting.label);
        match &setting.kind {
            Kind::Several(_) => {
                for value in self.several(setting.name) {
                    field = field.value(value);
                }
            }
            Kind::Choice(options) => {
                field = field.value(self.get(setting.name));
                for (value, label) in *options {
                    field = field.option(label, value);
                }
            }
            _ => field = field.value(self.get(setting.name)),
        }
        field
    }

    /// What of a publication is an item here (§4.3, §7.1.3).
    pub(super) fn check_item(&self, item: Option<Wanted>) -> Result<Option<Wanted>, StanzaError> {
        let bad = |name| refused(Condition::BadRequest, name);
        let Some(item) = item else {
            return match self.persists() || self.delivers_payloads() {
                true => Err(bad("item-required")),
                false => Ok(None),
            };
        };
        if !self.persists() && !self.delivers_payloads() {
            return Err(bad("item-forbidden"));
        }
        if item.xml.len() > self.max_payload() {
            return Err(refused(Condition::NotAcceptable, "payload-too-big"));
        }
        if item.xml.is_empty() {
            return match self.delivers_payloads() {
                true => Err(bad("payload-required")),
                false => Ok(Some(item)),
            };
        }
        // §7.1.3.6.
        let wanted = self.payload_type();
        let is_wanted = |xml: &str| {
            xml::Document::parse(xml.to_owned()).is_ok_and(|payload| payload.root().is_in(wanted))
        };
        match wanted.is_empty() || is_wanted(&item.xml) {
            true => Ok(Some(item)),
            false => Err(bad("invalid-payload")),
        }
    }

    /// §7.1.5: whether a node is as a publisher takes for granted.
    pub fn check(&self, options: &Form) -> Result<(), StanzaError> {
        let wanted = changed(&[], options, true)?;
        let wanted = Config(&wanted);
        for field in &options.fields {
            let Some(setting) = field.var.strip_prefix("pubsub#").and_then(setting) else {
                continue;
            };
            let met = match setting.kind {
                Kind::Several(_) => {
                    let (mut one, mut other): (Vec<_>, Vec<_>) = (
                        self.several(setting.name).collect(),
                        wanted.several(setting.name).collect(),
                    );
                    one.sort_unstable();
                    other.sort_unstable();
                    one == other
                }
                _ => self.get(setting.name) == wanted.get(setting.name),
            };
            if !met {
                return Err(precondition_not_met());
            }
        }
        Ok(())
    }
}

/// The names of affiliations (§4.1), in both directions.
pub const AFFILIATIONS: [(NodeAffiliation, &str); 6] = [
    (NodeAffiliation::Owner, "owner"),
    (NodeAffiliation::Publisher, "publisher"),
    (NodeAffiliation::PublishOnly, "publish-only"),
    (NodeAffiliation::Member, "member"),
    (NodeAffiliation::None, "none"),
    (NodeAffiliation::Outcast, "outcast"),
];

/// An affiliation's name.
pub fn name_of(affiliation: NodeAffiliation) -> &'static str {
    let row = AFFILIATIONS.iter().find(|(known, _)| *known == affiliation);
    row.map_or("none", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Form {
        let mut form = Form::new(FormType::Submit);
        for (name, value) in fields {
            form = form.field(Field::new(*name, None).value(*value));
        }
        form
    }

    #[test]
    fn a_default_is_not_kept_and_what_is_kept_is_in_one_form() {
        let said = form(&[
            ("pubsub#persist_items", "1"),
            ("pubsub#notify_config", "1"),
            ("pubsub#max_items", " 010"),
            ("pubsub#unknown", "x"),
        ]);
        let kept = changed(&[], &said, false).unwrap();
        let texts: Vec<_> = kept.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(texts, ["notify_config=true", "max_items=10"]);
        assert!(changed(&[], &said, true).is_err());
        let back = changed(&kept, &form(&[("pubsub#max_items", "1")]), true).unwrap();
        assert_eq!(back.len(), 1);
    }

    #[test]
    fn preconditions_compare_what_is_meant() {
        let kept = changed(&[], &form(&[("pubsub#max_items", "max")]), true).unwrap();
        let node = Config(&kept);
        assert!(node.check(&form(&[("pubsub#persist_items", "1")])).is_ok());
        assert!(node.check(&form(&[("pubsub#max_items", "max")])).is_ok());
        assert!(node.check(&form(&[("pubsub#max_items", "5")])).is_err());
        assert!(
            node.check(&form(&[("pubsub#access_model", "open")]))
                .is_err()
        );
        assert_eq!(node.max_items(), limits::ITEMS_PER_NODE);
    }

    #[test]
    fn every_default_is_a_value() {
        for setting in &SETTINGS {
            let values = match setting.kind {
                Kind::Several(_) => Vec::new(),
                _ => vec![setting.default.to_owned()],
            };
            assert_eq!(setting.read(&values).unwrap(), values, "{}", setting.name);
        }
        assert_eq!(Config(&[]).max_payload(), limits::ITEM_BYTES);
        assert_eq!(
            setting(MAX_PAYLOAD).unwrap().default,
            limits::ITEM_BYTES.to_string()
        );
    }
}
