//! Rooms (XEP-0045): the tables of §5, each privilege on the wire; storms; and what a restart leaves. Conversations are in `tests/scripts/muc_*`.

#[path = "common/client.rs"]
mod client;
#[path = "common/host.rs"]
mod host;
#[path = "common/scram.rs"]
mod scram;
#[path = "common/server.rs"]
mod server;

#[path = "rooms/privileges.rs"]
mod privileges;
#[path = "rooms/restart.rs"]
mod restart;
#[path = "rooms/stage.rs"]
mod stage;
#[path = "rooms/storms.rs"]
mod storms;
