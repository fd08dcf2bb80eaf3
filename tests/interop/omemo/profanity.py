"""Profanity and slixmpp encrypt for each other with OMEMO, and for a person who has both.

XEP-0384. Profanity 0.13 publishes its device only into a list that is there: it takes the lack of one for an error unless the error has the
code 404 of XEP-0086, which few servers send. So the person's other device comes first.
"""

import asyncio

from stage.checks import Failure
from stage.encryption import OLD, device, hears, knows, own_id, say


async def scenario(stage):
    anna, phone = await device(stage, "anna"), await device(stage, "ben")
    await stage.friends(anna, phone)
    ben = stage.terminal("ben")
    ben.say("/omemo gen")
    await ben.reads("OMEMO crytographic materials generated", within=25)  # its own spelling
    ben.say("/omemo trustmode blind")
    both = await two_devices(anna, phone.bare)
    stage.true("the phone stays in the list", await own_id(phone) in both, both)
    await knows(anna, phone.bare, both)
    await knows(phone, phone.bare, both)

    ben.say(f"/msg {anna.bare}")
    ben.say("/omemo start")
    await ben.reads("[OMEMO]")
    await say(anna, phone.bare, "hello ben <&> ☕")
    await ben.reads("hello ben <&> ☕")
    await hears(phone, anna.bare, "hello ben <&> ☕")
    ben.say("hello anna")
    await hears(anna, phone.bare, "hello anna")
    ben.say("/quit")
    await anna.receive("presence", frm=f"{phone.bare}/{ben.resource}", type="unavailable")


async def two_devices(person, jid):
    """The numbers of somebody's two devices, once both are published."""
    for _ in range(100):
        answer = await person.request(
            "get", jid, f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{OLD}.devicelist'/></pubsub>"
        )
        ids = {int(one.get("id")) for one in answer.iter(f"{{{OLD}}}device")}
        if len(ids) == 2:
            return ids
        await asyncio.sleep(0.1)
    raise Failure(f"expected two devices of {jid}; came {ids}")
