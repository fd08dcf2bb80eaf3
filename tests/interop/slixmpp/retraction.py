"""A message that its author takes back through slixmpp's plugin is told to the other side and is a tombstone in both archives.

XEP-0424 §3 to §5.
"""

PLUGINS = ("xep_0313", "xep_0424", "xep_0359", "xep_0297", "xep_0059", "xep_0308", "xep_0334", "xep_0428")


async def scenario(stage):
    if stage.server == "prosody":
        stage.skip("0.12 keeps what is retracted")
    anna = await stage.person("anna", plugins=PLUGINS)
    ben = await stage.person("ben", plugins=PLUGINS)
    for jid in (ben.bare, stage.domain):
        info = await ben.client.plugin["xep_0030"].get_info(jid=jid)
        announced = set(info["disco_info"]["features"])
        stage.true(f"{jid} announces it", "urn:xmpp:message-retract:1" in announced, sorted(announced))
    for number, words in enumerate(("good morning", "my password is otter", "how are you?")):
        message = anna.client.make_message(mto=ben.bare, mbody=words, mtype="chat")
        message["id"] = f"said-{number}"
        message.send()
        await ben.receive("message", body=words)
    retraction = anna.client.plugin["xep_0424"].send_retraction(mto=ben.bare, id="said-1")
    told = await ben.receive("message", has="{urn:xmpp:message-retract:1}retract")
    stage.equal("what is taken back", "said-1", told.find("{urn:xmpp:message-retract:1}retract").get("id"))
    stage.true("the retraction has an id", bool(told.get("id")), told.attrib)
    stage.equal("the one that was sent", retraction["id"], told.get("id"))
    # ben cannot take back what anna said.
    ben.client.plugin["xep_0424"].send_retraction(mto=anna.bare, id="said-0")
    await anna.receive("message", has="{urn:xmpp:message-retract:1}retract")
    for person in (anna, ben):
        rows = [row["mam_result"]["forwarded"]["stanza"] async for row in person.client.plugin["xep_0313"].iterate()]
        said = [row for row in rows if row["id"].startswith("said-")]
        stage.equal("the messages are in their places", ["said-0", "said-1", "said-2"], [row["id"] for row in said])
        stage.equal("what is left of them", ["good morning", "", "how are you?"], [row["body"] for row in said])
        stage.equal("the tombstone names the retraction", told.get("id"), said[1]["retracted"]["id"])
        stage.true("and says when", bool(said[1]["retracted"]["stamp"]), said[1])
        stage.equal("whose message it was", anna.full, said[1]["from"].full)
        stage.true("nothing of it is anywhere", not any("otter" in str(row) for row in rows), len(rows))
