//! XEP-0045 §5: roles, affiliations, and the tables of what each may do, as data. Everything that asks for a privilege asks here.

use crate::store::{Affiliation, RoomConfig};

/// What an occupant may do now (§5.1), the weaker the smaller. The absence of a role is the absence of an occupant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Listens where the room is moderated.
    Visitor,
    /// Has voice.
    Participant,
    /// Looks after the others.
    Moderator,
}

/// What a role allows (§5.1.1) that the room's configuration does not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// "Send Messages to All".
    Speak,
    /// "Invite Other Users", where everybody may enter.
    Invite,
    /// "Kick Participants and Visitors".
    Kick,
    /// "Grant Voice" and "Revoke Voice".
    Voice,
    /// "Modify Subject", where occupants may not.
    Subject,
    /// Takes a message back (XEP-0425 §5).
    Moderate,
}

/// What an affiliation allows (§5.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// "Enter Open Room".
    EnterOpen,
    /// "Enter Members-Only Room".
    EnterMembersOnly,
    /// "Retrieve Member List".
    MemberList,
    /// "Ban Members and Unaffiliated Users" and "Edit Member List".
    Members,
    /// "Assign and Remove Moderator Role".
    Moderators,
    /// "Edit Admin List" and "Edit Owner List".
    Admins,
    /// "Change Room Configuration".
    Configure,
    /// "Destroy Room".
    Destroy,
}

/// §5.1.1: the least role for each.
const ACTS: [(Act, Role); 6] = [
    (Act::Invite, Role::Visitor),
    (Act::Speak, Role::Participant),
    (Act::Subject, Role::Moderator),
    (Act::Kick, Role::Moderator),
    (Act::Voice, Role::Moderator),
    (Act::Moderate, Role::Moderator),
];

/// §5.2.1: the least affiliation for each.
const RIGHTS: [(Right, Affiliation); 8] = [
    (Right::EnterOpen, Affiliation::None),
    (Right::EnterMembersOnly, Affiliation::Member),
    (Right::MemberList, Affiliation::Member),
    (Right::Members, Affiliation::Admin),
    (Right::Moderators, Affiliation::Admin),
    (Right::Admins, Affiliation::Owner),
    (Right::Configure, Affiliation::Owner),
    (Right::Destroy, Affiliation::Owner),
];

/// Names of roles on the wire.
const ROLES: [(Role, &str); 3] = [
    (Role::Visitor, "visitor"),
    (Role::Participant, "participant"),
    (Role::Moderator, "moderator"),
];

/// Names of affiliations on the wire.
const AFFILIATIONS: [(Affiliation, &str); 5] = [
    (Affiliation::Outcast, "outcast"),
    (Affiliation::None, "none"),
    (Affiliation::Member, "member"),
    (Affiliation::Admin, "admin"),
    (Affiliation::Owner, "owner"),
];

impl Role {
    /// Its name.
    pub fn name(self) -> &'static str {
        ROLES[self as usize].1
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Role> {
        ROLES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(role, _)| *role)
    }

    /// Its bit in `RoomConfig::broadcast` and `RoomConfig::member_list`.
    pub fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Whether it allows an act.
    pub fn allows(self, act: Act) -> bool {
        ACTS.iter()
            .any(|(known, least)| *known == act && self >= *least)
    }

    /// §5.1.2: the role that somebody enters with, or keeps at least after an affiliation changed.
    pub fn initial(affiliation: Affiliation, config: &RoomConfig) -> Role {
        match affiliation {
            Affiliation::Owner | Affiliation::Admin => Role::Moderator,
            Affiliation::Member => Role::Participant,
            Affiliation::None | Affiliation::Outcast if config.moderated => Role::Visitor,
            Affiliation::None | Affiliation::Outcast => Role::Participant,
        }
    }
}

/// The name of an affiliation on the wire.
pub fn affiliation_name(affiliation: Affiliation) -> &'static str {
    let row = AFFILIATIONS.iter().find(|(known, _)| *known == affiliation);
    row.expect("the table has every affiliation").1
}

/// The affiliation of this name.
pub fn affiliation_named(name: &str) -> Option<Affiliation> {
    AFFILIATIONS
        .iter()
        .find(|(_, known)| *known == name)
        .map(|(affiliation, _)| *affiliation)
}

/// Whether an affiliation gives a right.
pub fn has(affiliation: Affiliation, right: Right) -> bool {
    RIGHTS
        .iter()
        .any(|(known, least)| *known == right && affiliation >= *least)
}

/// Why a change of somebody's standing is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Who asks may do nothing of the kind: `forbidden`.
    Forbidden,
    /// Not to this one: `not-allowed`.
    NotAllowed,
}

/// Who asks for a change, or is to be changed.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The affiliation.
    pub affiliation: Affiliation,
    /// The role; none for who is not in the room.
    pub role: Option<Role>,
}

/// §5.1.3: whether an occupant's role may be changed; `to` is `None` for a kick (§8.2).
pub fn check_role(by: Standing, target: Standing, to: Option<Role>) -> Result<(), Denied> {
    let may = |act| by.role.is_some_and(|role| role.allows(act));
    let is_admin = target.affiliation >= Affiliation::Admin;
    let was_moderator = target.role == Some(Role::Moderator);
    match to {
        // §9.6: only admins and owners make moderators.
        Some(Role::Moderator) if !has(by.affiliation, Right::Moderators) => Err(Denied::Forbidden),
        Some(Role::Moderator) => Ok(()),
        None if !may(Act::Kick) => Err(Denied::Forbidden),
        Some(_) if !may(Act::Voice) && !has(by.affiliation, Right::Moderators) => {
            Err(Denied::Forbidden)
        }
        // §8.2: not by a lower affiliation; a moderator only by an admin or owner (§5.1.3).
        None if target.affiliation > by.affiliation => Err(Denied::NotAllowed),
        // §9.7, §8.4: nobody takes moderation or voice from an admin or owner.
        Some(_) if is_admin => Err(Denied::NotAllowed),
        // §9.7: only admins and owners take moderation away.
        _ if was_moderator && !has(by.affiliation, Right::Moderators) => Err(Denied::NotAllowed),
        // §8.4: not from one at or above the own affiliation; who has none is above nobody.
        Some(Role::Visitor)
            if target.affiliation >= by.affiliation && target.affiliation > Affiliation::None =>
        {
            Err(Denied::NotAllowed)
        }
        _ => Ok(()),
    }
}

/// §5.2.2: whether an affiliation may be changed.
pub fn check_affiliation(
    by: Affiliation,
    from: Affiliation,
    to: Affiliation,
) -> Result<(), Denied> {
    if !has(by, Right::Members) {
        return Err(Denied::Forbidden);
    }
    // Only owners make admins and owners (§10.3, §10.6).
    if to >= Affiliation::Admin && !has(by, Right::Admins) {
        return Err(Denied::Forbidden);
    }
    // §9.1: an admin does nothing to admins and owners.
    if from >= Affiliation::Admin && !has(by, Right::Admins) {
        return Err(Denied::NotAllowed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Affiliation::{Admin, Member, Outcast, Owner};

    const NO_ONE: Affiliation = Affiliation::None;

    #[test]
    fn privileges_of_affiliations_are_those_of_the_table() {
        // §5.2.1, row by row: outcast, none, member, admin, owner.
        let table = [
            (Right::EnterOpen, [false, true, true, true, true]),
            (Right::MemberList, [false, false, true, true, true]),
            (Right::EnterMembersOnly, [false, false, true, true, true]),
            (Right::Members, [false, false, false, true, true]),
            (Right::Moderators, [false, false, false, true, true]),
            (Right::Admins, [false, false, false, false, true]),
            (Right::Configure, [false, false, false, false, true]),
            (Right::Destroy, [false, false, false, false, true]),
        ];
        for (right, row) in table {
            let all = [Outcast, NO_ONE, Member, Admin, Owner];
            assert_eq!(all.map(|one| has(one, right)), row, "{right:?}");
        }
    }

    #[test]
    fn privileges_of_roles_are_those_of_the_table() {
        let table = [
            (Act::Invite, [true, true, true]),
            (Act::Speak, [false, true, true]),
            (Act::Subject, [false, false, true]),
            (Act::Kick, [false, false, true]),
            (Act::Voice, [false, false, true]),
        ];
        for (act, row) in table {
            let all = [Role::Visitor, Role::Participant, Role::Moderator];
            assert_eq!(all.map(|one| one.allows(act)), row, "{act:?}");
        }
    }

    #[test]
    fn default_roles_are_those_of_the_table() {
        let moderated = RoomConfig {
            moderated: true,
            ..RoomConfig::DEFAULT
        };
        let all = [NO_ONE, Member, Admin, Owner];
        let roles = |config: &RoomConfig| all.map(|one| Role::initial(one, config).name());
        assert_eq!(
            roles(&moderated),
            ["visitor", "participant", "moderator", "moderator"]
        );
        assert_eq!(
            roles(&RoomConfig::DEFAULT),
            ["participant", "participant", "moderator", "moderator"]
        );
    }

    #[test]
    fn affiliations_change_as_the_table_says() {
        // §5.2.2: what an admin may do, from (down) and to (across): outcast, none, member, admin, owner.
        let all = [Outcast, NO_ONE, Member, Admin, Owner];
        let ok: Result<(), Denied> = Ok(());
        let no = Err(Denied::NotAllowed);
        let forbidden = Err(Denied::Forbidden);
        let table = [
            [ok, ok, ok, forbidden, forbidden],
            [ok, ok, ok, forbidden, forbidden],
            [ok, ok, ok, forbidden, forbidden],
            [no, no, no, forbidden, forbidden],
            [no, no, no, forbidden, forbidden],
        ];
        for (from, row) in all.into_iter().zip(table) {
            assert_eq!(all.map(|to| check_affiliation(Admin, from, to)), row);
            assert_eq!(all.map(|to| check_affiliation(Owner, from, to)), [ok; 5]);
            assert_eq!(
                all.map(|to| check_affiliation(Member, from, to)),
                [forbidden; 5]
            );
        }
    }

    #[test]
    fn roles_change_as_the_table_says() {
        let who = |affiliation, role| Standing {
            affiliation,
            role: Some(role),
        };
        let (visitor, moderator) = (Role::Visitor, Role::Moderator);
        let voice = Some(Role::Participant);
        let mere = who(NO_ONE, moderator);
        let person = who(NO_ONE, Role::Participant);
        assert_eq!(check_role(mere, who(NO_ONE, visitor), voice), Ok(()));
        assert_eq!(check_role(mere, person, Some(visitor)), Ok(()));
        assert_eq!(check_role(mere, person, None), Ok(()));
        assert_eq!(check_role(person, person, None), Err(Denied::Forbidden));
        assert_eq!(
            check_role(mere, person, Some(moderator)),
            Err(Denied::Forbidden)
        );
        assert_eq!(
            check_role(mere, who(Admin, moderator), None),
            Err(Denied::NotAllowed)
        );
        assert_eq!(check_role(mere, mere, None), Err(Denied::NotAllowed));
        assert_eq!(check_role(mere, mere, voice), Err(Denied::NotAllowed));
        let admin = who(Admin, moderator);
        assert_eq!(check_role(admin, mere, voice), Ok(()));
        assert_eq!(check_role(admin, person, Some(moderator)), Ok(()));
        assert_eq!(
            check_role(who(Owner, moderator), admin, Some(visitor)),
            Err(Denied::NotAllowed)
        );
        assert_eq!(
            check_role(admin, who(Owner, moderator), None),
            Err(Denied::NotAllowed)
        );
        let member = who(Member, moderator);
        assert_eq!(
            check_role(member, who(Member, Role::Participant), Some(visitor)),
            Err(Denied::NotAllowed)
        );
    }
}
