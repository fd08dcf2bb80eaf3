"""kill -9: what was acknowledged before it is there after the next start: accounts, passwords, roster items, waiting messages."""


async def scenario(stage):
    anna = await stage.person("anna", plugins=("xep_0077",))
    await stage.account("ben")
    answer = await anna.client.update_roster(f"ben@{stage.domain}", name="Ben", groups=["Haus"])
    stage.equal("the roster set is acknowledged", "result", answer["type"])
    anna.client.send_message(mto=f"ben@{stage.domain}", mbody="kept", mtype="chat")
    # An IQ result after the message: what came before it on this stream has been committed with it.
    answer = await anna.answer(anna.client["xep_0077"].change_password("after the storm", jid=stage.domain))
    stage.equal("the new password is acknowledged", "result", answer["type"])
    await stage.request("kill")
    await anna.dropped()
    await stage.request("start")

    stage.equal(
        "the old password", "not-authorized", await stage.refused("anna", password=stage.accounts["anna"], mechanism="SCRAM-SHA-256")
    )
    anna = await stage.person("anna", password="after the storm")
    item = (await anna.roster())[f"ben@{stage.domain}"]
    stage.equal("the roster item", ("Ben", ["Haus"]), (item.get("name"), [one.text for one in item]))
    ben = await stage.person("ben")
    stage.equal("the waiting message", "kept", (await ben.receive("message")).findtext("{jabber:client}body"))
