"""The server answers ping, version, time, disco#info and disco#items with slixmpp's own plugins.

XEP-0199, XEP-0092, XEP-0202, XEP-0030.
"""

import datetime

FEATURES = {
    "http://jabber.org/protocol/disco#info",
    "http://jabber.org/protocol/disco#items",
    "urn:xmpp:ping",
    "jabber:iq:version",
    "urn:xmpp:time",
}


async def scenario(stage):
    anna = await stage.person("anna")
    seconds = await anna.client["xep_0199"].ping(jid=stage.domain, timeout=5)
    stage.true("ping is answered within 2 s", seconds < 2, seconds)
    version = (await anna.client["xep_0092"].get_version(stage.domain))["software_version"]
    stage.true("version has a name", stage.server in version["name"].lower(), version["name"])
    stage.true("version has a version", bool(version["version"]), version["version"])
    answer = await anna.client["xep_0202"].get_entity_time(stage.domain)
    # slixmpp 1.17 appends a second Z before it parses the time, so this reads the text itself.
    utc = answer.xml.findtext("{urn:xmpp:time}time/{urn:xmpp:time}utc") or ""
    stage.true("time is in UTC", utc.endswith("Z"), utc)
    away = abs((datetime.datetime.fromisoformat(utc) - datetime.datetime.now(datetime.timezone.utc)).total_seconds())
    stage.true("time is right within a minute", away < 60, utc)
    stage.true("there is a time zone", bool(answer.xml.findtext("{urn:xmpp:time}time/{urn:xmpp:time}tzo")))
    info = (await anna.client["xep_0030"].get_info(jid=stage.domain, local=False, cached=False))["disco_info"]
    stage.true("the server is a server", ("server", "im") in {(one[0], one[1]) for one in info["identities"]}, info["identities"])
    stage.true("it announces what it answers", FEATURES <= set(info["features"]), info["features"])
    items = (await anna.client["xep_0030"].get_items(jid=stage.domain, local=False))["disco_items"]
    stage.true("disco#items is answered", items.xml.tag == "{http://jabber.org/protocol/disco#items}query", items["items"])
    own = (await anna.client["xep_0030"].get_info(jid=anna.bare, local=False, cached=False))["disco_info"]
    stage.true(
        "the own account is a registered account",
        ("account", "registered") in {(one[0], one[1]) for one in own["identities"]},
        own["identities"],
    )
