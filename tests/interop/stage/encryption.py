"""slixmpp's OMEMO plugin (XEP-0384) for scenarios: keys in memory, every device trusted, one line to encrypt or decrypt a message."""

import asyncio
import time

from omemo.storage import Just, Nothing, Storage
from slixmpp import JID, Message
from slixmpp.plugins import register_plugin
from slixmpp_omemo import XEP_0384, TrustLevel
from stage.checks import Failure

OLD = "eu.siacs.conversations.axolotl"
NEW = "urn:xmpp:omemo:2"
ENCRYPTED = f"{{{OLD}}}encrypted"
READY_SECONDS = 20


class Memory(Storage):
    """What one device keeps."""

    def __init__(self):
        super().__init__(True)
        self.kept = {}

    async def _load(self, key):
        return Just(self.kept[key]) if key in self.kept else Nothing()

    async def _store(self, key, value):
        self.kept[key] = value

    async def _delete(self, key):
        self.kept.pop(key, None)


class Keys(XEP_0384):
    """The plugin with what it leaves to its user."""

    def __init__(self, *arguments, **how):
        super().__init__(*arguments, **how)
        self.memory = Memory()

    @property
    def storage(self):
        """One device is one client object: it keeps its keys when it logs in again."""
        return self.memory

    @property
    def _btbv_enabled(self):
        return True

    async def _prompt_manual_trust(self, manually_trusted, identifier):
        manager = await self.get_session_manager()
        for device in manually_trusted:
            await manager.set_trust(device.bare_jid, device.identity_key, TrustLevel.TRUSTED.value)


register_plugin(Keys)


async def device(stage, name: str, resource: str = "phone"):
    """Somebody with a device that has keys and has published them, and who hears of others' devices."""
    person = await stage.person(name, resource, plugins=("xep_0384", "xep_0280"), login=False)
    ready = asyncio.Event()
    person.client.add_event_handler("omemo_initialized", lambda _: ready.set())
    await person.login()
    await person.client["xep_0115"].update_caps(broadcast=False)
    await person.available()
    await person.client["xep_0280"].enable()
    try:
        await asyncio.wait_for(ready.wait(), READY_SECONDS)
    except TimeoutError:
        raise Failure(f"{person.full}: expected its device list and bundle to be published within {READY_SECONDS} s; came none") from None
    return person


async def own_id(person) -> int:
    """The number of this device."""
    manager = await person.client["xep_0384"].get_session_manager()
    return (await manager.get_own_device_information())[0].device_id


async def knows(person, whose: str, expected: set[int]) -> None:
    """Waits until a device has heard of exactly these devices of somebody, by the list that it encrypts with."""
    manager = await person.client["xep_0384"].get_session_manager()
    until = time.monotonic() + READY_SECONDS
    while True:
        came = {one.device_id for one in await manager.get_device_information(whose) if (OLD, True) in one.active}
        if came == expected:
            print(f"ok {person.full} knows of the devices of {whose}")
            return
        if time.monotonic() > until:
            raise Failure(f"{person.full}: expected {whose} to have the devices {expected}; came {came}")
        await asyncio.sleep(0.1)


async def forget(person, gone: int, left: list[int]) -> None:
    """Takes a device of one's own off both lists, and its bundles away."""
    manager = await person.client["xep_0384"].get_session_manager()
    for namespace in (OLD, NEW):
        await manager._upload_device_list(namespace, dict.fromkeys(left))
        await manager._delete_bundle(namespace, gone)


async def say(person, to: str, text: str) -> None:
    """Sends an encrypted message to all devices of `to`, and to one's own others."""
    plain = person.client.make_message(mto=JID(to), mbody=text, mtype="chat")
    encrypted, errors = await person.client["xep_0384"].encrypt_message(plain, JID(to))
    if errors or encrypted is None:
        raise Failure(f"{person.full}: expected to encrypt for {to}; came {errors}")
    encrypted.send()


async def read(person, stanza) -> str:
    """What an encrypted message says."""
    message, _ = await person.client["xep_0384"].decrypt_message(Message(stream=person.client, xml=stanza))
    return message["body"]


async def hears(person, frm: str, text: str) -> None:
    """Waits for the next encrypted message of somebody that says something, and decrypts it; others are about the keys."""
    came = ""
    while came == "":
        stanza = await person.receive("message", has=ENCRYPTED, where=lambda one: one.get("from", "").split("/")[0] == frm)
        came = await read(person, stanza)
    if came != text:
        raise Failure(f"{person.full}: expected {text!r}; came {came!r}")
    print(f"ok {person.full} decrypts {text!r}")
