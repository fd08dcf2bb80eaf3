"""A picture that one client publishes is seen by a friend's through nodes, vCard and presence, whichever way it was set.

XEP-0084, XEP-0153, XEP-0398, XEP-0163 §4.3.4.
"""

import hashlib

METADATA = "urn:xmpp:avatar:metadata"
EVENT = "{http://jabber.org/protocol/pubsub#event}event"
PHOTO = "{vcard-temp:x:update}x/{vcard-temp:x:update}photo"


def told(picture):
    """An event that tells of this picture."""
    return lambda stanza: any(item.get("id") == hashlib.sha1(picture).hexdigest() for item in stanza.iter() if item.tag.endswith("}item"))


def shows(picture):
    """A presence that shows this picture."""
    return lambda stanza: stanza.findtext(PHOTO) == hashlib.sha1(picture).hexdigest()


async def scenario(stage):
    first, second = bytes(range(256)) * 150, b"another picture" * 1000
    anna = await stage.person("anna", plugins=("xep_0084", "xep_0054"))
    ben = await stage.person("ben", plugins=("xep_0084", "xep_0054"))
    await stage.friends(anna, ben)
    # slixmpp shows what it wants to hear of in a presence of its own after the session has begun.
    await ben.client["xep_0115"].update_caps(broadcast=False)
    ben.client.send_presence()
    await ben.settle()

    await anna.answer(anna.client["xep_0084"].publish_avatar(first))
    info = {"id": hashlib.sha1(first).hexdigest(), "type": "image/png", "bytes": len(first)}
    await anna.answer(anna.client["xep_0084"].publish_avatar_metadata(info))
    came = await ben.receive("message", frm=anna.bare, type="headline", has=EVENT, where=told(first))
    stage.true("the event tells of the node", came.find(EVENT)[0].get("node") == METADATA)
    answer = await ben.answer(ben.client["xep_0084"].retrieve_avatar(anna.bare, info["id"], timeout=5))
    stage.true("the picture out of the node", bytes(answer["pubsub"]["items"]["item"]["avatar_data"]["value"]) == first)

    if stage.server == "snug":  # Prosody 0.12 puts the hash into a presence only when the next one comes
        await ben.receive("presence", frm=anna.full, where=shows(first))
    vcard = (await ben.answer(ben.client["xep_0054"].get_vcard(anna.bare, local=False)))["vcard_temp"]
    stage.true("the picture out of the vCard", bytes(vcard["PHOTO"]["BINVAL"]) == first)

    vcard = anna.client["xep_0054"].make_vcard()
    vcard["FN"] = "Anna"
    vcard["PHOTO"]["TYPE"] = "image/png"
    vcard["PHOTO"]["BINVAL"] = second
    await anna.client["xep_0054"].publish_vcard(vcard)
    await ben.receive("message", frm=anna.bare, type="headline", has=EVENT, where=told(second))
    if stage.server == "snug":
        await ben.receive("presence", frm=anna.full, where=shows(second))
    answer = await ben.answer(ben.client["xep_0084"].retrieve_avatar(anna.bare, hashlib.sha1(second).hexdigest(), timeout=5))
    stage.true("the vCard's picture out of the node", bytes(answer["pubsub"]["items"]["item"]["avatar_data"]["value"]) == second)

    # Another client of anna's own has it too, by either way.
    desk = await stage.person("anna", "desk", plugins=("xep_0084", "xep_0054"))
    mine = (await desk.answer(desk.client["xep_0054"].get_vcard(anna.bare, local=False)))["vcard_temp"]
    stage.true("her own other client has it out of the vCard", bytes(mine["PHOTO"]["BINVAL"]) == second)
    answer = await desk.answer(desk.client["xep_0084"].retrieve_avatar(anna.bare, hashlib.sha1(second).hexdigest(), timeout=5))
    stage.true("and out of the node", bytes(answer["pubsub"]["items"]["item"]["avatar_data"]["value"]) == second)
    await desk.logout()

    await anna.logout()
    tablet = await stage.person("ben", "tablet", plugins=("xep_0084",))
    await tablet.client["xep_0115"].update_caps(broadcast=False)
    tablet.client.send_presence()
    came = await tablet.receive("message", frm=anna.bare, has=EVENT, where=told(second))
    if stage.server == "snug":  # Prosody 0.12 does not say when it was
        stage.true("who comes later hears of it while anna is away, with its time", came.find("{urn:xmpp:delay}delay") is not None)

    # It is taken away by a new client: gone for the old ones too.
    anna = await stage.person("anna", "new", plugins=("xep_0084",))
    tablet.forget()
    await anna.answer(anna.client["xep_0084"].stop())
    gone = await tablet.receive("message", frm=anna.bare, has=EVENT)
    stage.true("who hears of it hears that there is none", not list(gone.iter("{urn:xmpp:avatar:metadata}info")))
    vcard = (await ben.answer(ben.client["xep_0054"].get_vcard(anna.bare, local=False)))["vcard_temp"]
    stage.equal("nor in the vCard, which keeps its name", ("Anna", ""), (vcard["FN"], vcard["PHOTO"]["TYPE"]))

    carl = await stage.person("carl", plugins=("xep_0084",))
    answer = await carl.answer(carl.client["xep_0084"].retrieve_avatar(anna.bare, info["id"], timeout=5))
    if stage.server == "snug":  # Prosody publishes a vCard's picture for everybody
        stage.equal("a stranger sees nobody", ("error", "service-unavailable"), (answer["type"], answer["error"]["condition"]))
