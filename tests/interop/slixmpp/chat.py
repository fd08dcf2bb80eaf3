"""Chat both ways to full and bare JIDs arrives once, in order, with the true sender; negative priority gets nothing for the bare JID.

RFC 6121 §5, §8.5.
"""

import asyncio


async def scenario(stage):
    anna = await stage.person("anna")
    ben = await stage.person("ben")
    for number in range(20):
        anna.client.send_message(mto=ben.full, mbody=f"a{number}", mtype="chat")
        ben.client.send_message(mto=anna.bare, mbody=f"b{number}", mtype="chat")
    for receiver, sender, letter in ((ben, anna, "a"), (anna, ben, "b")):
        came = [await receiver.receive("message", type="chat") for _ in range(20)]
        stage.equal("bodies in order", [f"{letter}{number}" for number in range(20)], [one.findtext("{jabber:client}body") for one in came])
        stage.equal("the sender's full JID", {sender.full}, {one.get("from") for one in came})
    await anna.nothing("message", after=ben)

    hidden = await stage.person("ben", "hidden", presence=False)
    await hidden.available(ppriority=-1)
    anna.client.send_message(mto=ben.bare, mbody="to the bare JID", mtype="chat")
    await ben.receive("message", body="to the bare JID")
    await hidden.nothing("message", after=anna)
    anna.client.send_message(mto=hidden.full, mbody="to the full JID", mtype="chat")
    stage.equal(
        "a negative priority gets what is for its full JID",
        anna.full,
        (await hidden.receive("message", body="to the full JID")).get("from"),
    )
    await ben.nothing("message", after=anna)

    anna.raw(f"<message from='carl@{stage.domain}/x' to='{ben.full}' id='forged'><body>not from carl</body></message>")
    answered = await sender_of_forged(anna, ben)
    stage.true("a forged sender is stamped over or refused", answered in (anna.full, "error"), answered)


async def sender_of_forged(anna, ben) -> str:
    """RFC 6120 §8.1.2.1: the server stamps the true sender, or refuses (stanza or stream error invalid-from)."""
    for _ in range(40):
        for stanza in ben.unread:
            if stanza.get("id") == "forged":
                return stanza.get("from")
        if any(stanza.get("id") == "forged" for stanza in anna.unread) or anna.stream_error == "invalid-from":
            return "error"
        await asyncio.sleep(0.1)
    return "nothing"
