"""While slixmpp says that nobody looks at it, presence waits for the next message or for its return, the last of each contact; typing is dropped.

XEP-0352 §4, §5.1.
"""

import asyncio

from play_slixmpp import CLIENT, GRACE_SECONDS

STATES = "{http://jabber.org/protocol/chatstates}"


async def scenario(stage):
    anna = await stage.person("anna", plugins=("xep_0352",))
    ben = await stage.person("ben")
    await stage.friends(anna, ben)
    stage.true("it is offered", "{urn:xmpp:csi:0}csi" in anna.features[-1], anna.features)
    stage.true("the plugin has seen it", anna.client["xep_0352"].enabled)

    anna.client["xep_0352"].send_inactive()
    await anna.settle()
    anna.forget()
    for show in ("away", "xa", "dnd"):
        ben.client.send_presence(pshow=show)
    typing = ben.client.make_message(mto=anna.full, mtype="chat")
    typing["chat_state"] = "composing"
    typing.send()
    await ben.settle()
    # Asking the server would be answered, and make what waits go.
    await asyncio.sleep(GRACE_SECONDS)
    stage.equal("nothing comes while nobody looks", [], anna.unread)
    ben.client.send_message(mto=anna.full, mbody="are you there?", mtype="chat")
    await anna.receive("message", body="are you there?")
    stage.equal("the last presence comes before the message", ["dnd"], [one.findtext(f"{CLIENT}show") for one in anna.unread])
    place = anna.place("presence", frm=ben.full, where=lambda presence: presence.findtext(f"{CLIENT}show") == "dnd")
    stage.true("in this order", place < anna.place("message", body="are you there?"), anna.history)
    stage.true("typing never comes", all(one.find(f"{STATES}composing") is None for one in anna.history), anna.history)

    anna.forget()
    ben.client.send_presence()
    await ben.settle()
    await asyncio.sleep(GRACE_SECONDS)
    stage.equal("it still sleeps", [], anna.unread)
    anna.client["xep_0352"].send_active()
    came = await anna.receive("presence", frm=ben.full, type="")
    stage.equal("what waited comes when somebody looks again", None, came.findtext(f"{CLIENT}show"))
    ben.client.send_presence(pshow="away")
    came = await anna.receive("presence", frm=ben.full, type="")
    stage.equal("and from then on everything at once", "away", came.findtext(f"{CLIENT}show"))
