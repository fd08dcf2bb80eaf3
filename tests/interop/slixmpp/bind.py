"""A resource is bound as asked for, normalised, or chosen by the server, and two sessions of one account differ.

RFC 6120 §7.6, §7.7; resourceprep of RFC 6122.
"""


async def scenario(stage):
    asked = await stage.person("anna", "Küche 2")
    stage.equal("asked-for resource", f"anna@{stage.domain}/Küche 2", asked.full)
    chosen = await stage.person("anna", None)
    again = await stage.person("anna", None)
    stage.equal("bare JID of the server's choice", f"anna@{stage.domain}", chosen.client.boundjid.bare)
    stage.true("the server chose a resource", len(chosen.client.boundjid.resource) >= 4, chosen.full)
    stage.true("three sessions have three JIDs", len({asked.full, chosen.full, again.full}) == 3, [asked.full, chosen.full, again.full])
    mixed = await stage.person("ben", "TV", login=False)
    mixed.client.requested_jid.user = "BEN"
    mixed.client.credentials["username"] = "ben"
    await mixed.login()
    stage.equal("resources keep their case", f"ben@{stage.domain}/TV", mixed.full)
