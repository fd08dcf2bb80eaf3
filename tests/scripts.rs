//! One line a script; `tests/scripts/README.md` says how they are written. A test holds that every script has its line.

mod common;

use common::script::run;

#[test]
fn ping() {
    run("xep-0199-ping");
}

#[test]
fn streams() {
    run("rfc6120-4-streams");
}

#[test]
fn starttls() {
    run("rfc6120-5-starttls");
}

#[test]
fn sasl() {
    run("rfc6120-6-sasl");
}

#[test]
fn login_throttle() {
    run("rfc6120-6-throttle");
}

#[test]
fn binding() {
    run("rfc6120-7-bind");
}

#[test]
fn stanzas() {
    run("rfc6120-8-stanzas");
}

#[test]
fn flood() {
    run("rfc6120-13-flood");
}

#[test]
fn disco() {
    run("xep-0030-disco");
}

#[test]
fn version() {
    run("xep-0092-version");
}

#[test]
fn entity_time() {
    run("xep-0202-time");
}

#[test]
fn registration() {
    run("xep-0077-registration");
}

#[test]
fn own_account() {
    run("xep-0077-account");
}

#[test]
fn downgrade() {
    run("xep-0474-downgrade");
}

#[test]
fn downgrade_protection_off() {
    run("xep-0474-off");
}

#[test]
fn subscription_states() {
    run("rfc6121-3-states");
}

#[test]
fn message_routing() {
    run("rfc6121-8-routing");
}

#[test]
fn roster() {
    run("rfc6121-2-roster");
}

#[test]
fn roster_removal() {
    run("rfc6121-2-removal");
}

#[test]
fn subscriptions() {
    run("rfc6121-3-subscriptions");
}

#[test]
fn presence() {
    run("rfc6121-4-presence");
}

#[test]
fn directed_presence() {
    run("rfc6121-4-directed");
}

#[test]
fn messages() {
    run("rfc6121-5-messages");
}

#[test]
fn offline() {
    run("xep-0160-offline");
}

#[test]
fn blocking() {
    run("xep-0191-blocking");
}

#[test]
fn blocking_presence() {
    run("xep-0191-presence");
}

#[test]
fn reporting() {
    run("xep-0377-reporting");
}

#[test]
fn commits() {
    run("commits");
}

#[test]
fn waiting_requests() {
    run("rfc6121-3-requests");
}

#[test]
fn roster_versions() {
    run("rfc6121-2-versions");
}

#[test]
fn everyone() {
    run("everyone");
}

#[test]
fn locked_accounts() {
    run("accounts-locked");
}

#[test]
fn commands() {
    run("xep-0050-commands");
}

#[test]
fn administration() {
    run("xep-0133-administration");
}

#[test]
fn announcements() {
    run("announcements");
}

#[test]
fn private_xml() {
    run("xep-0049-private");
}

#[test]
fn vcard() {
    run("xep-0054-vcard");
}

#[test]
fn last_activity() {
    run("xep-0012-last");
}

#[test]
fn capabilities() {
    run("xep-0115-caps");
}

#[test]
fn contact_addresses() {
    run("xep-0157-contact");
}

#[test]
fn search() {
    run("xep-0055-search");
}

#[test]
fn search_switched_off() {
    run("xep-0055-off");
}

#[test]
fn rooms_discovery() {
    run("xep-0045-6-discovery");
}

#[test]
fn rooms_admission() {
    run("xep-0045-7-admission");
}

#[test]
fn rooms_creation() {
    run("xep-0045-7-creation");
}

#[test]
fn rooms_history() {
    run("xep-0045-7-history");
}

#[test]
fn rooms_messages() {
    run("xep-0045-7-messages");
}

#[test]
fn rooms_nicknames() {
    run("xep-0045-7-nickname");
}

#[test]
fn rooms_invitations() {
    run("xep-0045-7-invitations");
}

#[test]
fn rooms_registration() {
    run("xep-0045-7-registration");
}

#[test]
fn rooms_voice() {
    run("xep-0045-7-voice");
}

#[test]
fn rooms_errors() {
    run("xep-0045-11-errors");
}

#[test]
fn rooms_people() {
    run("rooms-people");
}

#[test]
fn rooms_resumption() {
    run("xep-0045-resumption");
}

#[test]
fn rooms_presence_of_roles() {
    run("xep-0045-5-presence");
}

#[test]
fn rooms_entering() {
    run("xep-0045-7-enter");
}

#[test]
fn rooms_owners() {
    run("xep-0045-10-owner");
}

#[test]
fn rooms_admins() {
    run("xep-0045-9-lists");
}

#[test]
fn rooms_operator() {
    run("rooms-operator");
}

#[test]
fn rooms_occupants() {
    run("xep-0045-7-occupants");
}

#[test]
fn archive() {
    run("xep-0313-archive");
}

#[test]
fn archive_queries() {
    run("xep-0313-queries");
}

#[test]
fn archive_preferences() {
    run("xep-0441-preferences");
}

#[test]
fn archive_ids() {
    run("xep-0359-ids");
}

#[test]
fn archive_and_offline() {
    run("xep-0313-offline");
}

#[test]
fn archive_off() {
    run("xep-0313-off");
}

#[test]
fn carbons() {
    run("xep-0280-carbons");
}

#[test]
fn carbons_with_an_archive() {
    run("xep-0280-archive");
}

#[test]
fn client_state_resumed() {
    run("xep-0352-resumption");
}

#[test]
fn client_state() {
    run("xep-0352-client-state");
}

#[test]
fn retraction() {
    run("xep-0424-retraction");
}

#[test]
fn events() {
    run("xep-0060-events");
}

#[test]
fn omemo() {
    run("xep-0384-omemo");
}

#[test]
fn vcard4() {
    run("xep-0292-vcard4");
}

#[test]
fn personal_eventing() {
    run("xep-0163-pep");
}

#[test]
fn pubsub_discovery() {
    run("xep-0060-5-discovery");
}

#[test]
fn pubsub_subscribers() {
    run("xep-0060-6-subscribers");
}

#[test]
fn pubsub_publishers() {
    run("xep-0060-7-publishers");
}

#[test]
fn pubsub_owners() {
    run("xep-0060-8-owners");
}

#[test]
fn avatars() {
    run("xep-0084-avatars");
}

#[test]
fn bookmarks() {
    run("xep-0402-bookmarks");
}

#[test]
fn bookmarks_of_new_accounts() {
    run("xep-0402-lobby");
}

#[test]
fn bookmarks_without_a_lobby() {
    run("xep-0402-no-lobby");
}

#[test]
fn bookmarks_without_rooms() {
    run("xep-0402-no-rooms");
}

#[test]
fn displayed() {
    run("xep-0490-displayed");
}

#[test]
fn private_data() {
    run("xep-0223-private-data");
}

#[test]
fn pubsub_limits() {
    run("xep-0060-limits");
}

#[test]
fn acknowledgements() {
    run("xep-0198-acks");
}

#[test]
fn resumption() {
    run("xep-0198-resumption");
}

#[test]
fn returned() {
    run("xep-0198-returned");
}

#[test]
fn rooms_archive() {
    run("xep-0313-history");
}

#[test]
fn rooms_archives_and_retractions() {
    run("xep-0313-rooms");
}

#[test]
fn rooms_search() {
    run("xep-0433-search");
}

#[test]
fn rooms_versions_of_lists() {
    run("xep-0463-versions");
}

#[test]
fn rooms_pictures() {
    run("xep-0486-avatars");
}

#[test]
fn rooms_hats() {
    run("xep-0317-hats");
}

#[test]
fn rooms_tokens() {
    run("xep-0488-tokens");
}

#[test]
fn rooms_moderators() {
    run("xep-0045-8-moderator");
}

#[test]
fn rooms_lists_of_admins() {
    run("xep-0045-9-admin");
}

#[test]
fn rooms_made_and_configured() {
    run("xep-0045-10-rooms");
}

#[test]
fn rooms_made_by_administrators() {
    run("xep-0045-10-restricted");
}

#[test]
fn rooms_slow_active_and_known() {
    run("xep-0500-slow-mode");
}

#[test]
fn rooms_mentions() {
    run("xep-0513-mentions");
}

#[test]
fn rooms_avatars() {
    run("xep-0398-rooms");
}

#[test]
fn rooms_extensions() {
    run("xep-0045-extensions");
}

#[test]
fn component() {
    run("xep-0114-component");
}

#[test]
fn push() {
    run("xep-0357-push");
}

#[test]
fn push_of_nothing() {
    run("xep-0357-none");
}

#[test]
fn push_of_numbers_and_of_rooms() {
    run("xep-0357-count");
}

#[test]
fn resumption_switched_off() {
    run("xep-0198-off");
}

#[test]
fn every_script_has_its_line() {
    let here = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts.rs"))
        .expect("this file");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"))
        .expect("the folder of scripts")
    {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            assert!(
                here.contains(&format!("run(\"{name}\")")),
                "tests/scripts/{name}.txt has no line in tests/scripts.rs"
            );
        }
    }
}
