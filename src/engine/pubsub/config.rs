//! How a node is configured (XEP-0060 §16.4.4): one table says which settings there are, what they may be, and what they are where nobody says
//! anything. The defaults are those of XEP-0163 §5, and of a singleton node (XEP-0060 §12.20).

use super::error::{precondition_not_met, refused};
use crate::limits;
use crate::store::NodeAffiliation;
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

/// A node's settings that are not the default ones: name without `pubsub#`, and value.
pub type Settings = Vec<(String, String)>;

/// The configuration of a node, out of its settings.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a>(pub &'a [(String, String)]);

/// What a setting may be.
enum Kind {
    Flag,
    /// Value and label.
    Choice(&'static [(&'static str, &'static str)]),
    /// A number up to this one; with `max` where that is a word for it.
    Number {
        most: u64,
        max: bool,
    },
    Text,
    /// Several texts.
    Groups,
}

struct Setting {
    name: &'static str,
    label: &'static str,
    kind: Kind,
    default: &'static str,
}

const fn flag(name: &'static str, label: &'static str, default: &'static str) -> Setting {
    Setting {
        name,
        label,
        kind: Kind::Flag,
        default,
    }
}

const fn text(name: &'static str, label: &'static str) -> Setting {
    Setting {
        name,
        label,
        kind: Kind::Text,
        default: "",
    }
}

const ACCESS_MODEL: &str = "access_model";
const GROUPS: &str = "roster_groups_allowed";
const MAX_ITEMS: &str = "max_items";
const MAX_PAYLOAD: &str = "max_payload_size";

/// All settings, in the order of the form.
const SETTINGS: [Setting; 17] = [
    text("title", "A name for the node"),
    text("description", "What the node is about"),
    text("type", "The namespace of what is published"),
    Setting {
        name: ACCESS_MODEL,
        label: "Who may subscribe and read",
        kind: Kind::Choice(&[
            ("open", "Everybody"),
            ("presence", "Who sees my presence"),
            ("roster", "Who is in these groups of my contacts"),
            ("authorize", "Whom I let in"),
            ("whitelist", "Whom I put on the list"),
        ]),
        default: "presence",
    },
    Setting {
        name: GROUPS,
        label: "Groups of contacts that may subscribe and read",
        kind: Kind::Groups,
        default: "",
    },
    Setting {
        name: "publish_model",
        label: "Who may publish",
        kind: Kind::Choice(&[
            ("publishers", "Publishers"),
            ("subscribers", "Subscribers"),
            ("open", "Everybody who may read"),
        ]),
        default: "publishers",
    },
    flag("persist_items", "Whether items are kept", "true"),
    Setting {
        name: MAX_ITEMS,
        label: "How many items are kept; `max` for as many as the server allows",
        kind: Kind::Number {
            most: u32::MAX as u64,
            max: true,
        },
        default: "1",
    },
    Setting {
        name: MAX_PAYLOAD,
        label: "Bytes of the longest payload",
        kind: Kind::Number {
            most: limits::ITEM_BYTES as u64,
            max: false,
        },
        // `limits::ITEM_BYTES`; a test holds it.
        default: "245760",
    },
    Setting {
        name: "send_last_published_item",
        label: "When the last item is sent",
        kind: Kind::Choice(&[
            ("never", "Never"),
            ("on_sub", "To a new subscriber"),
            (
                "on_sub_and_presence",
                "To a new subscriber and to whoever comes online",
            ),
        ]),
        default: "on_sub_and_presence",
    },
    flag(
        "deliver_notifications",
        "Whether subscribers are told of events",
        "true",
    ),
    flag(
        "deliver_payloads",
        "Whether events carry what was published",
        "true",
    ),
    Setting {
        name: "notification_type",
        label: "The type of messages that tell of events",
        kind: Kind::Choice(&[("headline", "Headline"), ("normal", "Normal")]),
        default: "headline",
    },
    flag(
        "notify_config",
        "Whether subscribers are told of a new configuration",
        "false",
    ),
    flag(
        "notify_delete",
        "Whether subscribers are told when the node is deleted",
        "true",
    ),
    flag(
        "notify_retract",
        "Whether subscribers are told of retracted items",
        "true",
    ),
    Setting {
        name: "node_type",
        label: "The type of the node",
        kind: Kind::Choice(&[("leaf", "Leaf")]),
        default: "leaf",
    },
];

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
        let mine = self.0.iter().filter(|(name, _)| name == GROUPS);
        mine.map(|(_, group)| group.as_str())
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
            Kind::Groups => FieldType::TextMulti,
        };
        let mut field =
            Field::new(format!("pubsub#{}", setting.name), Some(kind)).label(setting.label);
        match &setting.kind {
            Kind::Groups => {
                for group in self.groups() {
                    field = field.value(group);
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

    /// §7.1.5: whether a node is as a publisher takes for granted.
    pub fn check(&self, options: &Form) -> Result<(), StanzaError> {
        let wanted = changed(&[], options, true)?;
        let wanted = Config(&wanted);
        for field in &options.fields {
            let Some(setting) = field.var.strip_prefix("pubsub#").and_then(setting) else {
                continue;
            };
            let met = match setting.kind {
                Kind::Groups => {
                    let (mut one, mut other): (Vec<_>, Vec<_>) =
                        (self.groups().collect(), wanted.groups().collect());
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

/// Settings changed by what a form says. What a form names that is unknown here is passed over, unless `strictly`: then it is refused (§7.1.5).
pub fn changed(
    before: &[(String, String)],
    form: &Form,
    strictly: bool,
) -> Result<Settings, StanzaError> {
    let mut settings = before.to_vec();
    for field in &form.fields {
        if field.var == "FORM_TYPE" {
            continue;
        }
        let Some(setting) = field.var.strip_prefix("pubsub#").and_then(setting) else {
            if strictly {
                return Err(StanzaError::text(
                    Condition::BadRequest,
                    format!("{:?} is not known here", field.var),
                ));
            }
            continue;
        };
        let values = setting.read(&field.values)?;
        settings.retain(|(name, _)| name != setting.name);
        settings.extend(
            values
                .into_iter()
                .filter(|value| value != setting.default)
                .map(|value| (setting.name.to_owned(), value)),
        );
    }
    Ok(settings)
}

/// Settings given by name and value, for a node that the server itself makes.
pub fn settings(given: &[(&str, &str)]) -> Settings {
    let given = given
        .iter()
        .filter(|(name, value)| setting(name).is_some_and(|known| known.default != *value));
    given
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

impl Setting {
    /// What a field says, in the one form in which it is kept and compared.
    fn read(&self, values: &[String]) -> Result<Vec<String>, StanzaError> {
        let wrong = || {
            StanzaError::text(
                Condition::NotAcceptable,
                format!("pubsub#{} cannot be that", self.name),
            )
        };
        let first = values.first().map(|value| value.trim()).unwrap_or_default();
        let one = match &self.kind {
            Kind::Flag => match first {
                "1" | "true" => "true".to_owned(),
                "0" | "false" => "false".to_owned(),
                _ => return Err(wrong()),
            },
            Kind::Choice(options) => match options.iter().find(|(value, _)| *value == first) {
                Some(_) => first.to_owned(),
                // §8.1.2.
                None if self.name == ACCESS_MODEL => {
                    return Err(refused(
                        Condition::NotAcceptable,
                        "unsupported-access-model",
                    ));
                }
                None => return Err(wrong()),
            },
            Kind::Number { max: true, .. } if first == "max" => first.to_owned(),
            Kind::Number { most, .. } => match first.parse::<u64>() {
                Ok(number) if number <= *most => number.to_string(),
                _ => return Err(wrong()),
            },
            Kind::Text => {
                if first.len() > limits::NODE_TEXT_BYTES {
                    return Err(wrong());
                }
                first.to_owned()
            }
            Kind::Groups => {
                let long = values
                    .iter()
                    .any(|group| group.len() > limits::ROSTER_NAME_BYTES);
                if long || values.len() > limits::NODE_GROUPS {
                    return Err(wrong());
                }
                return Ok(values.to_vec());
            }
        };
        Ok(vec![one])
    }
}

/// The names of affiliations (§4.1), in both directions.
pub const AFFILIATIONS: [(NodeAffiliation, &str); 5] = [
    (NodeAffiliation::Owner, "owner"),
    (NodeAffiliation::Publisher, "publisher"),
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
                Kind::Groups => Vec::new(),
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
