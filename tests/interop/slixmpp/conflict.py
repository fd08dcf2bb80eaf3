"""The same resource bound a second time ends the older session with conflict, and the newer one works on.

RFC 6120 §7.7.2.2, §4.9.3.3.
"""


async def scenario(stage):
    older = await stage.person("anna", "phone")
    ben = await stage.person("ben")
    newer = await stage.person("anna", "phone")
    stage.equal("stream error of the older session", "conflict", await older.dropped())
    stage.equal("JID of the newer session", f"anna@{stage.domain}/phone", newer.full)
    ben.client.send_message(mto=newer.full, mbody="to the newer one")
    came = await newer.receive("message", frm=ben.full, body="to the newer one")
    stage.equal("a message reaches the newer session", newer.full, came.get("to"))
