"""Messages for an absent user wait in order with a delay stamp and come once; chat states, headlines and no-store are not kept.

XEP-0160, XEP-0203, XEP-0334; RFC 6121 §8.5.2.2.
"""

import datetime

DELAY = "{urn:xmpp:delay}delay"


async def scenario(stage):
    anna = await stage.person("anna")
    ben = await stage.person("ben")
    await ben.logout()
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=2)
    for number in (1, 2, 3):
        anna.client.send_message(mto=ben.bare, mbody=f"letter {number} <&> ☕", mtype="chat" if number != 2 else "normal")
    anna.client.send_message(mto=ben.bare, mbody="news", mtype="headline")
    if stage.server != "prosody":  # its mod_offline keeps chat states and knows no hints
        state = anna.client.make_message(mto=ben.bare, mtype="chat")
        state["chat_state"] = "composing"
        state.send()
    anna.client.send_message(mto=ben.full, mbody="to the resource that is gone", mtype="chat")
    await anna.nothing("message", type="error")
    if stage.server != "prosody":
        # Whether the sender is told that it was not kept is left open.
        anna.raw(f"<message to='{ben.bare}' type='chat'><body>secret</body><no-store xmlns='urn:xmpp:hints'/></message>")
        await anna.settle()

    hidden = await stage.person("ben", "hidden", presence=False)
    await hidden.available(ppriority=-1)
    await hidden.nothing("message")

    ben = await stage.person("ben", presence=False)
    await ben.nothing("message")
    await ben.available()
    came = [await ben.receive("message") for _ in range(4)]
    stage.equal(
        "what was kept, in order",
        ["letter 1 <&> ☕", "letter 2 <&> ☕", "letter 3 <&> ☕", "to the resource that is gone"],
        [one.findtext("{jabber:client}body") for one in came],
    )
    stage.equal("types", ["chat", "normal", "chat", "chat"], [one.get("type", "normal") for one in came])
    stage.equal("sender", {anna.full}, {one.get("from") for one in came})
    after = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    for one in came:
        delay = one.find(DELAY)
        stage.true(
            "a delay stamp by the server",
            delay is not None and delay.get("from") == stage.domain,
            one.attrib if delay is None else delay.attrib,
        )
        stamp = datetime.datetime.fromisoformat(delay.get("stamp"))
        stage.true("the stamp is the time of sending", before <= stamp <= after, delay.get("stamp"))
    await ben.nothing("message")
    await ben.logout()
    ben = await stage.person("ben")
    await ben.nothing("message")
