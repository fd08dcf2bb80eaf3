"""An administrator lists the commands, adds a user and lists all users by ad-hoc commands; others are refused.

XEP-0050, XEP-0133, XEP-0004.
"""

ADMIN = "http://jabber.org/protocol/admin"
NODES = {
    f"{ADMIN}#{name}"
    for name in ("add-user", "delete-user", "end-user-session", "change-user-password", "get-online-users-list", "announce", "shutdown")
}


async def execute(stage, person, name: str, action: str = "execute", session: str | None = None, fields: dict | None = None):
    """One step of a command: its answer, or the condition of its refusal. `fields` are filled in."""
    form = None
    if fields:
        form = person.client["xep_0004"].make_form(ftype="submit")
        form.add_field(var="FORM_TYPE", ftype="hidden", value=ADMIN)
        for var, value in fields.items():
            form.add_field(var=var, value=value)
    answer = await person.answer(
        person.client["xep_0050"].send_command(
            stage.domain, f"{ADMIN}#{name}", action=action, payload=form, sessionid=session, timeout=8
        )
    )
    return answer["error"]["condition"] if answer["type"] == "error" else answer["command"]


async def scenario(stage):
    await stage.account("root")
    await stage.request("admin", user="root")
    root = await stage.person("root", plugins=("xep_0004", "xep_0050", "xep_0133"))
    anna = await stage.person("anna", plugins=("xep_0004", "xep_0050", "xep_0133"))

    info = (await root.client["xep_0030"].get_info(jid=stage.domain, local=False, cached=False))["disco_info"]
    stage.true("commands are announced", "http://jabber.org/protocol/commands" in info["features"], info["features"])
    items = (await root.client["xep_0133"].get_commands(stage.domain, local=False))["disco_items"]["items"]
    stage.true("the administrator sees the commands", NODES <= {node for _, node, _ in items}, items)
    items = (await anna.client["xep_0133"].get_commands(stage.domain, local=False))["disco_items"]["items"]
    stage.true("others see none of them", not NODES & {node for _, node, _ in items}, items)
    stage.equal("others may not execute one", "forbidden", await execute(stage, anna, "add-user"))

    begun = await execute(stage, root, "add-user")
    stage.equal("a form comes first", "executing", begun["status"])
    asked = set(begun["form"].get_fields())
    stage.true("it asks for address and password", {"accountjid", "password", "password-verify"} <= asked, asked)
    done = await execute(
        stage,
        root,
        "add-user",
        "complete",
        begun["sessionid"],
        {"accountjid": f"dora@{stage.domain}", "password": "dora likes paper", "password-verify": "dora likes paper"},
    )
    stage.equal("the user is added", "completed", done["status"])
    dora = await stage.person("dora", password="dora likes paper")
    stage.equal("and logs in", f"dora@{stage.domain}/phone", dora.full)

    begun = await execute(stage, root, "get-online-users-list")
    done = await execute(stage, root, "get-online-users-list", "complete", begun["sessionid"], {"max_items": "none"})
    stage.equal("the list of users is complete", "completed", done["status"])
    online = done["form"].get_values()["onlineuserjids"]
    online = online.split("\n") if isinstance(online, str) else online
    expected = {f"{name}@{stage.domain}" for name in ("root", "anna", "dora")}
    stage.true("everybody who is online is in it", expected <= {jid.split("/")[0] for jid in online}, online)

    begun = await execute(stage, root, "announce")
    canceled = await execute(stage, root, "announce", "cancel", begun["sessionid"])
    stage.equal("a command is canceled", "canceled", canceled["status"])

    begun = await execute(stage, root, "end-user-session")
    done = await execute(stage, root, "end-user-session", "complete", begun["sessionid"], {"accountjids": dora.bare})
    stage.equal("a session is ended", "completed", done["status"])
    await dora.dropped()
    stage.true("and its client is disconnected", True)
