//! Past holes of XMPP servers, one numbered test each: CVEs and the like, told at the tests. Each fails when its defence is taken out. All but
//! `sockets` goes through the engine without a socket.

#[path = "common/allocator.rs"]
mod allocator;
#[path = "common/host.rs"]
mod host;
#[path = "common/scram.rs"]
mod scram;
#[path = "common/server.rs"]
mod server;

#[path = "holes/stage.rs"]
mod stage;

#[path = "holes/components.rs"]
mod components;
#[path = "holes/events.rs"]
mod events;
#[path = "holes/floods.rs"]
mod floods;
#[path = "holes/login.rs"]
mod login;
#[path = "holes/nonsense.rs"]
mod nonsense;
#[path = "holes/resumption.rs"]
mod resumption;
#[path = "holes/rooms.rs"]
mod rooms;
#[path = "holes/secrets.rs"]
mod secrets;
#[path = "holes/sockets.rs"]
mod sockets;
#[path = "holes/stanzas.rs"]
mod stanzas;
#[path = "holes/xml.rs"]
mod xml;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;
