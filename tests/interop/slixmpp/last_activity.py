"""Last activity: the server's uptime, a friend's absence with the last status, kept over a restart, and nothing for strangers.

XEP-0012.
"""

import asyncio

from play_slixmpp import condition_of


async def scenario(stage):
    anna = await stage.person("anna", plugins=("xep_0012",))
    ben = await stage.person("ben")
    carl = await stage.person("carl", plugins=("xep_0012",))
    await stage.friends(anna, ben)

    uptime = (await anna.answer(anna.client["xep_0012"].get_last_activity(stage.domain)))["last_activity"]
    stage.true("the server runs for some seconds", 0 <= uptime["seconds"] < 600, uptime["seconds"])
    here = (await anna.answer(anna.client["xep_0012"].get_last_activity(ben.bare)))["last_activity"]
    stage.equal("a friend who is here", 0, here["seconds"])

    ben.raw("<presence type='unavailable'><status>Heading Home</status></presence>")
    await ben.settle()
    await ben.logout()
    await anna.receive("presence", type="unavailable")
    await asyncio.sleep(2.1)
    for when in ("before", "after"):
        away = (await anna.answer(anna.client["xep_0012"].get_last_activity(ben.bare)))["last_activity"]
        stage.true(f"seconds away, {when} a restart", 1 <= away["seconds"] < 120, away["seconds"])
        stage.equal(f"the last status, {when} a restart", "Heading Home", away["status"])
        if when == "before":
            for to in (ben.bare, f"nobody@{stage.domain}"):
                answer = await carl.request("get", to, "<query xmlns='jabber:iq:last'/>")
                refused = condition_of(answer)
                stage.true(f"nothing for a stranger at {to}", refused in ("service-unavailable", "forbidden"), refused)
                if stage.server == "snug":
                    stage.equal("the same as for nobody", "service-unavailable", refused)
            await stage.request("stop")
            await anna.dropped()
            await stage.request("start")
            anna = await stage.person("anna", plugins=("xep_0012",))
