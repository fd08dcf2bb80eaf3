"""Roster items with names and groups are set, changed, pushed to every interested resource and removed; bad sets are refused.

RFC 6121 §2.
"""

from play_slixmpp import ROSTER, condition_of


async def scenario(stage):
    anna = await stage.person("anna")
    desk = await stage.person("anna", "desk")
    silent = await stage.person("anna", "silent", presence=False)
    ben = f"ben@{stage.domain}"
    answer = await anna.client.update_roster(ben, name='Ben <&> "Bär" ☕', groups=["Haus", "Freunde & Co"], subscription="none")
    stage.equal("answer to a roster set", "result", answer["type"])
    for person in (anna, desk):
        item = await person.push(ben, name='Ben <&> "Bär" ☕', subscription="none")
        stage.equal("groups in the push", {"Haus", "Freunde & Co"}, {group.text for group in item.findall(f"{ROSTER}group")})
    await silent.nothing("iq", type="set", after=anna)

    # slixmpp takes the groups of an update as the whole list
    await anna.client.update_roster(ben, name="Ben", groups=[])
    item = await desk.push(ben, name="Ben")
    stage.equal("groups after the change", [], item.findall(f"{ROSTER}group"))
    stage.equal("roster of a resource that asks later", ["Ben"], [item.get("name") for item in (await silent.roster()).values()])

    refusals = [
        ("two items", f"<item jid='a@{stage.domain}'/><item jid='b@{stage.domain}'/>", "bad-request"),
        ("removing nobody", f"<item jid='nobody@{stage.domain}' subscription='remove'/>", "item-not-found"),
    ]
    if stage.server != "prosody":  # it takes both
        refusals += [
            ("a group twice", f"<item jid='a@{stage.domain}'><group>x</group><group>x</group></item>", "bad-request"),
            ("an empty group", f"<item jid='a@{stage.domain}'><group/></item>", "not-acceptable"),
        ]
    for what, payload, expected in refusals:
        answer = await anna.request("set", None, f"<query xmlns='jabber:iq:roster'>{payload}</query>")
        stage.equal(f"roster set with {what}", expected, condition_of(answer))
    answer = await anna.request("set", ben, "<query xmlns='jabber:iq:roster'><item jid='x@y'/></query>")
    stage.true("a set of somebody else's roster is refused", condition_of(answer) is not None, answer.attrib)

    answer = await anna.client.del_roster_item(ben)
    stage.equal("answer to a removal", "result", answer["type"])
    await desk.push(ben, subscription="remove")
    stage.equal("roster at the end", {}, await anna.roster())
