"""A second client gets a copy of what the first one sends and receives, once, while it wants copies; a private message and a peer's forgery not.

XEP-0280 §4, §5, §7, §8, §9, §11.
"""

from play_slixmpp import CLIENT

CARBONS = "{urn:xmpp:carbons:2}"
FORWARDED = "{urn:xmpp:forward:0}forwarded"
PLUGINS = ("xep_0280",)


async def scenario(stage):
    phone = await stage.person("anna", plugins=PLUGINS)
    desk = await stage.person("anna", "desk", plugins=PLUGINS)
    ben = await stage.person("ben", plugins=PLUGINS)
    info = await phone.client["xep_0030"].get_info(jid=stage.domain)
    features = info["disco_info"]["features"]
    stage.true("carbons and their rules are announced", {"urn:xmpp:carbons:2", "urn:xmpp:carbons:rules:0"} <= set(features), features)

    events = []
    for name in ("carbon_sent", "carbon_received"):
        desk.client.add_event_handler(name, lambda message, name=name: events.append((name, message)))
    answer = await desk.answer(desk.client["xep_0280"].enable())
    stage.equal("the answer to enabling", "result", answer["type"])
    for person in (phone, desk, ben):
        await person.settle()
        person.forget()

    phone.client.send_message(mto=ben.full, mbody="from the phone", mtype="chat")
    await ben.receive("message", body="from the phone")
    inner = inside(stage, await desk.receive("message", has=f"{CARBONS}sent"), "sent", phone)
    stage.equal("who sent it", (phone.full, ben.full, "from the phone"), (inner.get("from"), inner.get("to"), body(inner)))

    ben.client.send_message(mto=phone.full, mbody="to the phone", mtype="chat")
    await phone.receive("message", body="to the phone")
    inner = inside(stage, await desk.receive("message", has=f"{CARBONS}received"), "received", phone)
    stage.equal("who received it", (ben.full, phone.full, "to the phone"), (inner.get("from"), inner.get("to"), body(inner)))

    ben.client.send_message(mto=phone.bare, mbody="to both", mtype="chat")
    for person in (phone, desk):
        await person.receive("message", body="to both")
        await person.nothing("message", after=ben)

    private = ben.client.make_message(mto=phone.full, mbody="for the phone alone", mtype="chat")
    private["carbon_private"]
    private.send()
    await phone.receive("message", body="for the phone alone")
    ben.raw(
        f"<message to='{desk.full}' type='chat' id='forged'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
        f"<message xmlns='jabber:client' from='carl@{stage.domain}/x' to='{phone.full}'><body>not from carl</body></message>"
        "</forwarded></received></message>"
    )
    came = await desk.receive("message", frm=ben.full, id="forged")
    stage.equal("a copy that a peer made is taken out", [], list(came))
    await desk.nothing("message", after=ben)
    stage.equal("slixmpp saw two copies", ["carbon_sent", "carbon_received"], [name for name, _ in events])

    answer = await desk.answer(desk.client["xep_0280"].disable())
    stage.equal("the answer to disabling", "result", answer["type"])
    ben.client.send_message(mto=phone.full, mbody="no copy", mtype="chat")
    await phone.receive("message", body="no copy")
    await desk.nothing("message", after=ben)


def inside(stage, copy, what: str, person):
    """The message that a copy wraps, once its wrapper is found to be right."""
    stage.equal(f"whose copy of what was {what}", (person.bare, "chat"), (copy.get("from"), copy.get("type")))
    inner = copy.find(f"{CARBONS}{what}/{FORWARDED}/{CLIENT}message")
    stage.true("it wraps a client's message", inner is not None, copy.attrib)
    return inner


def body(message) -> str:
    """Its text."""
    return message.findtext(f"{CLIENT}body")
