"""Receipts, chat states, subject, thread and unknown extensions with their own prefixes pass through unchanged.

XEP-0184, XEP-0085; RFC 6120 §8.4.
"""

import xml.etree.ElementTree as ET

STRANGE = (
    "<x:outer xmlns:x='urn:strange' x:one='1' two='&lt;&#233;&amp;'><inner xmlns='urn:deep'><x:leaf/>text &amp; more</inner>"
    "<x:empty/></x:outer>"
)


async def scenario(stage):
    anna = await stage.person("anna")
    ben = await stage.person("ben")

    message = anna.client.make_message(mto=ben.full, mbody="got it?", mtype="chat", msubject="Betreff & <so>")
    message["id"] = "asked-1"
    message["request_receipt"] = True
    message["chat_state"] = "active"
    message["thread"] = "thread-<1>"
    message.send()
    came = await ben.receive("message", id="asked-1", has=("{urn:xmpp:receipts}request", "{http://jabber.org/protocol/chatstates}active"))
    stage.equal(
        "subject and thread",
        ("Betreff & <so>", "thread-<1>"),
        (came.findtext("{jabber:client}subject"), came.findtext("{jabber:client}thread")),
    )
    # slixmpp answers a receipt request by itself
    receipt = await anna.receive("message", frm=ben.full, has="{urn:xmpp:receipts}received")
    stage.equal("receipt for", "asked-1", receipt.find("{urn:xmpp:receipts}received").get("id"))

    for state in ("composing", "paused", "inactive", "gone"):
        message = ben.client.make_message(mto=anna.full, mtype="chat")
        message["chat_state"] = state
        message.send()
        came = await anna.receive("message", frm=ben.full, has=f"{{http://jabber.org/protocol/chatstates}}{state}")
        stage.equal("children of a chat state", 1, len(came))

    ben.raw(f"<message to='{anna.full}' id='strange' xml:lang='de' type='normal'>{STRANGE}<body xml:lang='en'>hello</body></message>")
    came = await anna.receive("message", id="strange", type="normal")
    stage.equal("language", "de", came.get("{http://www.w3.org/XML/1998/namespace}lang"))
    stage.equal(
        "a strange extension",
        ET.canonicalize(STRANGE, rewrite_prefixes=True),
        ET.canonicalize(ET.tostring(came.find("{urn:strange}outer"), encoding="unicode"), rewrite_prefixes=True),
    )
    # RFC 6121 §8.5.3.1: a request reaches only who shows itself to the asker.
    ben.raw(f"<presence to='{anna.full}'/>")
    await anna.receive("presence", frm=ben.full)
    answers = await anna.request("get", ben.full, "<query xmlns='jabber:iq:version'/>")
    stage.equal(
        "an IQ between two people is answered by the other's client", ("result", ben.full), (answers.get("type"), answers.get("from"))
    )
