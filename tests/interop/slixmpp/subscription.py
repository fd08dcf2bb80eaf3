"""Two users subscribe to each other: requests, approvals, roster pushes through every state, then presence, in this order.

RFC 6121 §3.1; appendix A.
"""

from play_slixmpp import push_of


async def scenario(stage):
    anna = await stage.person("anna")
    desk = await stage.person("anna", "desk")
    ben = await stage.person("ben")
    for person in (anna, desk, ben):
        person.forget()

    anna.client.send_presence_subscription(pto=ben.bare, ptype="subscribe")
    for person in (anna, desk):
        await person.push(ben.bare, subscription="none", ask="subscribe")
    request = await ben.receive("presence", type="subscribe")
    stage.equal("the request comes from the bare JID", anna.bare, request.get("from"))

    ben.client.send_presence_subscription(pto=anna.bare, ptype="subscribed")
    await ben.push(anna.bare, subscription="from", ask="")
    for person in (anna, desk):
        await person.receive("presence", frm=ben.bare, type="subscribed")
        await person.push(ben.bare, subscription="to", ask="")
        presence = await person.receive("presence", frm=ben.full, type="")
        stage.equal(f"{person.full} sees ben online", ben.full, presence.get("from"))
        in_order(stage, person, ben, subscription="to")
    await ben.nothing("presence", frm=anna.full, after=anna)

    ben.client.send_presence_subscription(pto=anna.bare, ptype="subscribe")
    await ben.push(anna.bare, subscription="from", ask="subscribe")
    await anna.receive("presence", frm=ben.bare, type="subscribe")
    anna.client.send_presence_subscription(pto=ben.bare, ptype="subscribed")
    for person in (anna, desk):
        await person.push(ben.bare, subscription="both", ask="")
    await ben.push(anna.bare, subscription="both", ask="")
    for person in (anna, desk):
        await ben.receive("presence", frm=person.full, type="")
        in_order(stage, ben, person, subscription="both")
    item = (await anna.roster())[ben.bare]
    stage.equal("in the roster afterwards", ("both", None), (item.get("subscription"), item.get("ask")))


def in_order(stage, person, friend, subscription: str) -> None:
    """§3.1.6: the approval, the roster push, the friend's presence. Profanity 0.13 shows nobody online whose push has not come."""
    places = [
        person.place("presence", frm=friend.bare, type="subscribed"),
        person.place("iq", type="set", where=push_of(friend.bare, subscription=subscription)),
        person.place("presence", frm=friend.full, type=""),
    ]
    stage.equal(f"{person.full}: approval, roster push, presence of {friend.full} come in this order", sorted(places), places)
