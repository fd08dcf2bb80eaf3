"""A session outlives a cut TCP connection: what was lost on the way comes again, in both directions, once and in order.

XEP-0198 §4, §5; slixmpp's own plugin counts, acknowledges and resumes.
"""

import asyncio

from play_slixmpp import LOGIN_SECONDS

BODY = "{jabber:client}body"


async def back(stage, person):
    """Connects again; the plugin resumes. Returns <resumed/>."""
    resumed = asyncio.get_running_loop().create_future()

    def end(stanza):
        if not resumed.done():
            resumed.set_result(stanza)

    for event in ("session_resumed", "sm_failed"):
        person.client.add_event_handler(event, end)
    person.gone.clear()
    person.client.connect(host=stage.address, port=stage.c2s)
    answer = await asyncio.wait_for(resumed, LOGIN_SECONDS)
    for event in ("session_resumed", "sm_failed"):
        person.client.del_event_handler(event, end)
    return answer


async def bodies(person, count):
    return [(await person.receive("message")).findtext(BODY) for _ in range(count)]


async def scenario(stage):
    ben = await stage.person("ben")
    anna = await stage.person("anna", plugins=("xep_0198",), login=False)
    enabled = []
    anna.client.add_event_handler("sm_enabled", enabled.append)
    await anna.login()
    await anna.available()
    management = anna.client.plugin["xep_0198"]
    stage.true("the server offers and enables stream management", len(enabled) == 1 and management.sm_id, enabled)
    stage.equal("it says how long it waits", "600", enabled[0].xml.get("max"))
    await stage.friends(anna, ben)

    # Acknowledgements: with a window of five the plugin asks by itself.
    acked = []
    anna.client.add_event_handler("stanza_acked", lambda stanza: acked.append(stanza["body"]) if stanza.name == "message" else None)
    for number in range(10):
        anna.client.send_message(mto=ben.full, mbody=f"acked {number}", mtype="chat")
    stage.equal("they arrive", [f"acked {number}" for number in range(10)], await bodies(ben, 10))
    management.request_ack()
    # They are acknowledged when the disk has them.
    for _ in range(100):
        if len(acked) == 10:
            break
        await asyncio.sleep(0.05)
    stage.equal("they are acknowledged", [f"acked {number}" for number in range(10)], acked)

    # What is written to a dead connection is not lost.
    anna.client.transport.pause_reading()
    for number in range(5):
        ben.client.send_message(mto=anna.bare, mbody=f"in flight {number}", mtype="chat")
    await ben.settle()
    await asyncio.sleep(0.3)
    anna.client.send_message(mto=ben.full, mbody="from the tunnel", mtype="chat")
    anna.client.transport.abort()
    await asyncio.wait_for(anna.gone.wait(), LOGIN_SECONDS)
    ben.client.send_message(mto=anna.full, mbody="away 0", mtype="chat")
    ben.client.send_presence(pshow="dnd")
    ben.client.send_message(mto=anna.bare, mbody="away 1", mtype="chat")
    await ben.nothing("presence", frm=anna.full)

    features = len(anna.features)
    answer = await back(stage, anna)
    stage.equal("the session is resumed", "resumed", answer.name)
    stage.equal("it is the same", f"{anna.bare}/phone", anna.full)
    stage.true("no resource was bound anew", len(anna.features) > features and "bind" not in anna.client.features, anna.client.features)
    wanted = [f"in flight {number}" for number in range(5)] + ["away 0", "away 1"]
    stage.equal("what was lost and what came meanwhile, once and in order", wanted, await bodies(anna, 7))
    await anna.receive("presence", frm=ben.full, where=lambda one: one.findtext("{jabber:client}show") == "dnd")
    stage.equal("what was sent into the dead connection", ["from the tunnel"], await bodies(ben, 1))
    await anna.nothing("message")
    await ben.nothing("message")

    # Over and over, without a gap.
    for turn in range(5):
        anna.client.transport.abort()
        await asyncio.wait_for(anna.gone.wait(), LOGIN_SECONDS)
        ben.client.send_message(mto=anna.bare, mbody=f"turn {turn}", mtype="chat")
        await ben.settle()
        stage.equal("it goes on", "resumed", (await back(stage, anna)).name)
        stage.equal("what came meanwhile", [f"turn {turn}"], await bodies(anna, 1))
    await anna.nothing("message")
    await ben.nothing("presence", frm=anna.full)

    # The server's orderly end keeps what was not acknowledged; the session is over, and a new one gets it.
    anna.client.transport.pause_reading()
    ben.client.send_message(mto=anna.full, mbody="before the restart", mtype="chat")
    await ben.settle()
    await stage.request("stop")
    await stage.request("start")
    anna.client.abort()
    ben = await stage.person("ben", "pc")
    anna = await stage.person("anna", "pc", plugins=("xep_0198",))
    stage.equal("it has waited", ["before the restart"], await bodies(anna, 1))
    await anna.nothing("message")
