"""Nodes of an account as slixmpp's plugins use them: a nickname, a vCard4, a node that others subscribe to, write to and are asked for.

XEP-0163, XEP-0172, XEP-0292, XEP-0060.
"""

import asyncio

from slixmpp.plugins.xep_0292.stanza import VCard4
from slixmpp.xmlstream import ET

EVENT = "{http://jabber.org/protocol/pubsub#event}event"
ITEM = "{http://jabber.org/protocol/pubsub#event}item"
RETRACT = "{http://jabber.org/protocol/pubsub#event}retract"
NICK = "{http://jabber.org/protocol/nick}nick"
VCARD_NODE = "urn:xmpp:vcard4"
NODE = "urn:example:diary"


def entry(text):
    """A payload."""
    element = ET.Element("{urn:example}entry")
    element.text = text
    return element


def about(node):
    """An event about this node."""
    return lambda stanza: any(child.get("node") == node for child in stanza.find(EVENT) or ())


async def scenario(stage):
    anna = await stage.person("anna", plugins=("xep_0172", "xep_0292", "xep_0163", "xep_0060", "xep_0054"))
    ben = await stage.person("ben", plugins=("xep_0172", "xep_0292", "xep_0163", "xep_0060", "xep_0054"))
    await stage.friends(anna, ben)
    for node in ("http://jabber.org/protocol/nick", VCARD_NODE):
        ben.client["xep_0163"].add_interest(node)
    await ben.client["xep_0115"].update_caps(broadcast=False)
    ben.client.send_presence()
    # slixmpp answers the server's question what it can in a task of its own.
    await asyncio.sleep(0.5)
    await ben.settle()

    await anna.answer(anna.client["xep_0172"].publish_nick("Ishmael"))
    came = await ben.receive("message", frm=anna.bare, type="headline", has=EVENT, where=about("http://jabber.org/protocol/nick"))
    stage.equal("the nickname reaches a friend", "Ishmael", next(came.iter(NICK)).text)

    vcard = VCard4()
    vcard["full_name"] = "Anna & Co"
    await anna.answer(anna.client["xep_0163"].publish(vcard, node=VCARD_NODE, id="current"))
    await ben.receive("message", frm=anna.bare, type="headline", has=EVENT, where=about(VCARD_NODE))
    answer = await ben.answer(ben.client["xep_0060"].get_item(anna.bare, VCARD_NODE, "current"))
    stage.equal("the vCard4 out of its node", "Anna & Co", answer["pubsub"]["items"]["item"]["vcard"]["full_name"])
    if stage.server == "snug":  # Prosody 0.12 has no vCard-temp of it
        old = (await ben.answer(ben.client["xep_0054"].get_vcard(anna.bare, local=False)))["vcard_temp"]
        stage.equal("and as vcard-temp", "Anna & Co", old["FN"])

    # A node with several items, to which ben subscribes although he shows no such wish.
    pubsub, bens = anna.client["xep_0060"], ben.client["xep_0060"]
    form = anna.client["xep_0004"].make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#node_config")
    form.add_field(var="pubsub#max_items", value="10")
    form.add_field(var="pubsub#title", value="Diary")
    stage.equal("made", "result", (await anna.answer(pubsub.create_node(anna.bare, NODE, config=form)))["type"])
    config = (await anna.answer(pubsub.get_node_config(anna.bare, NODE)))["pubsub_owner"]["configure"]["form"]
    stage.equal("configured", ("10", "Diary"), (config.get_values()["pubsub#max_items"], config.get_values()["pubsub#title"]))
    answer = await ben.answer(bens.subscribe(anna.bare, NODE))
    stage.equal("subscribed", "subscribed", answer["pubsub"]["subscription"]["subscription"])
    for text in ("one", "two", "three"):
        await anna.answer(pubsub.publish(anna.bare, NODE, id=text, payload=entry(text)))
        came = await ben.receive("message", frm=anna.bare, has=EVENT, where=about(NODE))
        stage.equal(f"ben hears of {text}", text, next(came.iter(ITEM)).get("id"))
    answer = await ben.answer(bens.get_items(anna.bare, NODE, max_items=2))
    stage.equal("the two newest", {"two", "three"}, {item["id"] for item in answer["pubsub"]["items"]})
    answer = await ben.answer(bens.get_items(anna.bare, NODE, item_ids=["one"]))
    stage.equal("one by its id", ["one"], [item["id"] for item in answer["pubsub"]["items"]])
    answer = await ben.answer(bens.get_nodes(anna.bare))
    if stage.server == "snug":  # Prosody 0.12 has no titles here
        stage.true("the node is listed with its title", any(item[1:] == (NODE, "Diary") for item in answer["disco_items"]["items"]))

    answer = await ben.answer(bens.publish(anna.bare, NODE, payload=entry("mine")))
    stage.equal("ben may not write", "forbidden", answer["error"]["condition"])
    answer = await anna.answer(pubsub.modify_affiliations(anna.bare, NODE, affiliations=[(ben.bare, "publisher")]))
    stage.equal("ben becomes a publisher", "result", answer["type"])
    answer = await ben.answer(bens.publish(anna.bare, NODE, id="bens", payload=entry("mine")))
    stage.equal("ben may write", "result", answer["type"])
    await ben.receive("message", frm=anna.bare, has=EVENT, where=about(NODE))

    await anna.answer(pubsub.retract(anna.bare, NODE, "one", notify=True))
    came = await ben.receive("message", frm=anna.bare, has=EVENT, where=about(NODE))
    stage.equal("ben hears of what is gone", "one", next(came.iter(RETRACT)).get("id"))
    stage.equal("emptied", "result", (await anna.answer(pubsub.purge(anna.bare, NODE)))["type"])
    await ben.receive("message", frm=anna.bare, has=EVENT, where=about(NODE))
    stage.equal("deleted", "result", (await anna.answer(pubsub.delete_node(anna.bare, NODE)))["type"])
    came = await ben.receive("message", frm=anna.bare, has=EVENT, where=about(NODE))
    stage.equal("ben hears of the end", "delete", came.find(EVENT)[0].tag.rpartition("}")[2])
    answer = await ben.answer(bens.get_items(anna.bare, NODE))
    stage.equal("it is not there", "item-not-found", answer["error"]["condition"])
