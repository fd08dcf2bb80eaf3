"""Private XML: bookmarks of XEP-0048 by slixmpp's plugin, seen by the account's other device, and by nobody else.

XEP-0049.
"""

from play_slixmpp import condition_of

NOTES = "<query xmlns='jabber:iq:private'><notes xmlns='urn:notes'><x:note xmlns:x='urn:x' k='1'>&lt;Ä&gt;</x:note></notes></query>"


async def scenario(stage):
    phone = await stage.person("anna", "phone", plugins=("xep_0048",))
    laptop = await stage.person("anna", "laptop", plugins=("xep_0048",))
    ben = await stage.person("ben")

    from slixmpp.plugins.xep_0048 import Bookmarks

    bookmarks = Bookmarks()
    bookmarks.add_conference(f"room@rooms.{stage.domain}", nick="anna", name="Room & Board", autojoin=True)
    await phone.answer(phone.client["xep_0048"].set_bookmarks(bookmarks, method="xep_0049"))
    answer = await laptop.answer(laptop.client["xep_0048"].get_bookmarks(method="xep_0049"))
    rooms = [(one["jid"], one["name"], one["autojoin"]) for one in answer["private"]["bookmarks"]["conferences"]]
    stage.equal("the other device has the bookmark", [(f"room@rooms.{stage.domain}", "Room & Board", True)], rooms)

    stage.equal("stored", "result", (await phone.request("set", None, NOTES)).get("type"))
    came = await laptop.request("get", None, "<query xmlns='jabber:iq:private'><notes xmlns='urn:notes'/></query>")
    note = came.find("{jabber:iq:private}query/{urn:notes}notes/{urn:x}note")
    stage.equal("text, attribute and namespaces come back", ("<Ä>", "1"), (note.text, note.get("k")))

    for to in (phone.bare, f"nobody@{stage.domain}"):
        answer = await ben.request("get", to, "<query xmlns='jabber:iq:private'><notes xmlns='urn:notes'/></query>")
        stage.true(
            f"nothing for others at {to}", condition_of(answer) in ("service-unavailable", "forbidden"), condition_of(answer)
        )
    answer = await phone.request("get", None, "<query xmlns='jabber:iq:private'/>")
    stage.true("nothing asked for is refused", condition_of(answer) in ("not-acceptable", "bad-request"), condition_of(answer))
