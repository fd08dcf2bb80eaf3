"""Two slixmpp clients with their own roster automatism end up with a mutual subscription after one request."""


async def scenario(stage):
    anna = await stage.person("anna", automatic=True)
    ben = await stage.person("ben", automatic=True)
    anna.client.send_presence(pto=ben.bare, ptype="subscribe")
    await anna.receive("presence", frm=ben.full, type="")
    await ben.receive("presence", frm=anna.full, type="")
    for person, other in ((anna, ben), (ben, anna)):
        await person.settle()
        stage.equal(f"{person.bare} has {other.bare} as", "both", (await person.roster())[other.bare].get("subscription"))
        stage.true(
            f"slixmpp's roster of {person.bare} sees {other.full} online",
            other.client.boundjid.resource in person.client.client_roster[other.bare].resources,
            person.client.client_roster[other.bare].resources,
        )
