"""Block and unblock through slixmpp's plugin: pushes, presence, errors on both sides, after a new login too; a report is taken.

XEP-0191 §3, XEP-0377 §6.
"""

from play_slixmpp import condition_of

BLOCKING = "{urn:xmpp:blocking}"
PLUGINS = ("xep_0191", "xep_0377")


async def scenario(stage):
    anna = await stage.person("anna", plugins=PLUGINS)
    desk = await stage.person("anna", "desk", plugins=PLUGINS)
    silent = await stage.person("anna", "silent")
    ben = await stage.person("ben")
    await stage.friends(anna, ben)
    info = await anna.client.plugin["xep_0030"].get_info(jid=stage.domain)
    features = info["disco_info"]["features"]
    stage.true("blocking is announced", "urn:xmpp:blocking" in features, sorted(features))

    for person in (anna, desk):
        stage.equal("the list is empty at first", set(), await blocked(person))
    for person in (silent, ben, desk):
        await person.settle()
        person.forget()

    answer = await anna.answer(anna.client.plugin["xep_0191"].block(ben.bare))
    stage.equal("the answer to a block", "result", answer["type"])
    for person in (anna, desk):
        pushed = await person.receive("iq", type="set", has=f"{BLOCKING}block")
        stage.equal("pushed to who asked for the list", [ben.bare], [item.get("jid") for item in pushed.iter(f"{BLOCKING}item")])
    await silent.nothing("iq", type="set")
    for person in (anna, desk, silent):
        gone = await ben.receive("presence", frm=person.full, type="unavailable")
        stage.equal("who blocks is gone for who is blocked", person.full, gone.get("from"))
    ben.forget()

    ben.client.send_message(mto=anna.bare, mbody="are you there?", mtype="chat")
    stage.equal("a message of who is blocked", "service-unavailable", condition_of(await ben.receive("message", type="error")))
    answer = await ben.request("get", anna.full, "<query xmlns='jabber:iq:version'/>")
    stage.equal("a request of who is blocked", "service-unavailable", condition_of(answer))
    ben.client.send_presence(pshow="away")
    for person in (anna, desk):
        await person.nothing("message", after=ben)
        await person.nothing("presence", frm=ben.full, type="", after=ben)
    anna.client.send_message(mto=ben.bare, mbody="no", mtype="chat")
    refused = await anna.receive("message", type="error")
    stage.equal("a message to who is blocked", "not-acceptable", condition_of(refused))
    stage.true("it says why", refused.find(".//{urn:xmpp:blocking:errors}blocked") is not None, refused.attrib)
    await ben.nothing("message", after=anna)

    await desk.logout()
    later = await stage.person("anna", "later", plugins=PLUGINS)
    stage.equal("the list at the next login", {ben.bare}, await blocked(later))
    await later.nothing("presence", frm=ben.full, type="", after=ben)
    await ben.nothing("presence", frm=later.full, after=later)

    answer = await later.answer(later.client.plugin["xep_0191"].unblock(ben.bare))
    stage.equal("the answer to an unblock", "result", answer["type"])
    await anna.receive("iq", type="set", has=f"{BLOCKING}unblock")
    if stage.server != "prosody":  # it leaves current presence (§3.4) to the next change
        for person in (anna, later):
            here = await ben.receive("presence", frm=person.full, type="")
            stage.equal("who unblocked is there again", person.full, here.get("from"))
            await person.receive("presence", frm=ben.full, type="")
    ben.client.send_message(mto=anna.bare, mbody="and now?", mtype="chat")
    await anna.receive("message", body="and now?")

    report = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'><text xml:lang='en'>never again</text></report>"
    item = f"<item jid='spam@example.net'>{report}</item>"
    answer = await anna.request("set", None, f"<block xmlns='urn:xmpp:blocking'>{item}</block>")
    stage.equal("a block with a report", "result", answer.get("type"))
    answer = await anna.request("set", None, "<block xmlns='urn:xmpp:blocking'/>")
    stage.equal("a block of nobody", "bad-request", condition_of(answer))
    answer = await anna.request("set", None, "<unblock xmlns='urn:xmpp:blocking'/>")
    stage.equal("the answer to unblocking all", "result", answer.get("type"))
    stage.equal("nobody is blocked at the end", set(), await blocked(anna))


async def blocked(person) -> set[str]:
    """Whom the plugin finds blocked."""
    answer = await person.answer(person.client.plugin["xep_0191"].get_blocked())
    return {item.get("jid") for item in answer.xml.iter(f"{BLOCKING}item")}
