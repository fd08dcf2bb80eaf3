//! What a node can be configured to (XEP-0060 §16.4.4): one table says which settings there are, what they may be, and what they are where nobody
//! says anything. The defaults are those of XEP-0163 §5, and of a singleton node (XEP-0060 §12.20).

use super::error::{refused, unsupported};
use crate::limits;
use crate::xmpp::form::FieldType;
use crate::xmpp::{Condition, Form, StanzaError};

/// A node's settings that are not the default ones: name without `pubsub#`, and value.
pub type Settings = Vec<(String, String)>;

/// What a setting may be.
pub(super) enum Kind {
    Flag,
    /// Value and label.
    Choice(&'static [(&'static str, &'static str)]),
    /// A number in these bounds; with `max` where that is a word for the greatest.
    Number {
        least: u64,
        most: u64,
        max: bool,
    },
    Text,
    /// Several texts, in a field of this type.
    Several(FieldType),
}

/// A setting.
pub(super) struct Setting {
    /// Its name without `pubsub#`.
    pub name: &'static str,
    /// What people see.
    pub label: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it is where nobody says anything.
    pub default: &'static str,
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

pub(super) const ACCESS_MODEL: &str = "access_model";
pub(super) const GROUPS: &str = "roster_groups_allowed";
pub(super) const ITEM_EXPIRE: &str = "item_expire";
pub(super) const MAX_ITEMS: &str = "max_items";
pub(super) const MAX_PAYLOAD: &str = "max_payload_size";

/// All settings, in the order of the form.
pub(super) const SETTINGS: [Setting; 24] = [
    text("title", "A name for the node"),
    text("description", "What the node is about"),
    text("type", "The namespace of what is published"),
    text("language", "The language of what is published"),
    Setting {
        name: "contact",
        label: "Whom to ask about the node",
        kind: Kind::Several(FieldType::JidMulti),
        default: "",
    },
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
        kind: Kind::Several(FieldType::TextMulti),
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
    flag(
        "subscribe",
        "Whether others may subscribe without sharing presence",
        "true",
    ),
    flag("persist_items", "Whether items are kept", "true"),
    Setting {
        name: MAX_ITEMS,
        label: "How many items are kept; `max` for as many as the server allows",
        kind: Kind::Number {
            least: 0,
            most: u32::MAX as u64,
            max: true,
        },
        default: "1",
    },
    Setting {
        name: "publish_node_full",
        label: "What happens to a new item where as many are kept as may be",
        kind: Kind::Choice(&[
            (
                "retract-oldest",
                "The oldest is retracted, and subscribers are told",
            ),
            ("discard-oldest", "The oldest goes without a word"),
            ("reject", "The new one is refused"),
        ]),
        default: "retract-oldest",
    },
    Setting {
        name: ITEM_EXPIRE,
        label: "Seconds after which an item goes; `max` for never",
        kind: Kind::Number {
            least: 1,
            most: u32::MAX as u64,
            max: true,
        },
        default: "max",
    },
    Setting {
        name: MAX_PAYLOAD,
        label: "Bytes of the longest payload",
        kind: Kind::Number {
            least: 0,
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
    Setting {
        name: "itemreply",
        label: "Who is named as the publisher of an item",
        kind: Kind::Choice(&[
            ("owner", "The owner"),
            ("publisher", "Who published it, where that is not the owner"),
            ("none", "Nobody"),
        ]),
        default: "publisher",
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
    flag(
        "notify_sub",
        "Whether the owner is told who subscribes and who does not any more",
        "false",
    ),
    Setting {
        name: "node_type",
        label: "The type of the node",
        kind: Kind::Choice(&[("leaf", "Leaf")]),
        default: "leaf",
    },
];

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

/// The setting of a name.
pub(super) fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

impl Setting {
    /// What a field says, in the one form in which it is kept and compared.
    pub(super) fn read(&self, values: &[String]) -> Result<Vec<String>, StanzaError> {
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
                // XEP-0248 §6: there are no collections here.
                None if self.name == "node_type" => return Err(unsupported("collections")),
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
            Kind::Number { least, most, .. } => match first.parse::<u64>() {
                Ok(number) if (*least..=*most).contains(&number) => number.to_string(),
                _ => return Err(wrong()),
            },
            Kind::Text => {
                if first.len() > limits::NODE_TEXT_BYTES {
                    return Err(wrong());
                }
                first.to_owned()
            }
            Kind::Several(_) => {
                let long = values
                    .iter()
                    .any(|value| value.len() > limits::NODE_TEXT_BYTES);
                if long || values.len() > limits::NODE_GROUPS {
                    return Err(wrong());
                }
                return Ok(values.to_vec());
            }
        };
        Ok(vec![one])
    }
}
