//! What is kept of a room: the values.

use crate::store::UserId;

/// A room, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRecord {
    /// Its id.
    pub id: UserId,
    /// The part of its address before the `@`, prepared.
    pub name: String,
    /// Random bytes that its occupants' ids are made with (XEP-0421).
    pub salt: [u8; 16],
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The account that made it; empty for the command line.
    pub maker: String,
    /// Whether every account of this server is a member.
    pub everyone: bool,
    /// What its owners have chosen.
    pub config: RoomConfig,
    /// What it is about now; `None` where that was never said.
    pub subject: Option<RoomSubject>,
    /// The hats that can be worn in it (XEP-0317).
    pub hats: Vec<Hat>,
    /// Invitations for whoever has them (XEP-0488).
    pub tokens: Vec<InviteToken>,
}

/// What the owners of a room choose (XEP-0045 §10.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomConfig {
    /// For people; empty for none.
    pub title: String,
    /// For people; empty for none.
    pub description: String,
    /// The language that is spoken; empty where it is not said.
    pub lang: String,
    /// Whether what is said is published somewhere; the room only warns (§7.2.12).
    pub logged: bool,
    /// Whether mere occupants may change the subject.
    pub change_subject: bool,
    /// Whether members may invite where only members may enter.
    pub allow_invites: bool,
    /// Who may write to one occupant alone.
    pub private_messages: PrivateMessages,
    /// Occupants at most; 0 for no limit but the server's.
    pub max_users: u32,
    /// Roles whose presence is shown to others, as bits: 1 visitors, 2 participants, 4 moderators.
    pub broadcast: u8,
    /// Roles that may see who the members are, as bits.
    pub member_list: u8,
    /// Whether it is listed.
    pub public: bool,
    /// Whether it stays when the last occupant leaves.
    pub persistent: bool,
    /// Whether who has no affiliation has no voice.
    pub moderated: bool,
    /// Whether only members enter.
    pub members_only: bool,
    /// What must be said to enter.
    pub password: Option<String>,
    /// Whether everybody sees everybody's JID; else moderators do.
    pub non_anonymous: bool,
    /// Messages at most that who enters gets of what was said before.
    pub max_history: u32,
    /// Whether what is said is kept.
    pub archived: bool,
    /// Seconds between two messages of who is neither admin nor owner (XEP-0500); 0 for none.
    pub slow_seconds: u32,
    /// Whether members who are not here hear that they were mentioned (XEP-0452).
    pub forward_mentions: bool,
    /// Whether members must use the nickname that they registered.
    pub locked_nicks: bool,
    /// Whether users may register themselves as members.
    pub register: bool,
    /// The address of a node that goes with it (`muc#roomconfig_pubsub`); empty for none.
    pub pubsub: String,
    /// Who may mention whom (XEP-0513).
    pub mentions: MentionRules,
}

/// Who may mention whom in a room (XEP-0513).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MentionRules {
    /// Mentions of one message at most.
    pub count: u32,
    /// Who may mention one person.
    pub individual: Mentioners,
    /// Who may mention the whole room.
    pub channel: Mentioners,
    /// Who may mention all who have a role or an affiliation.
    pub associations: Mentioners,
    /// Who may mention all who wear a hat.
    pub hats: Mentioners,
}

/// Who may mention somebody (XEP-0513).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mentioners {
    /// Who has voice.
    Participants,
    /// Moderators.
    Moderators,
    /// Nobody.
    Nobody,
}

/// Who may write to one occupant alone (`muc#roomconfig_allowpm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateMessages {
    /// Whoever is in the room.
    Anyone,
    /// Who has voice.
    Participants,
    /// Moderators.
    Moderators,
    /// Nobody.
    Nobody,
}

/// What a room is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSubject {
    /// The `<subject/>` elements, as XML; with nothing inside where it was cleared.
    pub xml: String,
    /// The nickname of who set it; empty for the command line.
    pub nick: String,
    /// The occupant id of who set it (XEP-0421); empty for the command line, and where it was set before this was kept.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

impl RoomSubject {
    /// What it says, for people: without marks of XML.
    pub fn text(&self) -> String {
        let whole = format!("<subjects>{}</subjects>", self.xml);
        match crate::xml::Document::parse(whole) {
            Ok(document) => {
                let first = document.root().children().next();
                first.map_or_else(String::new, |subject| subject.text().into_owned())
            }
            Err(_) => String::new(),
        }
    }
}

/// A hat (XEP-0317).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hat {
    /// What it is.
    pub uri: String,
    /// For people.
    pub title: String,
    /// Its colour as a hue angle; empty for none.
    pub hue: String,
}

/// An invitation for whoever has it (XEP-0488).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteToken {
    /// The secret.
    pub token: String,
    /// The bare JID that it was given to.
    pub by: String,
    /// How often it can still be used.
    pub uses: Option<u32>,
    /// Until when, in milliseconds since 1970.
    pub until_ms: Option<u64>,
}

/// Long-lived relations with a room (XEP-0045 §5.2), the weaker the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Affiliation {
    /// Banned.
    Outcast,
    /// None.
    None,
    /// Belongs to it.
    Member,
    /// Says who belongs to it.
    Admin,
    /// Says what it is.
    Owner,
}

/// What is kept of somebody in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affiliated {
    /// A bare JID, or a domain.
    pub jid: String,
    /// What they are.
    pub affiliation: Affiliation,
    /// The id of the account that the JID named when this was written; `None` where there was no such account here. Who takes over the name of a deleted
    /// account is somebody else.
    pub account: Option<UserId>,
    /// The nickname that is theirs.
    pub nick: Option<String>,
    /// The hats that they wear, by URI.
    pub hats: Vec<String>,
    /// Why, as an admin said it.
    pub reason: Option<String>,
}

impl MentionRules {
    /// As long as no owner says otherwise.
    pub const DEFAULT: MentionRules = MentionRules {
        count: 10,
        individual: Mentioners::Participants,
        channel: Mentioners::Moderators,
        associations: Mentioners::Participants,
        hats: Mentioners::Participants,
    };
}

impl RoomConfig {
    /// A room that nobody has configured yet (XEP-0045 §10.1.3): open, unmoderated, semi-anonymous, and gone with its last occupant.
    pub const DEFAULT: RoomConfig = RoomConfig {
        title: String::new(),
        description: String::new(),
        lang: String::new(),
        logged: false,
        change_subject: false,
        allow_invites: false,
        private_messages: PrivateMessages::Anyone,
        max_users: 0,
        broadcast: 7,
        member_list: 7,
        public: true,
        persistent: false,
        moderated: false,
        members_only: false,
        password: None,
        non_anonymous: false,
        max_history: 20,
        archived: true,
        slow_seconds: 0,
        forward_mentions: false,
        locked_nicks: false,
        register: true,
        pubsub: String::new(),
        mentions: MentionRules::DEFAULT,
    };
}

impl Affiliated {
    /// Somebody of whom nothing more is known.
    pub fn new(jid: impl Into<String>, affiliation: Affiliation) -> Affiliated {
        Affiliated {
            jid: jid.into(),
            affiliation,
            account: None,
            nick: None,
            hats: Vec::new(),
            reason: None,
        }
    }

    /// Whether there is nothing to keep.
    pub fn is_nothing(&self) -> bool {
        self.affiliation == Affiliation::None && self.nick.is_none() && self.hats.is_empty()
    }
}
