//! XEP-0513 §3.6: who may mention whom in a room: a form of its own, which owners fill in and everybody may read.

use super::iq::Asks;
use super::message;
use super::roles::Right;
use super::room::Room;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::{MentionRules, Mentioners};
use crate::xml::written;
use crate::xmpp::{Condition, Field, FieldType, Form, FormType, Jid, StanzaError, form, ns};

/// One rule of a room: the field of the form, its label, and what it is about.
type Rule = (
    &'static str,
    &'static str,
    fn(&mut MentionRules) -> &mut Mentioners,
);

const RULES: [Rule; 4] = [
    (
        "mentions#individual",
        "Who can mention individual users?",
        |rules| &mut rules.individual,
    ),
    ("mentions#channel", "Who can mention rooms?", |rules| {
        &mut rules.channel
    }),
    (
        "mentions#associations",
        "Who can mention roles/affiliations?",
        |rules| &mut rules.associations,
    ),
    ("mentions#hats", "Who can mention hats?", |rules| {
        &mut rules.hats
    }),
];
const COUNT: &str = "mentions#count";
const WHO: [(Mentioners, &str, &str); 3] = [
    (Mentioners::Participants, "participants", "Participants"),
    (Mentioners::Moderators, "moderators", "Moderators Only"),
    (Mentioners::Nobody, "none", "Nobody"),
];

/// The rules as fields: what a room's disco shows (§3.6).
pub fn fields(rules: &MentionRules) -> Vec<Field> {
    let mut rules = *rules;
    let count = Field::text(COUNT, "How many mentions are allowed in a message?");
    let mut fields = vec![count.value(rules.count.to_string())];
    for (var, label, rule) in RULES {
        let who = *rule(&mut rules);
        let row = WHO.iter().find(|(known, ..)| *known == who);
        let field = Field::new(var, Some(FieldType::ListSingle)).label(label);
        fields.push(field.value(row.map_or("", |(_, name, _)| name)));
    }
    fields
}

/// A request for the rules, or to change them.
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    if !asks.is_set {
        return Ok(Answer::Payload(written(|out| {
            out.start("query").attr("xmlns", ns::MENTIONS);
            form(&room.record.config.mentions).write(out);
            out.end();
        })));
    }
    if !room.allows(engine, &Jid::from(&asks.stanza.from), Right::Configure) {
        return Err(Condition::Forbidden.into());
    }
    let form = asks.payload.child(form::NS, "x");
    let form = Form::read(&form.ok_or(Condition::BadRequest)?)?;
    match form.kind {
        FormType::Cancel => return Ok(Answer::Empty),
        FormType::Submit if form.is_submitted(ns::MENTIONS) => {}
        _ => return Err(Condition::BadRequest.into()),
    }
    let before = room.record.config.mentions;
    let rules = read(&form, before)?;
    let ticket = engine.store.ticket();
    room.record.config.mentions = rules;
    if let Err(error) = room.keep(engine) {
        room.record.config.mentions = before;
        return Err(error.into());
    }
    engine.respond(asks.session, asks.stanza, None, ticket);
    // §3.6: only what is otherwise than before.
    let shown = fields(&before);
    let changed = fields(&rules)
        .into_iter()
        .filter(|field| !shown.contains(field));
    let mut news = Form::new(FormType::Result)
        .title("Updated configuration for Explicit Mention Permissions")
        .form_type(ns::MENTIONS);
    news.fields.extend(changed);
    if rules != before {
        message::announce(engine, room, |out| news.write(out));
    }
    Ok(Answer::Later)
}

/// The form with the rules of now.
pub fn form(rules: &MentionRules) -> Form {
    let mut form = Form::new(FormType::Form)
        .title("Permissions for Explicit Mentions")
        .instructions(
            "Complete this form to say who can mention whom, and how often in one message.",
        )
        .form_type(ns::MENTIONS);
    for mut field in fields(rules) {
        if field.var == COUNT {
            field = field.whole(0, limits::ROOM_MENTIONS as u32);
        } else {
            for (_, name, label) in WHO {
                field = field.option(label, name);
            }
        }
        let is_required = [COUNT, RULES[0].0].contains(&&*field.var);
        form = form.field(match is_required {
            true => field.required(),
            false => field,
        });
    }
    form
}

/// What a submitted form makes of the rules: what it does not name stays. `not-acceptable` for what cannot be chosen.
pub fn read(form: &Form, before: MentionRules) -> Result<MentionRules, StanzaError> {
    let mut rules = before;
    if let Some(count) = form.value(COUNT) {
        let count = count.trim().parse().ok();
        let count = count.filter(|count| *count as usize <= limits::ROOM_MENTIONS);
        rules.count = count.ok_or_else(|| not_acceptable(COUNT))?;
    }
    for (var, _, rule) in RULES {
        let Some(name) = form.value(var) else {
            continue;
        };
        let who = WHO.iter().find(|(_, known, _)| *known == name);
        let (who, ..) = who.ok_or_else(|| not_acceptable(var))?;
        *rule(&mut rules) = *who;
    }
    Ok(rules)
}

fn not_acceptable(var: &str) -> StanzaError {
    StanzaError::text(
        Condition::NotAcceptable,
        format!("this cannot be chosen: {var}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_read_back() {
        let rules = MentionRules {
            count: 3,
            individual: Mentioners::Moderators,
            channel: Mentioners::Nobody,
            ..MentionRules::DEFAULT
        };
        let mut form = super::form(&rules);
        form.kind = FormType::Submit;
        assert_eq!(read(&form, MentionRules::DEFAULT), Ok(rules));
        for (var, value) in [
            (COUNT, "-1"),
            (COUNT, "1000000"),
            ("mentions#hats", "visitors"),
        ] {
            let form = Form::new(FormType::Submit).field(Field::text(var, "").value(value));
            assert!(read(&form, rules).is_err(), "{var} {value}");
        }
    }
}
