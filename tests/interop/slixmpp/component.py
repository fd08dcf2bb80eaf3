"""A slixmpp component shows its secret, is listed, answers and writes to people, and sees their presence; one with another secret is not let in.

XEP-0114 §3.
"""

import asyncio

import slixmpp
from play_slixmpp import condition_of

ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"


async def scenario(stage):
    host, port, secret = stage.component
    anna = await stage.person("anna")
    answer = await anna.request("get", host, INFO)
    stage.true("an error while it is not there", condition_of(answer) in ("remote-server-timeout", "service-unavailable"), condition_of(answer))

    stranger = slixmpp.ComponentXMPP(host, "another secret")
    let_in, ended = asyncio.Event(), asyncio.Event()
    stranger.add_event_handler("session_start", lambda _: let_in.set())
    stranger.add_event_handler("disconnected", lambda _: ended.set())
    stranger.connect(host=stage.address, port=port)
    await asyncio.wait_for(ended.wait(), 8)
    stage.true("who does not know the secret is not let in", not let_in.is_set())
    stranger.abort()

    bot = slixmpp.ComponentXMPP(host, secret)
    for plugin in ("xep_0030", "xep_0092", "xep_0199"):
        bot.register_plugin(plugin)
    heard, seen, started = asyncio.Queue(), asyncio.Queue(), asyncio.Event()
    bot.add_event_handler("session_start", lambda _: started.set())
    bot.add_event_handler("message", heard.put_nowait)
    bot.add_event_handler("presence", seen.put_nowait)
    bot.connect(host=stage.address, port=port)
    try:
        await asyncio.wait_for(started.wait(), 8)
        await play(stage, anna, bot, heard, seen, host)
    finally:
        bot.abort()


async def play(stage, anna, bot, heard, seen, host):
    items = await anna.request("get", stage.domain, ITEMS)
    listed = [item.get("jid") for item in items.iter("{http://jabber.org/protocol/disco#items}item")]
    stage.true("the server lists it", host in listed, listed)
    info = await anna.request("get", host, INFO)
    found = {feature.get("var") for feature in info.iter("{http://jabber.org/protocol/disco#info}feature")}
    stage.true("its own answer about itself", info.get("from") == host and "urn:xmpp:ping" in found, found)

    anna.client.send_message(mto=f"bot@{host}", mbody="hello <&> ☕", mtype="chat")
    message = await asyncio.wait_for(heard.get(), 8)
    stage.equal("what somebody wrote, and who", ("hello <&> ☕", anna.full), (message["body"], message["from"].full))
    message.reply("hello yourself").send()
    came = await anna.receive("message", frm=f"bot@{host}")
    stage.equal("its answer", "hello yourself", came.findtext("{jabber:client}body"))
    bot.send_message(mto=anna.bare, mfrom=f"crier@{host}/news", mbody="hear, hear", mtype="chat")
    came = await anna.receive("message", frm=f"crier@{host}/news")
    stage.equal("of anybody at its host", "hear, hear", came.findtext("{jabber:client}body"))

    rtt = await bot["xep_0199"].ping(stage.domain, ifrom=host)
    stage.true("the server answers its ping", rtt >= 0)
    anna.client.send_presence(pto=f"bot@{host}", pshow="away")
    presence = await asyncio.wait_for(seen.get(), 8)
    stage.equal("directed presence", (anna.full, "away"), (presence["from"].full, presence["show"]))
    await anna.logout()
    presence = await asyncio.wait_for(seen.get(), 8)
    stage.equal("and that it is over", (anna.full, "unavailable"), (presence["from"].full, presence["type"]))
