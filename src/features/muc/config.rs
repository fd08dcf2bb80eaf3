//! XEP-0045 §10.2, §16.5.3: the form of a room's configuration. One row describes a field: its name, its label, how it is shown and read.

use super::roles::Role;
use crate::limits;
use crate::store::{PrivateMessages, RoomConfig};
use crate::xmpp::{Condition, Field, FieldType, Form, FormType, StanzaError, ns};

/// One field of the form.
struct Entry {
    var: &'static str,
    label: &'static str,
    kind: FieldType,
    /// Value and label of what can be chosen.
    options: &'static [(&'static str, &'static str)],
    show: fn(&RoomConfig) -> Vec<String>,
    /// Takes values over; `false` where they make no sense.
    read: fn(&mut RoomConfig, &[String]) -> bool,
}

const ROLES: &[(&str, &str)] = &[
    ("moderator", "Moderator"),
    ("participant", "Participant"),
    ("visitor", "Visitor"),
];

const WHISPERERS: [(PrivateMessages, &str); 4] = [
    (PrivateMessages::Anyone, "anyone"),
    (PrivateMessages::Participants, "participants"),
    (PrivateMessages::Moderators, "moderators"),
    (PrivateMessages::Nobody, "none"),
];

/// Every field but those of the password, which are one thing.
const ENTRIES: &[Entry] = &[
    Entry {
        var: "muc#roomconfig_roomname",
        label: "Natural-Language Room Name",
        kind: FieldType::TextSingle,
        options: &[],
        show: |config| some(&config.title),
        read: |config, values| read_text(&mut config.title, values),
    },
    Entry {
        var: "muc#roomconfig_roomdesc",
        label: "Short Description of Room",
        kind: FieldType::TextSingle,
        options: &[],
        show: |config| some(&config.description),
        read: |config, values| read_text(&mut config.description, values),
    },
    Entry {
        var: "muc#roomconfig_lang",
        label: "Natural Language for Room Discussions",
        kind: FieldType::TextSingle,
        options: &[],
        show: |config| some(&config.lang),
        read: |config, values| read_text(&mut config.lang, values),
    },
    Entry {
        var: "muc#roomconfig_enablelogging",
        label: "Enable Public Logging?",
        kind: FieldType::Boolean,
        options: &[],
        show: |config| yes_or_no(config.logged),
        read: |config, values| read_flag(&mut config.logged, values),
    },
    Entry {
        var: "muc#roomconfig_changesubject",
        label: "Allow Occupants to Change Subject?",
        kind: FieldType::Boolean,
        options: &[],
        show: |config| yes_or_no(config.change_subject),
        read: |config, values| read_flag(&mut config.change_subject, values),
    },
    Entry {
        var: "muc#roomconfig_allowinvites",
        label: "Allow Members to Invite Others?",
        kind: FieldType::Boolean,
        options: &[],
        show: |config| yes_or_no(config.allow_invites),
        read: |config, values| read_flag(&mut config.allow_invites, values),
    },
    Entry {
        var: "muc#roomconfig_allowpm",
        label: "Who Can Send Private Messages?",
        kind: FieldType::ListSingle,
        options: &[
            ("anyone", "Anyone"),
            ("participants", "Anyone with Voice"),
            ("moderators", "Moderators Only"),
            ("none", "Nobody"),
        ],
        show: |config| {
            let row = WHISPERERS
                .iter()
                .find(|(known, _)| *known == config.private_messages);
            row.map(|(_, name)| (*name).to_owned())
                .into_iter()
                .collect()
        },
        read: |config, values| {
            let row = values
                .first()
                .and_then(|value| WHISPERERS.iter().find(|(_, name)| name == value));
            if let Some((who, _)) = row {
                config.private_messages = *who;
            }
            row.is_some()
        },
    },
    Entry {
        var: "muc#roomconfig_maxusers",
        label: "Maximum Number of Occupants",
        kind: FieldType::ListSingle,
        options: &[
            ("10", "10"),
            ("20", "20"),
            ("30", "30"),
            ("50", "50"),
            ("100", "100"),
            ("200", "200"),
            ("500", "500"),
            ("none", "None"),
        ],
        show: |config| match config.max_users {
            0 => vec!["none".to_owned()],
            most => vec![most.to_string()],
        },
        read: |config, values| match first(values) {
            "none" | "" | "0" => {
                config.max_users = 0;
                true
            }
            number => read_number(&mut config.max_users, number, limits::ROOM_OCCUPANTS),
        },
    },
    Entry {
        var: "muc#roomconfig_presencebroadcast",
        label: "Roles for which Presence is Broadcasted",
        kind: FieldType::ListMulti,
        options: ROLES,
        show: |config| roles(config.broadcast),
        read: |config, values| read_roles(&mut config.broadcast, values),
    },
    Entry {
        var: "muc#roomconfig_getmemberlist",
        label: "Roles and Affiliations that May Retrieve Member List",
        kind: FieldType::ListMulti,
        options: ROLES,
        show: |config| roles(config.member_list),
        read: |config, values| read_roles(&mut config.member_list, values),
    },
    Entry {
        var: "muc#roomconfig_publicroom",
        label: "Make Room Publicly Searchable?",
        kind: FieldType::Boolean,
        options: &[],
        show: |config| yes_or_no(config.public),
        read: |config, values| read_flag(&mut config.public, values),
    },
    Entry {
        var: "muc#roomconfig_persistentroom",
        label: "Make Room Persistent?",
        kind: FieldType::Boolean,
        options: &[],
        show: |config| yes_or_no(config.persistent),
        read: |config, values| read_flag(&mut config.persistent, values),
    },
    Entry {
        var: "muc#roomconfig_moderatedroom",
        label: "Make Room Moderated?",
        kind: FieldType::Boolean,
        options: &[],
        show: |config| yes_or_no(config.moderated),
        read: |config, values| read_flag(&mut config.moderated, values),
    },
    Entry {
        var: "muc#roomconfig_membersonly",
        label: "Make Room Members-Only?",
        kind: FieldType::Boolean,
        options: &[],
        show: |config| yes_or_no(config.members_only),
        read: |config, values| read_flag(&mut config.members_only, values),
    },
    Entry {
        var: "muc#roomconfig_whois",
        label: "Who May Discover Real JIDs?",
        kind: FieldType::ListSingle,
        options: &[("moderators", "Moderators Only"), ("anyone", "Anyone")],
        show: |config| match config.non_anonymous {
            true => vec!["anyone".to_owned()],
            false => vec!["moderators".to_owned()],
        },
        read: |config, values| {
            config.non_anonymous = first(values) == "anyone";
            ["anyone", "moderators"].contains(&first(values))
        },
    },
    Entry {
        var: MAX_HISTORY,
        label: "Maximum Number of History Messages Returned by Room",
        kind: FieldType::TextSingle,
        options: &[],
        show: |config| vec![config.max_history.to_string()],
        read: |config, values| {
            read_number(&mut config.max_history, first(values), limits::ROOM_HISTORY)
        },
    },
    Entry {
        var: SLOW_MODE,
        label: "Slow Mode: Seconds Between Two Messages of One User",
        kind: FieldType::TextSingle,
        options: &[],
        show: |config| vec![config.slow_seconds.to_string()],
        read: |config, values| {
            read_number(
                &mut config.slow_seconds,
                first(values),
                limits::ROOM_SLOW_SECONDS as usize,
            )
        },
    },
    Entry {
        var: "muc#roomconfig_enablearchiving",
        label: "Keep Messages for Members Who Are Away?",
        kind: FieldType::Boolean,
        options: &[],
        show: |config| yes_or_no(config.archived),
        read: |config, values| read_flag(&mut config.archived, values),
    },
    Entry {
        var: "muc#roomconfig_forwardmentions",
        label: "Tell Absent Members That They Were Mentioned?",
        kind: FieldType::Boolean,
        options: &[],
        show: |config| yes_or_no(config.forward_mentions),
        read: |config, values| read_flag(&mut config.forward_mentions, values),
    },
    Entry {
        var: "muc#roomconfig_pubsub",
        label: "XMPP URI of Associated Publish-Subscribe Node",
        kind: FieldType::TextSingle,
        options: &[],
        show: |config| some(&config.pubsub),
        read: |config, values| read_text(&mut config.pubsub, values),
    },
    Entry {
        var: "snug#roomconfig_lockednicks",
        label: "Hold Members to Their Registered Nicknames?",
        kind: FieldType::Boolean,
        options: &[],
        show: |config| yes_or_no(config.locked_nicks),
        read: |config, values| read_flag(&mut config.locked_nicks, values),
    },
    Entry {
        var: "snug#roomconfig_register",
        label: "Allow Users to Register as Members?",
        kind: FieldType::Boolean,
        options: &[],
        show: |config| yes_or_no(config.register),
        read: |config, values| read_flag(&mut config.register, values),
    },
];

const MAX_HISTORY: &str = "muc#maxhistoryfetch";
const SLOW_MODE: &str = "muc#roomconfig_slow_mode_duration";
/// Fields that are whole numbers, and the greatest (XEP-0500 §5.1 wants that said).
const NUMBERS: [(&str, u32); 2] = [
    (MAX_HISTORY, limits::ROOM_HISTORY as u32),
    (SLOW_MODE, limits::ROOM_SLOW_SECONDS),
];

/// Whether a password is needed.
const PROTECTED: &str = "muc#roomconfig_passwordprotectedroom";
/// The password.
const SECRET: &str = "muc#roomconfig_roomsecret";

/// The form with what is chosen now.
pub fn form(config: &RoomConfig, title: &str, instructions: &str) -> Form {
    let mut form = Form::new(FormType::Form)
        .title(title)
        .instructions(instructions)
        .form_type(ns::MUC_ROOMCONFIG);
    for entry in ENTRIES {
        let mut field = Field::new(entry.var, Some(entry.kind)).label(entry.label);
        field.values = (entry.show)(config);
        if let Some((_, greatest)) = NUMBERS.iter().find(|(var, _)| *var == entry.var) {
            field = field.whole(0, *greatest);
        }
        for (value, label) in entry.options {
            field = field.option(label, value);
        }
        form = form.field(field);
    }
    let mut protected =
        Field::new(PROTECTED, Some(FieldType::Boolean)).label("Password Required to Enter?");
    protected.values = yes_or_no(config.password.is_some());
    let mut secret = Field::new(SECRET, Some(FieldType::TextPrivate)).label("Password");
    secret.values = config.password.iter().cloned().collect();
    form.field(protected).field(secret)
}

/// What a submitted form makes of a configuration: what it does not name stays. `not-acceptable` for what makes no sense, such as a password that is blank
/// (§10.1.3).
pub fn read(form: &Form, before: &RoomConfig) -> Result<RoomConfig, StanzaError> {
    let mut config = before.clone();
    for entry in ENTRIES {
        if let Some(field) = form.get(entry.var)
            && !(entry.read)(&mut config, &field.values)
        {
            return Err(not_acceptable(entry.label));
        }
    }
    let mut protected = config.password.is_some();
    if let Some(field) = form.get(PROTECTED)
        && !read_flag(&mut protected, &field.values)
    {
        return Err(not_acceptable("Password Required to Enter?"));
    }
    let mut secret = config.password.take().unwrap_or_default();
    if let Some(field) = form.get(SECRET)
        && !read_text(&mut secret, &field.values)
    {
        return Err(not_acceptable("Password"));
    }
    if protected {
        if secret.trim().is_empty() {
            return Err(not_acceptable("Password"));
        }
        config.password = Some(secret);
    }
    Ok(config)
}

fn not_acceptable(label: &str) -> StanzaError {
    let text = format!("this cannot be chosen: {label}");
    StanzaError::text(Condition::NotAcceptable, text)
}

fn some(text: &str) -> Vec<String> {
    match text {
        "" => Vec::new(),
        text => vec![text.to_owned()],
    }
}

fn yes_or_no(yes: bool) -> Vec<String> {
    vec![if yes { "1" } else { "0" }.to_owned()]
}

fn first(values: &[String]) -> &str {
    values.first().map_or("", |value| value.trim())
}

fn read_flag(flag: &mut bool, values: &[String]) -> bool {
    match first(values) {
        "1" | "true" => *flag = true,
        "0" | "false" => *flag = false,
        _ => return false,
    }
    true
}

fn read_text(text: &mut String, values: &[String]) -> bool {
    let new = values.first().map_or("", String::as_str);
    if new.len() > limits::ROOM_TEXT_BYTES {
        return false;
    }
    new.clone_into(text);
    true
}

fn read_number(number: &mut u32, text: &str, most: usize) -> bool {
    match text.parse::<u32>() {
        Ok(new) if new as usize <= most => {
            *number = new;
            true
        }
        _ => false,
    }
}

fn roles(bits: u8) -> Vec<String> {
    ROLES
        .iter()
        .filter(|(name, _)| Role::named(name).is_some_and(|role| bits & role.bit() != 0))
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

/// Names that are none are no roles: some clients also send affiliations here.
fn read_roles(bits: &mut u8, values: &[String]) -> bool {
    let named = values.iter().filter_map(|name| Role::named(name.trim()));
    *bits = named.fold(0, |bits, role| bits | role.bit());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submitted(fields: &[(&str, &[&str])]) -> Form {
        let mut form = Form::new(FormType::Submit).form_type(ns::MUC_ROOMCONFIG);
        for (var, values) in fields {
            let mut field = Field::new(*var, None);
            field.values = values.iter().map(|value| (*value).to_owned()).collect();
            form = form.field(field);
        }
        form
    }

    #[test]
    fn what_is_shown_reads_back() {
        let config = RoomConfig {
            title: "A Dark Cave".to_owned(),
            password: Some("cauldronburn".to_owned()),
            max_users: 20,
            broadcast: 6,
            private_messages: PrivateMessages::Nobody,
            non_anonymous: true,
            ..RoomConfig::DEFAULT
        };
        let mut form = form(&config, "", "");
        form.kind = FormType::Submit;
        assert_eq!(read(&form, &RoomConfig::DEFAULT), Ok(config));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let before = RoomConfig::DEFAULT;
        for (var, value) in [
            ("muc#roomconfig_maxusers", "-1"),
            ("muc#roomconfig_maxusers", "100000"),
            ("muc#roomconfig_whois", "none"),
            ("muc#roomconfig_allowpm", "all"),
            ("muc#roomconfig_moderatedroom", "perhaps"),
            ("muc#maxhistoryfetch", "many"),
            (PROTECTED, "1"),
        ] {
            assert!(
                read(&submitted(&[(var, &[value])]), &before).is_err(),
                "{var} {value}"
            );
        }
        let both = submitted(&[(PROTECTED, &["1"]), (SECRET, &["x"])]);
        assert_eq!(
            read(&both, &before).expect("good").password.as_deref(),
            Some("x")
        );
        let nothing = submitted(&[]);
        assert_eq!(read(&nothing, &before), Ok(before));
    }
}
