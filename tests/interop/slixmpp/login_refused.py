"""A wrong password, an unknown user and another account's authzid are refused, the first two alike.

RFC 6120 §6.5.10 not-authorized; §6.3.8 authorization identity.
"""

from play_slixmpp import Refused


async def scenario(stage):
    await stage.account("anna", "right")
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"):
        for direct in (False, True):
            wrong = await stage.refused("anna", password="wrong", mechanism=mechanism, direct=direct)
            stage.equal(f"{mechanism}, wrong password", "not-authorized", wrong)
        unknown = await stage.refused("nobody", password="right", mechanism=mechanism)
        stage.equal(f"{mechanism}, unknown user", "not-authorized", unknown)
    anna = await stage.person("anna", "phone")
    stage.equal("after the failures the right password gets in", f"anna@{stage.domain}/phone", anna.full)
    if stage.server == "prosody":  # it ignores the authzid and lets her in as anna
        return
    await stage.account("ben")
    other = await stage.person("anna", "other", login=False, mechanism="PLAIN")
    other.client.credentials["authzid"] = f"ben@{stage.domain}"
    try:
        await other.login()
    except Refused as refused:
        stage.true("authzid of another account is refused", refused.condition in ("invalid-authzid", "not-authorized"), refused.condition)
    else:
        stage.true("a login as anna for ben is refused", False, other.full)
