"""A room through slixmpp's plugin: made, configured, entered, talked in, its subject, lists, a kick, a private message, a self-ping.

XEP-0045 §6 to §10, XEP-0410, XEP-0313 of a room.
"""

from play_slixmpp import condition_of

PLUGINS = ("xep_0030", "xep_0045", "xep_0004", "xep_0199", "xep_0313")
USER = "{http://jabber.org/protocol/muc#user}"


async def scenario(stage):
    anna = await stage.person("anna", plugins=PLUGINS)
    ben = await stage.person("ben", plugins=PLUGINS)
    items = await anna.client.plugin["xep_0030"].get_items(jid=stage.domain)
    host = next(jid for jid, _, _ in items["disco_items"]["items"] if str(jid).startswith("rooms."))
    room = f"kitchen@{host}"

    muc = anna.client.plugin["xep_0045"]
    await muc.join_muc_wait(room, "anna", timeout=10)
    form = await muc.get_room_config(room)
    form["type"] = "submit"
    form.set_values({"muc#roomconfig_roomname": "The Kitchen", "muc#roomconfig_persistentroom": True, "muc#roomconfig_changesubject": True})
    await muc.set_room_config(room, form)
    info = await ben.client.plugin["xep_0030"].get_info(jid=room)
    features = info["disco_info"]["features"]
    for feature in ("http://jabber.org/protocol/muc", "muc_persistent", "muc_open", "urn:xmpp:occupant-id:0", "urn:xmpp:mam:2"):
        stage.true(f"the room announces {feature}", feature in features, sorted(features))

    await ben.client.plugin["xep_0045"].join_muc_wait(room, "ben", timeout=10)
    came = await anna.receive("presence", frm=f"{room}/ben")
    item = came.find(f"{USER}x/{USER}item")
    stage.equal("who enters, as its owner sees it", ("none", "participant", ben.full), (item.get("affiliation"), item.get("role"), item.get("jid")))

    for number in range(20):
        anna.client.send_message(mto=room, mbody=f"a{number}", mtype="groupchat")
        ben.client.send_message(mto=room, mbody=f"b{number}", mtype="groupchat")
    seen = []
    for person in (anna, ben):
        bodies = []
        while len(bodies) < 40:
            one = await person.receive("message", type="groupchat")
            body = one.findtext("{jabber:client}body")
            if body:
                bodies.append(body)
        seen.append(bodies)
    stage.equal("the same order for everybody", seen[0], seen[1])
    for letter in "ab":
        stage.equal(f"{letter}'s own order", [f"{letter}{n}" for n in range(20)], [body for body in seen[0] if body[0] == letter])

    ben.client.plugin["xep_0045"].set_subject(room, "Soup")
    told = await anna.receive("message", type="groupchat", has="{jabber:client}subject")
    stage.equal("the subject", ("Soup", f"{room}/ben"), (told.findtext("{jabber:client}subject"), told.get("from")))
    ben.client.send_message(mto=f"{room}/anna", mbody="psst", mtype="chat")
    stage.equal("a private message", f"{room}/ben", (await anna.receive("message", body="psst")).get("from"))
    answer = await ben.request("get", f"{room}/ben", "<ping xmlns='urn:xmpp:ping'/>")
    stage.equal("a self-ping", "result", answer.get("type"))

    await muc.set_affiliation(room, "member", jid=ben.bare)
    stage.equal("the members", [ben.bare], [str(jid) for jid in await muc.get_affiliation_list(room, "member")])
    await muc.set_role(room, "ben", "none", reason="out")
    gone = await ben.receive("presence", frm=f"{room}/ben", type="unavailable")
    codes = {status.get("code") for status in gone.iter(f"{USER}status")}
    stage.equal("the codes of a kick", {"110", "307"}, codes)
    answer = await ben.request("get", f"{room}/ben", "<ping xmlns='urn:xmpp:ping'/>")
    stage.equal("a self-ping from outside", "not-acceptable", condition_of(answer))

    results = await ben.client.plugin["xep_0313"].retrieve(jid=room, rsm={"max": 10}, reverse=True)
    rows = results["mam"]["results"]
    stage.equal("the last page of the room's archive", 10, len(rows))
