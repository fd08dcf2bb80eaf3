"""In-band registration: register, log in, change the password, be refused with the old one, remove the account, begin anew.

XEP-0077.
"""

from play_slixmpp import IqError


async def register(stage, name: str, password: str):
    """Registers on the stream before login, then logs in on it; the condition of the error, or the person."""
    person = await stage.person(name, "phone", password=password, login=False, plugins=("xep_0077",))
    refused = []

    async def fill(form):
        iq = person.client.Iq(stype="set")
        iq["register"]["username"] = name
        iq["register"]["password"] = password
        try:
            await iq.send(timeout=8)
        except IqError as error:
            refused.append(error.condition)
            person.client.abort()

    person.client.add_event_handler("register", fill)
    try:
        await person.login()
    except Exception:
        if not refused:
            raise
    return refused[0] if refused else person


async def scenario(stage):
    clara = await register(stage, "clara", "first secret")
    stage.equal("registered and logged in", f"clara@{stage.domain}/phone", clara.full)
    stage.true(
        "registration was announced as a stream feature",
        any("{http://jabber.org/features/iq-register}register" in one for one in clara.features),
        clara.features,
    )
    await clara.available()
    await clara.client.update_roster(f"anna@{stage.domain}", name="Anna")
    stage.equal("a name that is taken", "conflict", await register(stage, "clara", "somebody else's"))

    answer = await clara.answer(clara.client["xep_0077"].change_password("second secret Größe €", jid=stage.domain))
    stage.equal("answer to the change of the password", "result", answer["type"])
    for mechanism in ("SCRAM-SHA-256", "PLAIN"):
        stage.equal(
            f"the old password, {mechanism}", "not-authorized", await stage.refused("clara", password="first secret", mechanism=mechanism)
        )
        again = await stage.person("clara", "new", password="second secret Größe €", mechanism=mechanism)
        stage.equal(f"the new password, {mechanism}", f"clara@{stage.domain}/new", again.full)
        await again.logout()

    other = await stage.person("clara", "other", password="second secret Größe €")
    answer = await clara.answer(clara.client["xep_0077"].cancel_registration())
    stage.equal("answer to the removal", "result", answer["type"])
    await other.dropped()
    stage.true("the other session of the removed account was ended", True)
    stage.equal(
        "login to the removed account",
        "not-authorized",
        await stage.refused("clara", password="second secret Größe €", mechanism="SCRAM-SHA-256"),
    )
    clara = await register(stage, "clara", "third secret")
    stage.equal("the name is free again, and the new account inherits nothing", {}, await clara.roster())
