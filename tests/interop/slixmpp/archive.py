"""Both sides find a conversation in their archives through slixmpp's plugin: whole, page by page in both directions, by time and by person.

XEP-0313 §3 to §5, XEP-0059 §2, XEP-0359 §3, XEP-0441 §2.1.
"""

import datetime

from play_slixmpp import condition_of

PLUGINS = ("xep_0313", "xep_0441", "xep_0359", "xep_0297", "xep_0059")
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
MAM = "{urn:xmpp:mam:2}"
FORM = "{jabber:x:data}"


async def scenario(stage):
    anna = await stage.person("anna", plugins=PLUGINS)
    ben = await stage.person("ben", plugins=PLUGINS)
    cleo = await stage.person("cleo")
    await stage.friends(anna, ben)
    await stage.friends(anna, cleo)
    info = await ben.client.plugin["xep_0030"].get_info(jid=ben.bare)
    announced = set(info["disco_info"]["features"])
    wanted = {"urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", "urn:xmpp:sid:0"}
    stage.true("the account announces its archive", wanted <= announced, sorted(announced))

    ids = []
    for number in range(25):
        sender, receiver = (anna, ben) if number % 2 == 0 else (ben, anna)
        sender.client.send_message(mto=receiver.bare, mbody=f"line {number} <&>", mtype="chat")
        came = await receiver.receive("message", body=f"line {number} <&>")
        given = [one for one in came.iter(STANZA_ID) if one.get("by") == receiver.bare]
        stage.equal(f"line {number} has one id of its recipient's archive", 1, len(given))
        if receiver is ben:
            ids.append(given[0].get("id"))
    cleo.client.send_message(mto=ben.bare, mbody="hello from cleo", mtype="chat")
    await ben.receive("message", body="hello from cleo")
    lines = [f"line {number} <&>" for number in range(25)]

    archive = ben.client.plugin["xep_0313"]
    for reverse in (False, True):
        rows = [row async for row in archive.iterate(reverse=reverse)]
        expected = [*lines, "hello from cleo"]
        stage.equal(f"all of it, ten at a time, reverse={reverse}", expected[::-1] if reverse else expected, [body(row) for row in rows])
    rows = [row async for row in archive.iterate(with_jid=anna.bare)]
    stage.equal("what was said with anna", lines, [body(row) for row in rows])
    stage.equal("received ones have the ids that came with them", ids, [row["mam_result"]["id"] for row in rows][::2])
    stage.equal("senders", [anna.full, ben.full], [row["mam_result"]["forwarded"]["stanza"]["from"].full for row in rows][:2])
    asked = None if stage.server == "prosody" else anna.bare  # its results name nobody, whoever was asked
    stage.equal("anna has it too", lines, [body(row) async for row in anna.client.plugin["xep_0313"].iterate(jid=asked)])
    stamps = [row["mam_result"]["forwarded"]["delay"]["stamp"] for row in rows]
    stage.true("the times go on", stamps == sorted(stamps), stamps)
    now = datetime.datetime.now(datetime.timezone.utc)
    stage.true("they are of now", all(abs((now - stamp).total_seconds()) < 60 for stamp in stamps), stamps)
    rows = [row async for row in archive.iterate(start=stamps[20], with_jid=anna.bare)]
    from_then = [body(row) for row in rows]
    stage.true("from a time on, that one too", set(lines[20:]) <= set(from_then), from_then)
    if stage.server != "prosody":  # its times are whole seconds
        # Two may have come in the same millisecond.
        stage.equal("and none before it", [line for line, stamp in zip(lines, stamps) if stamp >= stamps[20]], from_then)
    rows = [row async for row in archive.iterate(end=now - datetime.timedelta(days=1))]
    stage.equal("nothing is so old", [], rows)

    page = await archive.retrieve(rsm={"max": 3, "before": ids[5]})
    stage.equal("a page before a line", ["line 7 <&>", "line 8 <&>", "line 9 <&>"], [body(row) for row in page["mam"]["results"]])
    unknown = await ben.answer(archive.retrieve(rsm={"max": 3, "after": "nothing-like-that"}))
    stage.equal("an id that is not there", "item-not-found", condition_of(unknown.xml))
    field = f"<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'>{text('FORM_TYPE', 'urn:xmpp:mam:2')}%s</x></query>"
    if stage.server != "prosody":  # 0.12 takes forms with fields that it does not know
        answer = await ben.request("set", None, field % text("{urn:x}mood", "good"))
        stage.equal("a field that nobody knows", "feature-not-implemented", condition_of(answer))
    answer = await ben.request("set", None, field % text("start", "yesterday"))
    stage.equal("a time that is none", "bad-request", condition_of(answer))
    answer = await ben.request("set", anna.bare, "<query xmlns='urn:xmpp:mam:2'/>")
    stage.true("another's archive is closed", condition_of(answer) is not None, condition_of(answer))
    fields = await archive.get_fields()
    names = {field.get("var") for field in fields.xml.iter(f"{FORM}field")}
    stage.true("the form names the filters", {"with", "start", "end", "before-id", "after-id", "ids"} <= names, sorted(names))
    if stage.server != "prosody":  # 0.12 answers with the ids alone
        edges = await archive.get_archive_metadata()
        stage.equal("the first message", ids[0], edges["mam_metadata"]["start"]["id"])
        stage.equal("its time", stamps[0], edges["mam_metadata"]["start"]["timestamp"])
        answer = await ben.request("set", None, field % text("ids", ids[3], ids[1]))
        stage.equal("two by their ids", "result", answer.get("type"))
        came = [one.find(f"{MAM}result") for one in ben.unread if one.find(f"{MAM}result") is not None]
        stage.equal("these two, in the archive's order", [ids[1], ids[3]], [one.get("id") for one in came][-2:])

    # What a new device has missed waits in the archive, and so not in the queue.
    await ben.logout()
    anna.client.send_message(mto=ben.bare, mbody="while you were away", mtype="chat")
    await anna.settle()
    later = await stage.person("ben", "later", plugins=PLUGINS, presence=False)
    rows = [row async for row in later.client.plugin["xep_0313"].iterate(rsm={"after": ids[-1]})]
    stage.equal("what was missed", ["hello from cleo", "while you were away"], [body(row) for row in rows])
    await later.available()
    await later.nothing("message", body="while you were away")

    preferences = later.client.plugin["xep_0441"]
    if stage.server != "prosody":  # its default is named otherwise
        stage.equal("what is archived at first", ("always", set(), set()), plain(await preferences.get_preferences()))
    await preferences.set_preferences("always", always=[], never=[cleo.bare])
    stage.equal("what was chosen", ("always", set(), {cleo.bare}), plain(await preferences.get_preferences()))
    cleo.client.send_message(mto=later.bare, mbody="not for the archive", mtype="chat")
    await later.receive("message", body="not for the archive")
    rows = [row async for row in later.client.plugin["xep_0313"].iterate(with_jid=cleo.bare)]
    stage.equal("and that holds", ["hello from cleo"], [body(row) for row in rows])


def body(row) -> str:
    """What was said in a result."""
    return row["mam_result"]["forwarded"]["stanza"]["body"]


def text(name: str, *values: str) -> str:
    """A field of a form."""
    return f"<field var='{name}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"


def plain(preferences) -> tuple[str, set[str], set[str]]:
    """Preferences as texts."""
    default, always, never = preferences
    return str(default), {str(jid) for jid in always}, {str(jid) for jid in never}
