"""Bookmarks of a new client (nodes) and of an old one (private XML) agree, in both directions; read markers reach the other device alone.

XEP-0402, XEP-0048, XEP-0049, XEP-0490, XEP-0223.
"""

import asyncio

NODE = "urn:xmpp:bookmarks:1"
MARKERS = "urn:xmpp:mds:displayed:0"
PUBSUB = "{http://jabber.org/protocol/pubsub}"
EVENT = "{http://jabber.org/protocol/pubsub#event}"


async def items(person, node):
    """Ids and payloads at a node of one's own."""
    answer = await person.request("get", None, f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'/></pubsub>")
    return {item.get("id"): item[0] for item in answer.iter(f"{PUBSUB}item")}


async def scenario(stage):
    new = await stage.person("anna", "new", plugins=("xep_0402", "xep_0490", "xep_0223", "xep_0163", "xep_0060"))
    old = await stage.person("anna", "old", plugins=("xep_0048",))
    ben = await stage.person("ben", plugins=("xep_0060",))
    await stage.friends(new, ben)

    from slixmpp.plugins.xep_0048 import Bookmarks
    from slixmpp.plugins.xep_0402.stanza import Conference

    room, other = f"room@rooms.{stage.domain}", f"other@rooms.{stage.domain}"

    async def old_rooms():
        """What the old client sees: address, name, autojoin, nick."""
        answer = await old.answer(old.client["xep_0048"].get_bookmarks(method="xep_0049"))
        rooms = answer["private"]["bookmarks"]["conferences"]
        return [(one["jid"], one["name"], one["autojoin"], one["nick"]) for one in rooms]

    # A new account finds the lobby, in both forms; Prosody has none.
    lobby = [(f"lobby@rooms.{stage.domain}", "Lobby", True, "")] if stage.server == "snug" else []
    stage.equal("the old client begins with the lobby", lobby, await old_rooms())
    begins = await items(new, NODE) if lobby else {}
    stage.equal("so does the new one", [one[:2] for one in lobby], [(id, one.get("name")) for id, one in begins.items()])
    new.client["xep_0163"].add_interest(NODE)
    await new.client["xep_0115"].update_caps(broadcast=False)
    new.client.send_presence()
    await asyncio.sleep(0.5)
    await new.settle()
    new.forget()
    conference = Conference()
    conference["name"] = "Room & Board"
    conference["autojoin"] = True
    conference["nick"] = "anna"
    done = await new.answer(new.client["xep_0223"].store(conference, node=NODE, id=room))
    stage.equal("stored", "result", done["type"])
    stage.equal("the old client has it", [*lobby, (room, "Room & Board", True, "anna")], await old_rooms())

    bookmarks = Bookmarks()
    bookmarks.add_conference(other, nick="anna", name="Other", autojoin=False)
    await old.answer(old.client["xep_0048"].set_bookmarks(bookmarks, method="xep_0049"))
    seen = await items(new, NODE)
    stage.equal("the new client has what the old one kept", {other: "Other"}, {id: one.get("name") for id, one in seen.items()})
    if stage.server == "snug":  # Prosody 0.12 tells of what was kept in another order
        told = [await new.receive("message", type="headline", has=f"{EVENT}event") for _ in range(len(lobby) + 3)]
        published = [item.get("id") for event in told for item in event.iter(f"{EVENT}item")]
        retracted = [item.get("id") for event in told for item in event.iter(f"{EVENT}retract")]
        stage.equal("it was told of both", ([room, other], [lobby[0][0], room]), (published, retracted))
        await new.nothing("message", has=f"{EVENT}event")

    # A new client changes what the old one has made, and takes it away.
    conference["name"] = "Other & Better"
    conference["autojoin"] = False
    conference["nick"] = "Änna"
    await new.answer(new.client["xep_0223"].store(conference, node=NODE, id=other))
    stage.equal("the old client sees the change", [(other, "Other & Better", False, "Änna")], await old_rooms())
    done = await new.answer(new.client["xep_0060"].retract(new.bare, NODE, other, notify=True))
    stage.equal("retracted", "result", done["type"])
    stage.equal("the old client has none", [], await old_rooms())
    answer = await ben.answer(ben.client["xep_0060"].get_items(new.bare, NODE, timeout=5))
    stage.equal("a friend has nothing", "error", answer["type"])

    tablet = await stage.person("anna", "tablet", plugins=("xep_0490", "xep_0163"))
    tablet.client["xep_0163"].add_interest(MARKERS)
    await tablet.client["xep_0115"].update_caps(broadcast=False)
    tablet.client.send_presence()
    # slixmpp answers the server's question what it can in a task of its own.
    await asyncio.sleep(0.5)
    await tablet.settle()
    await new.answer(new.client["xep_0490"].flag_chat(ben.bare, "id-1"))
    came = await tablet.receive("message", frm=new.bare, type="headline", has=f"{EVENT}event")
    stage.equal("the other device hears what was read", ben.bare, next(came.iter(f"{EVENT}item")).get("id"))
    await ben.nothing("message", has=f"{EVENT}event")

    if stage.server != "snug":  # Prosody 0.12 has no server assist
        return
    new.raw(
        f"<message to='{ben.bare}' type='chat'><body>hi</body><displayed xmlns='{MARKERS}'>"
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{new.bare}' id='id-2'/></displayed></message>"
    )
    came = await ben.receive("message", frm=new.full, body="hi")
    stage.true("the server takes the marker out", came.find(f"{{{MARKERS}}}displayed") is None)
    await tablet.receive("message", frm=new.bare, type="headline", has=f"{EVENT}event")
    stage.equal("and publishes it", [ben.bare], list(await items(new, MARKERS)))
