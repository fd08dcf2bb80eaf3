"""Unsubscribe, cancel and remove from the roster: both sides' states, pushes to a second resource, presence ends.

RFC 6121 §3.2, §3.3, §2.5.
"""


async def scenario(stage):
    anna = await stage.person("anna")
    desk = await stage.person("anna", "desk")
    ben = await stage.person("ben")
    await stage.friends(anna, ben)
    desk.forget()

    anna.client.send_presence_subscription(pto=ben.bare, ptype="unsubscribe")
    for person in (anna, desk):
        await person.push(ben.bare, subscription="from", ask="")
    await ben.receive("presence", frm=anna.bare, type="unsubscribe")
    await ben.push(anna.bare, subscription="to", ask="")
    if stage.server != "prosody":  # §3.3.3: it leaves the last presence standing
        gone = await anna.receive("presence", frm=ben.full, type="unavailable")
        stage.equal("ben is unavailable for anna", ben.full, gone.get("from"))
    ben.client.send_presence(pshow="xa")
    await anna.nothing("presence", frm=ben.full, type="", after=ben)

    anna.client.send_presence_subscription(pto=ben.bare, ptype="unsubscribed")
    for person in (anna, desk):
        await person.push(ben.bare, subscription="none", ask="")
    await ben.receive("presence", frm=anna.bare, type="unsubscribed")
    await ben.push(anna.bare, subscription="none", ask="")
    for full in (anna.full, desk.full):
        gone = await ben.receive("presence", frm=full, type="unavailable")
        stage.equal("anna is unavailable for ben", full, gone.get("from"))

    await stage.friends(anna, ben)
    for person in (anna, desk, ben):
        await person.settle()
        person.forget()
    removed = await anna.client.del_roster_item(ben.bare)
    stage.equal("the removal is answered", "result", removed["type"])
    for person in (anna, desk):
        await person.push(ben.bare, subscription="remove")
    await ben.receive("presence", frm=anna.bare, type="unsubscribe")
    await ben.receive("presence", frm=anna.bare, type="unsubscribed")
    await ben.settle()
    stage.equal("ben's item is kept without a subscription", "none", (await ben.roster())[anna.bare].get("subscription"))
    stage.equal("anna's roster is empty", {}, await anna.roster())
