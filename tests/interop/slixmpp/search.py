"""The user directory: its form, a search by plain fields and by slixmpp's data form, results that lead to a person.

XEP-0055, XEP-0004.
"""

from play_slixmpp import Skip

SEARCH = "{jabber:iq:search}"
DATA = "{jabber:x:data}"


async def scenario(stage):
    if stage.server != "snug":
        raise Skip("Prosody has no user directory of its own")
    anna = await stage.person("anna", plugins=("xep_0004", "xep_0054"))
    juliet = await stage.person("juliet", plugins=("xep_0054",))
    vcard = juliet.client["xep_0054"].make_vcard()
    vcard["FN"] = "Juliet Capulet"
    vcard["NICKNAME"] = "JuliC"
    await juliet.client["xep_0054"].publish_vcard(vcard)

    fields = await anna.request("get", stage.domain, "<query xmlns='jabber:iq:search'/>")
    names = {child.tag.removeprefix(SEARCH) for child in fields.find(f"{SEARCH}query")}
    stage.true("plain fields and a form", {"first", "last", "nick", "email", f"{DATA}x"} <= names, names)

    plain = await anna.request("set", stage.domain, "<query xmlns='jabber:iq:search'><last>capulet</last></query>")
    found = [(one.get("jid"), one.findtext(f"{SEARCH}nick")) for one in plain.iter(f"{SEARCH}item")]
    stage.equal("found by plain fields", [(juliet.bare, "JuliC")], found)

    form = anna.client["xep_0004"].make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="jabber:iq:search")
    form.add_field(var="nick", value="julic")
    answer = await anna.request("set", stage.domain, f"<query xmlns='jabber:iq:search'>{form}</query>")
    jids = [
        field.findtext(f"{DATA}value")
        for item in answer.iter(f"{DATA}item")
        for field in item
        if field.get("var") == "jid"
    ]
    stage.equal("found by a form", [juliet.bare], jids)
    nobody = await anna.request("set", stage.domain, "<query xmlns='jabber:iq:search'><last>Montague</last></query>")
    stage.equal("nobody found", 0, len(nobody.find(f"{SEARCH}query")))
