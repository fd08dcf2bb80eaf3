"""A subscription request waits for an absent user and is answered when it comes back; a refusal ends it.

RFC 6121 §3.1.3, §3.1.4, §3.2.
"""


async def scenario(stage):
    await stage.account("ben")
    anna = await stage.person("anna")
    anna.client.send_presence_subscription(pto=f"ben@{stage.domain}", ptype="subscribe", pnick=None)
    await anna.push(f"ben@{stage.domain}", subscription="none", ask="subscribe")
    for visit in ("first", "second"):
        ben = await stage.person("ben")
        request = await ben.receive("presence", frm=anna.bare, type="subscribe")
        stage.equal(f"the request waits for the {visit} visit, until it is answered", anna.bare, request.get("from"))
        if visit == "first":
            await ben.logout()
    stage.true("a pending request is not in ben's roster", anna.bare not in await ben.roster())
    ben.client.send_presence_subscription(pto=anna.bare, ptype="unsubscribed")
    await anna.receive("presence", frm=ben.bare, type="unsubscribed")
    await anna.push(ben.bare, subscription="none", ask="")
    await ben.logout()
    ben = await stage.person("ben")
    await ben.nothing("presence", frm=anna.bare, type="subscribe")
