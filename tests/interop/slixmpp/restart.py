"""A restart of the server: clients get system-shutdown; accounts, rosters, requests and waiting messages are there afterwards.

RFC 6120 §4.9.3.19.
"""


async def scenario(stage):
    anna = await stage.person("anna")
    ben = await stage.person("ben")
    await stage.account("carl")
    await stage.friends(anna, ben)
    await anna.client.update_roster(ben.bare, name="Ben ☕", groups=["Haus"])
    anna.client.send_presence_subscription(pto=f"carl@{stage.domain}", ptype="subscribe")
    await ben.logout()
    for number in range(3):
        anna.client.send_message(mto=ben.bare, mbody=f"before {number}", mtype="chat")
    await anna.settle()

    await stage.request("stop")
    said = await anna.dropped()
    # Prosody 0.12 sometimes ends before its last words are written.
    stage.true("the stop is announced with system-shutdown", said == "system-shutdown" or (stage.server == "prosody" and said == ""), said)
    await stage.request("start")

    anna = await stage.person("anna")
    item = (await anna.roster())[ben.bare]
    stage.equal("roster item", ("both", "Ben ☕", ["Haus"]), (item.get("subscription"), item.get("name"), [one.text for one in item]))
    stage.equal("request that is not answered yet", "subscribe", (await anna.roster())[f"carl@{stage.domain}"].get("ask"))
    ben = await stage.person("ben")
    stage.equal(
        "waiting messages",
        [f"before {number}" for number in range(3)],
        [(await ben.receive("message")).findtext("{jabber:client}body") for _ in range(3)],
    )
    await anna.receive("presence", frm=ben.full, type="")
    carl = await stage.person("carl")
    stage.equal("the request waits for carl", anna.bare, (await carl.receive("presence", type="subscribe")).get("from"))
