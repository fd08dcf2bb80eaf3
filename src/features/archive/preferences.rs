//! XEP-0441: what a user wants to have archived, asked and said. `<prefs xmlns='urn:xmpp:mam:2'/>` is also how XEP-0313 had it before 0441 was split off.

use crate::engine::Engine;
use crate::engine::feature::{Answer, Iq};
use crate::engine::preferences::Preferences;
use crate::limits;
use crate::xml::written;
use crate::xmpp::{Condition, StanzaError};

/// XEP-0441 §2.1: what holds for the user.
pub(super) fn get(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let user = engine.user_of(iq.session).ok_or(Condition::ItemNotFound)?;
    Ok(match &user.archiving {
        Some(said) => answer(said),
        None => answer(&Preferences::unsaid(engine.config.archive.default)),
    })
}

/// XEP-0441 §2.1: what the user says from now on, and takes the place of all that was said.
pub(super) fn set(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let said = Preferences::read(&iq.payload)?;
    let listed = said.always.len() + said.never.len();
    let bytes: usize = said
        .always
        .iter()
        .chain(&said.never)
        .map(|jid| jid.as_str().len())
        .sum();
    if listed > limits::ARCHIVE_PREFERENCES || bytes > limits::ARCHIVE_PREFERENCES_BYTES {
        return Err(StanzaError::text(
            Condition::ResourceConstraint,
            "the lists are too long",
        ));
    }
    let user = engine.user_of(iq.session).ok_or(Condition::ItemNotFound)?;
    said.keep(&engine.store, user.id)?;
    let answer = answer(&said);
    if let Some(user) = engine.user(iq.account)? {
        user.archiving = Some(Box::new(said));
    }
    Ok(answer)
}

fn answer(preferences: &Preferences) -> Answer {
    Answer::Payload(written(|out| preferences.write(out)))
}
