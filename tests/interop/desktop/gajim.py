"""Gajim shows its friends' avatars, enters a room by a bookmark of a newer client, and has what was said there before.

XEP-0084, XEP-0048 out of XEP-0402, XEP-0045, XEP-0313. Gajim 1.7 has no reactions and replies; the pictures in target/interop are for
looking.
"""

import asyncio
import hashlib

from stage.desktop import bookmark, portrait, publish
from stage.gajim import Gajim

PLUGINS = ("xep_0045", "xep_0084", "xep_0402", "xep_0223")
USER = "{http://jabber.org/protocol/muc#user}"
SAID = """SELECT contact_name, message FROM logs JOIN jids ON jids.jid_id = logs.jid_id WHERE jid = ? AND message != ''
    ORDER BY time, log_line_id"""
# Where Gajim 1.7 has it in its first window.
FIRST_CHAT = (240, 166)


async def scenario(stage):
    anna, ben, dora = [await stage.person(name, plugins=PLUGINS) for name in ("anna", "ben", "dora")]
    room = f"kitchen@rooms.{stage.domain}"
    pictures = {anna: portrait(200, 60, 50), ben: portrait(40, 110, 190)}
    for person, picture in pictures.items():
        await stage.friends(person, dora)
        await publish(person, picture)
    muc = anna.client["xep_0045"]
    await muc.join_muc_wait(room, "anna", timeout=10)
    form = await muc.get_room_config(room)
    form["type"] = "submit"
    form.set_values({"muc#roomconfig_roomname": "Kitchen", "muc#roomconfig_persistentroom": True, "muc#roomconfig_whois": "anyone"})
    await muc.set_room_config(room, form)
    muc.set_subject(room, "What we eat on Sunday")
    await ben.client["xep_0045"].join_muc_wait(room, "ben", timeout=10)
    await muc.set_affiliation(room, "admin", jid=ben.bare)
    await bookmark(dora, room, "Kitchen")

    await dora.logout()
    for person in pictures:
        person.client.send_message(mto=dora.bare, mbody="See you on Sunday!", mtype="chat")
        person.client.send_message(mto=room, mbody=f"This is {person.client.boundjid.user}.", mtype="groupchat")
        await person.settle()
    gajim = await stage.desktop(Gajim, "dora")
    came = await anna.receive("presence", frm=f"{room}/dora", type="", within=30)
    stage.equal("Gajim enters by its bookmark, as", "participant", came.find(f"{USER}x/{USER}item").get("role"))
    for person, picture in pictures.items():
        await gajim.writes(f"it has what {person.bare} said to it", [(None, "See you on Sunday!")], SAID, person.bare)
        digest = hashlib.sha1(picture).hexdigest()
        await gajim.until(f"it has {person.bare}'s avatar", lambda: gajim.avatar(digest), picture)
    before = [("anna", "This is anna."), ("ben", "This is ben.")]
    await gajim.writes("and in the room", before, SAID, room)
    anna.client.send_message(mto=room, mbody="Welcome, Dora!", mtype="groupchat")
    await gajim.writes("it hears what is said now", [*before, ("anna", "Welcome, Dora!")], SAID, room)
    await asyncio.sleep(1.5)
    gajim.photograph("avatars")
    await gajim.click(*FIRST_CHAT)
    await asyncio.sleep(1.5)
    gajim.photograph("room")
