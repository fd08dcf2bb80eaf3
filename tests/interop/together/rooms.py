"""Profanity and slixmpp in one room: entering, history, talk, subject, lists, roles, a private message, a kick, a ban, its end.

XEP-0045 §7 to §10.
"""

USER = "{http://jabber.org/protocol/muc#user}"


async def scenario(stage):
    anna = await stage.person("anna", plugins=("xep_0045",))
    await stage.account("ben")
    room, jid = f"kitchen@rooms.{stage.domain}", f"ben@{stage.domain}"
    muc = anna.client["xep_0045"]
    await muc.join_muc_wait(room, "anna", timeout=10)
    form = await muc.get_room_config(room)
    form["type"] = "submit"
    form.set_values({"muc#roomconfig_roomname": "Kitchen", "muc#roomconfig_persistentroom": True, "muc#roomconfig_moderatedroom": True})
    await muc.set_room_config(room, form)
    muc.set_subject(room, "What we eat on Sunday")
    anna.client.send_message(mto=room, mbody="before ben came", mtype="groupchat")
    await anna.settle()

    ben = stage.terminal("ben")
    ben.say(f"/join {room} nick ben")
    came = await anna.receive("presence", frm=f"{room}/ben", type="")
    item = item_of(came)
    expected = ("none", "visitor", f"{jid}/{ben.resource}")
    stage.equal("who enters, as the owner sees it", expected, (item.get("affiliation"), item.get("role"), item.get("jid")))
    await ben.reads("You have joined the room as ben", "What we eat on Sunday", "before ben came")
    ben.say("nobody hears this")
    await ben.reads(f"Error from {room}: ", "voice" if stage.server == "snug" else "permission")
    await anna.nothing("message", body="nobody hears this")
    await muc.set_role(room, "ben", "participant")
    await ben.reads("Your role has been changed to: participant")
    ben.say("hello anna <&> 你好")
    said = await anna.receive("message", type="groupchat", body="hello anna <&> 你好")
    stage.equal("who says it", f"{room}/ben", said.get("from"))
    anna.client.send_message(mto=room, mbody="hello ben ☕", mtype="groupchat")
    await ben.reads("anna: hello ben ☕")
    ben.say("/who")
    await ben.reads("2 occupants: anna, ben")
    ben.say("/affiliation list owner")
    await ben.reads("Error retrieving owner list: forbidden")
    muc.set_subject(room, "Soup")
    await ben.reads("anna has set the room subject: Soup")
    ben.say("/msg anna psst")
    whispered = await anna.receive("message", type="chat", body="psst")
    stage.equal("a private message is from", f"{room}/ben", whispered.get("from"))
    anna.client.send_message(mto=f"{room}/ben", mbody="yes?", mtype="chat")
    await ben.reads("anna: yes?")

    # Out, and in again with the history.
    await muc.set_role(room, "ben", "none", reason="tea is ready")
    await ben.reads(f"Kicked from {room} by anna, reason: tea is ready")
    anna.client.send_message(mto=room, mbody="while ben was out", mtype="groupchat")
    await anna.settle()
    anna.forget()
    await muc.set_affiliation(room, "owner", jid=jid)
    ben.say(f"/join {room} nick ben")
    came = await anna.receive("presence", frm=f"{room}/ben", type="")
    item = item_of(came)
    stage.equal("an owner comes", ("owner", "moderator"), (item.get("affiliation"), item.get("role")))
    await ben.reads("anna: while ben was out")

    # Profanity as an owner: lists, a ban, the room's end.
    await stage.account("carl")
    ben.say("/affiliation list owner")
    await ben.reads("Affiliation: owner", f"anna@{stage.domain}", jid)
    carl = await stage.person("carl", plugins=("xep_0045",))
    await carl.client["xep_0045"].join_muc_wait(room, "carl", timeout=10)
    await ben.reads("carl")
    ben.say(f"/ban {carl.bare} no soup")
    gone = await carl.receive("presence", frm=f"{room}/carl", type="unavailable")
    stage.equal("a ban", ("outcast", "no soup"), (item_of(gone).get("affiliation"), item_of(gone).findtext(f"{USER}reason")))
    await ben.reads("carl has been banned from the room by ben, reason: no soup")
    ben.say("/subject set Nothing")
    told = await anna.receive("message", type="groupchat", has="{jabber:client}subject", frm=f"{room}/ben")
    stage.equal("Profanity sets the subject", "Nothing", told.findtext("{jabber:client}subject"))
    ben.say("/room destroy")
    gone = await anna.receive("presence", frm=f"{room}/anna", type="unavailable")
    stage.true("the room is destroyed", gone.find(f"{USER}x/{USER}destroy") is not None)
    await ben.reads(f"Room destroyed: {room}")


def item_of(presence):
    """What a presence from a room says of the occupant."""
    return presence.find(f"{USER}x/{USER}item")
