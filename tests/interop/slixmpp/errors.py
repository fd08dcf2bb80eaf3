"""What cannot be delivered is answered with the right error, once: missing users and resources, unknown namespaces, groupchat to a person.

RFC 6121 §8.5; RFC 6120 §8.3, §10.3.
"""

from play_slixmpp import condition_of

UNKNOWN = "<query xmlns='urn:nobody:knows'/>"


async def scenario(stage):
    anna = await stage.person("anna")
    ben = await stage.person("ben")
    nobody = f"nobody@{stage.domain}"

    anna.client.make_message(mto=nobody, mbody="hello?", mtype="chat").send()
    error = await anna.receive("message", type="error")
    stage.equal("message to a missing user", ("service-unavailable", nobody), (condition_of(error), error.get("from")))
    anna.client.make_message(mto=f"{ben.bare}/nowhere", mbody="anybody?", mtype="chat").send()
    came = await ben.receive("message", body="anybody?")
    stage.equal("chat to a missing resource reaches the others", anna.full, came.get("from"))
    anna.client.make_message(mto=ben.bare, mbody="all of you", mtype="groupchat").send()
    stage.equal("groupchat to a person", "service-unavailable", condition_of(await anna.receive("message", type="error")))
    await ben.nothing("message", after=anna)

    for what, to, payload in (
        ("IQ to a missing user", nobody, UNKNOWN),
        ("IQ to a missing resource", f"{ben.bare}/nowhere", "<ping xmlns='urn:xmpp:ping'/>"),
        ("IQ to a resource of a missing user", f"{nobody}/x", "<ping xmlns='urn:xmpp:ping'/>"),
        ("unknown namespace to the server", stage.domain, UNKNOWN),
        ("unknown namespace to the own account", None, UNKNOWN),
        ("unknown namespace to somebody's account", ben.bare, UNKNOWN),
    ):
        for kind in ("get", "set"):
            answer = await anna.request(kind, to, payload)
            stage.equal(f"{what} ({kind})", "service-unavailable", condition_of(answer))
            stage.true(
                f"{what}: answered by whom it was for",
                answer.get("from") in ((to,) if to else (None, anna.bare, anna.full)),
                answer.get("from"),
            )

    anna.raw(f"<iq type='result' id='stray' to='{stage.domain}'/><message type='error' to='{nobody}'><body>no</body></message>")
    anna.raw(f"<presence to='{nobody}'/><presence type='unavailable' to='{nobody}/x'/>")
    await anna.nothing("message", type="error")
    await anna.nothing("iq", id="stray")
    await anna.nothing("presence", type="error")
    anna.raw("<message to='no@such@jid' id='bad'><body>x</body></message>")
    stage.equal("message to what is no JID", "jid-malformed", condition_of(await anna.receive("message", type="error", id="bad")))
