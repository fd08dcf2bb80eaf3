"""A slixmpp component as app server: it is told what somebody missed, with the options of who enabled it, and no more once it answered an error.

XEP-0357 §5 to §7.
"""

import asyncio

import slixmpp
from play_slixmpp import condition_of
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath
from stage.checks import Skip

PUSH = "urn:xmpp:push:0"
PUBSUB = "http://jabber.org/protocol/pubsub"
FORM = "{jabber:x:data}"
OPTIONS = "http://jabber.org/protocol/pubsub#publish-options"


class AppServer:
    """What it was told waits in `told`; it answers with a result, or with `refusal`."""

    def __init__(self, host, secret):
        self.told = asyncio.Queue()
        self.refusal = None
        self.started = asyncio.Event()
        self.component = slixmpp.ComponentXMPP(host, secret)
        self.component.register_plugin("xep_0030")
        self.component.register_plugin("xep_0199")
        self.component.add_event_handler("session_start", lambda _: self.started.set())
        path = "{%s}iq/{%s}pubsub" % (self.component.default_ns, PUBSUB)
        self.component.register_handler(Callback("a notification", MatchXPath(path), self.publish))

    def publish(self, iq):
        self.told.put_nowait(iq)
        answer = iq.reply(clear=True)
        if self.refusal:
            answer["type"] = "error"
            answer["error"]["condition"] = self.refusal
            answer["error"]["type"] = "cancel"
        answer.send()


def fields(form):
    """A form as a dictionary."""
    return {field.get("var"): field.findtext(FORM + "value") for field in form.iter(FORM + "field")}


async def scenario(stage):
    if stage.server == "prosody":
        raise Skip("its XEP-0357 is a community module")
    host, port, secret = stage.component
    app = AppServer(host, secret)
    app.component.connect(host=stage.address, port=port)
    try:
        await asyncio.wait_for(app.started.wait(), 8)
        await play(stage, app, host)
    finally:
        app.component.abort()


async def play(stage, app, host):
    ben = await stage.person("ben")
    anna = await stage.person("anna")
    info = await anna.client["xep_0030"].get_info(jid=anna.bare)
    stage.true("the account says that it can", PUSH in info["disco_info"]["features"], info["disco_info"]["features"])
    form = (
        f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{OPTIONS}</value></field>"
        "<field var='secret'><value>eruio234vzxc2kla-91</value></field></x>"
    )
    enable = f"<enable xmlns='{PUSH}' jid='{host}' node='yxs32uqsflafdk3iuqo'>{form}</enable>"
    answer = await anna.request("set", anna.bare, enable)
    stage.equal("it can be enabled", "result", answer.get("type"))
    refused = await anna.request("set", None, f"<enable xmlns='{PUSH}' jid='push.nowhere.test' node='a'/>")
    stage.equal("an app server that is out of reach", "remote-server-not-found", condition_of(refused))

    ben.client.send_message(mto=anna.bare, mbody="while you are here", mtype="chat")
    await anna.receive("message", body="while you are here")
    stage.true("nobody is told of what arrives", app.told.empty())
    await anna.logout()

    ben.client.send_message(mto=anna.bare, mbody="while you are away", mtype="chat")
    told = await asyncio.wait_for(app.told.get(), 8)
    publish = told.xml.find(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}publish")
    options = told.xml.find(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}publish-options")
    stage.equal("who tells it", (stage.domain, host, "set"), (told["from"].full, told["to"].full, told["type"]))
    stage.equal("at which node", "yxs32uqsflafdk3iuqo", publish.get("node"))
    summary = fields(publish.find(f"{{{PUBSUB}}}item/{{{PUSH}}}notification"))
    stage.equal("how much, and not what", {"FORM_TYPE": "urn:xmpp:push:summary", "message-count": "1"}, summary)
    stage.equal("what it wanted with it", {"FORM_TYPE": OPTIONS, "secret": "eruio234vzxc2kla-91"}, fields(options))

    # It rests; what comes meanwhile is told together.
    for number in range(3):
        ben.client.send_message(mto=anna.bare, mbody=f"more {number}", mtype="chat")
    told = await asyncio.wait_for(app.told.get(), 15)
    stage.equal("the rest of it", "4", fields(told.xml)["message-count"])
    app.refusal = "item-not-found"
    ben.client.send_message(mto=anna.bare, mbody="one more", mtype="chat")
    told = await asyncio.wait_for(app.told.get(), 15)
    stage.equal("one more", "5", fields(told.xml)["message-count"])
    # That was refused, and will be tomorrow: it is not asked again.
    ben.client.send_message(mto=anna.bare, mbody="and one", mtype="chat")
    await asyncio.sleep(7)
    stage.true("an app server that does not know the node is left alone", app.told.empty())

    anna = await stage.person("anna")
    came = [(await anna.receive("message", frm=ben.full)).findtext("{jabber:client}body") for _ in range(6)]
    expected = ["while you are away", "more 0", "more 1", "more 2", "one more", "and one"]
    stage.equal("nothing of it is lost", expected, came)
    answer = await anna.request("set", None, f"<disable xmlns='{PUSH}' jid='{host}'/>")
    stage.equal("what is disabled already can be disabled", "result", answer.get("type"))
