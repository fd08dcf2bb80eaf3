"""A room when the server is killed, and when it ends in order: slixmpp's self-ping tells that it is not in the room any more, it enters again, and all is as it was.

XEP-0410 §3, XEP-0045 §7.2.13 to §7.2.15, §11.2.
"""

import asyncio

from slixmpp.plugins.xep_0410.self_ping import PingStatus

PLUGINS = ("xep_0030", "xep_0004", "xep_0045", "xep_0199", "xep_0410")
USER = "{http://jabber.org/protocol/muc#user}"


async def scenario(stage):
    anna = await stage.person("anna", plugins=PLUGINS)
    ben = await stage.person("ben", plugins=PLUGINS)
    room = f"kitchen@rooms.{stage.domain}"
    muc = anna.client.plugin["xep_0045"]
    await muc.join_muc_wait(room, "anna", timeout=10)
    form = await muc.get_room_config(room)
    form["type"] = "submit"
    form.set_values({"muc#roomconfig_roomname": "The Kitchen", "muc#roomconfig_persistentroom": True, "muc#roomconfig_membersonly": True})
    await muc.set_room_config(room, form)
    await muc.set_affiliation(room, "member", jid=ben.bare)
    muc.set_subject(room, "Soup")
    await ben.client.plugin["xep_0045"].join_muc_wait(room, "ben", timeout=10)
    anna.client.send_message(mto=room, mbody="before the storm", mtype="groupchat")
    await anna.receive("message", body="before the storm")

    stage.equal("in the room, ben's client finds", PingStatus.JOINED, await status(ben, room))
    await stage.request("kill")
    await ben.dropped()
    await stage.request("start")
    await comes_back(stage, room, "after kill -9")

    await stage.request("stop")
    gone = await stage.people[-1].receive("presence", frm=f"{room}/ben", type="unavailable")
    codes = {status.get("code") for status in gone.iter(f"{USER}status")}
    stage.equal("what the room says before the server ends", {"110", "332"}, codes)
    await stage.request("start")
    await comes_back(stage, room, "after an orderly end")


async def comes_back(stage, room, when):
    """ben logs in, believes that he is in the room, and asks: by himself, as slixmpp does all the time."""
    ben = await stage.person("ben", plugins=PLUGINS)
    changed: asyncio.Future = asyncio.get_running_loop().create_future()
    ben.client.add_event_handler("muc_ping_changed", lambda event: changed.done() or changed.set_result(event["result"]))
    ben.client.plugin["xep_0410"].enable_self_ping(ben.client.boundjid.__class__(f"{room}/ben"), interval=0.2, timeout=5)
    stage.equal(f"{when} ben's client finds by itself", PingStatus.DISCONNECTED, await asyncio.wait_for(changed, 10))
    ben.client.plugin["xep_0410"].disable_self_ping(ben.client.boundjid.__class__(f"{room}/ben"))
    ben.forget()
    await ben.client.plugin["xep_0045"].join_muc_wait(room, "ben", timeout=10)
    own = next(one for one in ben.history if one.tag.endswith("}presence") and one.get("from") == f"{room}/ben")
    stage.equal(f"{when} ben is", "member", own.find(f"{USER}x/{USER}item").get("affiliation"))
    bodies = [one.findtext("{jabber:client}body") for one in ben.history if one.get("type") == "groupchat"]
    stage.true(f"{when} the history is there", "before the storm" in bodies, bodies)
    subjects = [one.findtext("{jabber:client}subject") for one in ben.history if one.get("type") == "groupchat"]
    stage.true(f"{when} the subject is there", "Soup" in subjects, subjects)
    stage.equal(f"{when} and then", PingStatus.JOINED, await status(ben, room))


async def status(person, room):
    """What slixmpp's self-ping says of a room."""
    jid = person.client.boundjid.__class__(f"{room}/{person.bare.split('@')[0]}")
    return await person.client.plugin["xep_0410"].send_self_ping(jid, timeout=5)
