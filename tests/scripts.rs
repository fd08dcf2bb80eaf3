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
fn rooms_entering() {
    run("muc_7_enter");
}

#[test]
fn rooms_owners() {
    run("muc_10_owner");
}

#[test]
fn rooms_admins() {
    run("muc_8_9_admin");
}

#[test]
fn rooms_operator() {
    run("muc_operator");
}

#[test]
fn rooms_occupants() {
    run("muc_7_occupants");
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
fn personal_eventing() {
    run("pep");
}

#[test]
fn pubsub_discovery() {
    run("pubsub_5");
}

#[test]
fn pubsub_subscribers() {
    run("pubsub_6");
}

#[test]
fn pubsub_publishers() {
    run("pubsub_7");
}

#[test]
fn pubsub_owners() {
    run("pubsub_8");
}

#[test]
fn avatars() {
    run("avatars");
}

#[test]
fn bookmarks() {
    run("bookmarks");
}

#[test]
fn displayed() {
    run("displayed");
}

#[test]
fn private_data() {
    run("private_data");
}

#[test]
fn pubsub_limits() {
    run("pubsub_limits");
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
    run("muc_archive");
}

#[test]
fn rooms_extensions() {
    run("muc_extensions");
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
