"""OMEMO between two people: device lists and bundles in their nodes, messages both ways, to one who is away, and a second device.

XEP-0384 (both of its forms publish their keys; slixmpp encrypts with the older one), XEP-0163, XEP-0280, XEP-0313.
"""

from stage.encryption import OLD, device, forget, hears, knows, own_id, read, say

ITEM = "{http://jabber.org/protocol/pubsub}item"
OLD_LIST, OLD_BUNDLES = f"{OLD}.devicelist", f"{OLD}.bundles"
NEW_LIST, NEW_BUNDLES = "urn:xmpp:omemo:2:devices", "urn:xmpp:omemo:2:bundles"
PAYLOAD = f"{{{OLD}}}encrypted/{{{OLD}}}payload"
FORWARDED = "{urn:xmpp:forward:0}forwarded/{jabber:client}message"


async def scenario(stage):
    anna, ben = await device(stage, "anna"), await device(stage, "ben")
    carl = await stage.person("carl", plugins=("xep_0060",))
    phone = await own_id(ben)
    for node in (OLD_LIST, NEW_LIST):
        stage.equal(f"a stranger reads {node}", [str(phone)], await devices(carl, ben.bare, node))
    stage.equal("and the old bundle", ["current"], list(await items(carl, ben.bare, f"{OLD_BUNDLES}:{phone}")))
    stage.equal("and the new one", [str(phone)], list(await items(carl, ben.bare, NEW_BUNDLES)))

    await stage.friends(anna, ben)
    await knows(anna, ben.bare, {phone})
    await say(anna, ben.bare, "hello ben <&> ☕")
    await hears(ben, anna.bare, "hello ben <&> ☕")
    await say(ben, anna.bare, "hello anna")
    await hears(anna, ben.bare, "hello anna")

    # What is said to one who is away is encrypted with what lies in the nodes, and waits.
    await ben.logout()
    for number in range(3):
        await say(anna, ben.bare, f"while you were away {number}")
    await anna.settle()
    await ben.login()
    await ben.available()
    await ben.client["xep_0280"].enable()
    for number in range(3):
        await hears(ben, anna.bare, f"while you were away {number}")

    # A second device: everybody hears of it, and it hears everything from now on.
    tablet = await device(stage, "ben", "tablet")
    both = {phone, await own_id(tablet)}
    stage.equal("both in the list", {str(one) for one in both}, set(await devices(carl, ben.bare, OLD_LIST)))
    stage.equal("both in the new bundles", {str(one) for one in both}, set(await items(carl, ben.bare, NEW_BUNDLES)))
    await knows(anna, ben.bare, both)
    await knows(ben, ben.bare, both)
    await say(anna, ben.bare, "to both")
    for one in (ben, tablet):
        await hears(one, anna.bare, "to both")
    await say(tablet, anna.bare, "from the tablet")
    await hears(anna, ben.bare, "from the tablet")
    copy = await ben.receive("message", has="{urn:xmpp:carbons:2}sent", where=lambda one: one.find(f"*/{FORWARDED}/{PAYLOAD}") is not None)
    stage.equal("the phone reads what the tablet sent", "from the tablet", await read(ben, copy.find(f"*/{FORWARDED}")))

    # The archive keeps what it cannot read, as it was.
    rows = await archived(tablet)
    stage.equal("all of it is archived, encrypted", 7, sum(row.find(PAYLOAD) is not None for row in rows))
    stage.true("and nothing of it in plain text", not any(row.findtext("{jabber:client}body", "").startswith("hello") for row in rows))

    # A device that is no more: its owner's other one takes its keys away.
    (gone,) = both - {phone}
    await tablet.logout()
    await forget(ben, gone, [phone])
    stage.equal("the tablet is off the list", [str(phone)], await devices(carl, ben.bare, OLD_LIST))
    stage.equal("its new bundle is retracted", [str(phone)], list(await items(carl, ben.bare, NEW_BUNDLES)))
    stage.equal("its old bundle's node is deleted", {}, await items(carl, ben.bare, f"{OLD_BUNDLES}:{gone}"))
    await knows(anna, ben.bare, {phone})
    await say(anna, ben.bare, "to the phone")
    await hears(ben, anna.bare, "to the phone")


async def items(person, whose, node):
    """Ids and payloads at somebody's node."""
    answer = await person.request("get", whose, f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'/></pubsub>")
    return {item.get("id"): item[0] for item in answer.iter(ITEM)}


async def devices(person, whose, node):
    """The devices in somebody's list."""
    return [device.get("id") for one in (await items(person, whose, node)).values() for device in one.iter() if device.get("id")]


async def archived(person):
    """All messages in a person's archive."""
    page = "<set xmlns='http://jabber.org/protocol/rsm'><max>50</max></set>"
    await person.request("set", None, f"<query xmlns='urn:xmpp:mam:2'>{page}</query>")
    results = [one.find("{urn:xmpp:mam:2}result") for one in person.unread if one.find("{urn:xmpp:mam:2}result") is not None]
    return [one.find(FORWARDED) for one in results]
