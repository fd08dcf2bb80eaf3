"""A vCard with a picture is kept as it was sent, seen by friends and by nobody else, and read as vCard4 too.

XEP-0054, XEP-0292.
"""

from play_slixmpp import condition_of

VCARD4 = "{urn:ietf:params:xml:ns:vcard-4.0}"


async def scenario(stage):
    anna = await stage.person("anna", plugins=("xep_0054",))
    ben = await stage.person("ben", plugins=("xep_0054",))
    carl = await stage.person("carl", plugins=("xep_0054",))
    await stage.friends(anna, ben)

    empty = await anna.request("get", None, "<vCard xmlns='vcard-temp'/>")
    stage.true("no vCard yet", empty.get("type") == "result" or condition_of(empty) == "item-not-found", empty.get("type"))

    picture = bytes(range(256)) * 200
    vcard = anna.client["xep_0054"].make_vcard()
    vcard["FN"] = "Anna <the> B & Ä"
    vcard["NICKNAME"] = "anna"
    vcard["PHOTO"]["TYPE"] = "image/png"
    vcard["PHOTO"]["BINVAL"] = picture
    await anna.client["xep_0054"].publish_vcard(vcard)

    for who, jid in ((anna, anna.bare), (ben, anna.bare)):
        came = (await who.answer(who.client["xep_0054"].get_vcard(jid, local=False)))["vcard_temp"]
        stage.equal(f"the name as {who.bare} sees it", "Anna <the> B & Ä", came["FN"])
        stage.true("the picture is the same", bytes(came["PHOTO"]["BINVAL"]) == picture)

    if stage.server == "snug":  # Prosody 0.12 shows a vCard to everybody and has no vCard4 in an iq
        four = await ben.request("get", anna.bare, "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>")
        stage.equal("the name in vCard4", "Anna <the> B & Ä", four.findtext(f"{VCARD4}vcard/{VCARD4}fn/{VCARD4}text"))
        uri = four.findtext(f"{VCARD4}vcard/{VCARD4}photo/{VCARD4}uri") or ""
        stage.true("the picture in vCard4", uri.startswith("data:image/png;base64,"), uri[:40])
        answers = {}
        for to in (anna.bare, f"nobody@{stage.domain}"):
            answer = await carl.request("get", to, "<vCard xmlns='vcard-temp'/>")
            answers[to] = condition_of(answer)
        stage.equal("a stranger sees nobody", {"service-unavailable"}, set(answers.values()))
    answer = await ben.request("set", anna.bare, "<vCard xmlns='vcard-temp'><FN>Ben</FN></vCard>")
    stage.equal("a friend cannot change it", "error", answer.get("type"))

    await stage.request("kill")
    await anna.dropped()
    await stage.request("start")
    anna = await stage.person("anna", plugins=("xep_0054",))
    came = (await anna.answer(anna.client["xep_0054"].get_vcard(anna.bare, local=False)))["vcard_temp"]
    stage.equal("the name after kill -9", "Anna <the> B & Ä", came["FN"])
