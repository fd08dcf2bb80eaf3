"""Friends see each other come, change status and priority, go, and vanish; directed presence reaches a stranger and ends with the session.

RFC 6121 §4.2 to §4.6.
"""

from play_slixmpp import CLIENT


async def scenario(stage):
    anna = await stage.person("anna")
    ben = await stage.person("ben")
    await stage.friends(anna, ben)
    ben.client.send_presence(ptype="unavailable")
    await anna.receive("presence", frm=ben.full, type="unavailable")
    ben.forget()

    ben.client.send_presence()
    stage.equal("ben comes", ben.full, (await anna.receive("presence", type="")).get("from"))
    stage.equal("ben is told who is there", anna.full, (await ben.receive("presence", frm=anna.full, type="")).get("from"))
    await ben.receive("presence", frm=ben.full, type="")

    ben.client.send_presence(pshow="away", pstatus="Tee & <Kekse> ☕", ppriority=5)
    came = await anna.receive("presence", frm=ben.full, type="")
    stage.equal(
        "status change", ("away", "Tee & <Kekse> ☕", "5"), tuple(came.findtext(CLIENT + name) for name in ("show", "status", "priority"))
    )

    tablet = await stage.person("ben", "tablet")
    stage.equal("a second resource comes", tablet.full, (await anna.receive("presence", frm=tablet.full, type="")).get("from"))
    came = await tablet.receive("presence", frm=anna.full, type="")
    stage.equal("it is told who is there", anna.full, came.get("from"))
    came = await tablet.receive("presence", frm=ben.full, type="")
    stage.equal("it is told of the other resource, with its last status", "away", came.findtext(CLIENT + "show"))

    tablet.client.send_presence(ptype="unavailable", pstatus="bye")
    came = await anna.receive("presence", frm=tablet.full, type="unavailable")
    stage.equal("it goes, with a status", "bye", came.findtext(CLIENT + "status"))
    ben.client.abort()
    came = await anna.receive("presence", frm=ben.full, type="unavailable")
    stage.equal("a cut connection is unavailable presence", ben.full, came.get("from"))
    await anna.nothing("presence", frm=tablet.full)

    carl = await stage.person("carl")
    carl.forget()
    anna.client.send_presence(pto=carl.bare, pstatus="for you")
    came = await carl.receive("presence", frm=anna.full, type="")
    stage.equal("directed presence reaches a stranger", "for you", came.findtext(CLIENT + "status"))
    anna.client.send_presence(pshow="dnd")
    await carl.nothing("presence", frm=anna.full, after=anna)
    await anna.logout()
    came = await carl.receive("presence", frm=anna.full, type="unavailable")
    stage.equal("who got directed presence is told of the end", anna.full, came.get("from"))
