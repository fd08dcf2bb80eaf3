"""Dino shows avatars, the lobby, and a room with roles, replies and reactions, those of before out of the archive, and those of now.

XEP-0084, XEP-0402, XEP-0045, XEP-0313, XEP-0421, XEP-0444, XEP-0461. What Dino understood is in its own database; the pictures in
target/interop are for looking.
"""

import asyncio
import hashlib

from stage.desktop import bookmark, portrait, publish
from stage.dino import Dino

PLUGINS = ("xep_0045", "xep_0084", "xep_0402", "xep_0223", "xep_0444", "xep_0461")
USER = "{http://jabber.org/protocol/muc#user}"
SETTINGS = [f"muc#roomconfig_{name}" for name in ("roomname", "persistentroom", "moderatedroom", "whois")]
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
CHAT = "SELECT body FROM message JOIN jid ON jid.id = counterpart_id WHERE bare_jid = ? AND type = 1"
ROOM = """SELECT counterpart_resource, body FROM message JOIN jid ON jid.id = counterpart_id WHERE bare_jid = ?
    ORDER BY message.time, message.id"""
REPLIES = """SELECT answer.counterpart_resource, asked.body FROM reply JOIN message answer ON answer.id = reply.message_id
    JOIN message asked ON asked.id = reply.quoted_message_id ORDER BY answer.id"""
REACTIONS = """SELECT last_nick, emojis, message.body FROM reaction JOIN occupant_id ON occupant_id.id = reaction.occupant_id
    JOIN content_item ON content_item.id = content_item_id JOIN message ON message.id = foreign_id ORDER BY message.id, last_nick"""
AVATARS = "SELECT DISTINCT hash FROM contact_avatar JOIN jid ON jid.id = jid_id WHERE bare_jid = ?"
# Where Dino 0.4 has them in its first window.
FIRST_CHAT, SECOND_CHAT, THIRD_CHAT, INPUT, PEOPLE = (150, 82), (150, 141), (150, 200), (740, 661), (978, 28)


async def scenario(stage):
    anna, ben, carl, dora = people = [await stage.person(name, plugins=PLUGINS) for name in ("anna", "ben", "carl", "dora")]
    room, lobby = (f"{name}@rooms.{stage.domain}" for name in ("kitchen", "lobby"))
    for person in (anna, ben):
        await stage.friends(person, dora)
    pictures = {anna: portrait(200, 60, 50), ben: portrait(40, 110, 190), carl: portrait(60, 140, 70)}
    for person, picture in pictures.items():
        await publish(person, picture)

    muc = anna.client["xep_0045"]
    await muc.join_muc_wait(lobby, "anna", timeout=10)
    await muc.join_muc_wait(room, "anna", timeout=10)
    form = await muc.get_room_config(room)
    form["type"] = "submit"
    form.set_values(dict(zip(SETTINGS, ("Kitchen", True, True, "anyone"))))
    await muc.set_room_config(room, form)
    for person, affiliation in ((ben, "admin"), (dora, "member")):
        await muc.set_affiliation(room, affiliation, jid=person.bare)
    muc.set_subject(room, "What we eat on Sunday")
    for person in (ben, carl):
        await person.client["xep_0045"].join_muc_wait(room, person.client.boundjid.user, timeout=10)
    await muc.set_role(room, "carl", "participant")
    await bookmark(dora, room, "Kitchen")

    # Before Dino comes.
    await dora.logout()
    for person in (anna, ben):
        person.client.send_message(mto=dora.bare, mbody="See you on Sunday!", mtype="chat")
    soup = await say(anna, room, "Who brings the soup?")
    await answer(ben, room, "I do. Tomato?", soup)
    await react(carl, room, soup, "🍅", "👍")
    await react(ben, room, soup, "👍")

    dino = await stage.desktop(Dino, "dora")
    came = await anna.receive("presence", frm=f"{room}/dora", type="", within=30)
    stage.equal("Dino enters by its bookmark, as", "participant", came.find(f"{USER}x/{USER}item").get("role"))
    if stage.server == "snug":  # it gives every new account a bookmark of the lobby
        came = await anna.receive("presence", frm=f"{lobby}/dora", type="", within=30)
        stage.equal("and the lobby, where it is", "member", came.find(f"{USER}x/{USER}item").get("affiliation"))
    for person in (anna, ben):
        await dino.writes(f"it has what {person.bare} said to it", [("See you on Sunday!",)], CHAT, person.bare)
    lines = [("anna", "Who brings the soup?"), ("ben", quoted("Who brings the soup?", "I do. Tomato?"))]
    await dino.writes("and in the room", lines, ROOM, room)
    await dino.writes("it knows what was answered to what", [("ben", "Who brings the soup?")], REPLIES)
    reactions = [("ben", "👍", "Who brings the soup?"), ("carl", "🍅,👍", "Who brings the soup?")]
    await dino.writes("and who found what how", reactions, REACTIONS)
    for person in (anna, ben):
        digest = hashlib.sha1(pictures[person]).hexdigest()
        await dino.writes(f"it knows of {person.bare}'s avatar", [(digest,)], AVATARS, person.bare)
        await dino.until(f"it has {person.bare}'s avatar", lambda: dino.avatar(digest), pictures[person])

    await say(anna, room, "Welcome, Dora!")
    await dino.writes("it hears what is said now", [*lines, ("anna", "Welcome, Dora!")], ROOM, room)
    await say(carl, room, "I have the bread.")
    digest = hashlib.sha1(pictures[carl]).hexdigest()
    # The newest chat is the first of the list, though a click may still find the one that was there before; a picture is fetched when it is drawn.
    for place in 3 * (FIRST_CHAT, SECOND_CHAT):
        await asyncio.sleep(1)
        await dino.click(*place)
        if dino.avatar(digest):
            break
    if stage.server == "snug":  # Prosody 0.12 does not put the hash into a join
        await dino.until("it has the avatar of one who is only in the room", lambda: dino.avatar(digest), pictures[carl])
    await dino.click(*INPUT)
    await dino.type("Tomato, please")
    said = await ben.receive("message", type="groupchat", body="Tomato, please", within=20)
    stage.equal("Dino says something", f"{room}/dora", said.get("from"))
    await answer(anna, room, "With basil.", said)
    await react(ben, room, said, "❤️")
    await dino.writes("live answers", [("ben", "Who brings the soup?"), ("anna", "Tomato, please")], REPLIES)
    await dino.writes("and reactions", [*reactions, ("ben", "❤️", "Tomato, please")], REACTIONS)
    await asyncio.sleep(1.5)
    dino.photograph("room")
    await dino.click(*PEOPLE)
    await asyncio.sleep(1)
    dino.photograph("roles")
    dino.act("key", "Escape")
    await dino.click(*THIRD_CHAT)
    await asyncio.sleep(1)
    dino.photograph("avatars")

    # The server is not there for a moment: Dino comes back by itself, into its rooms too.
    await stage.request("stop")
    await asyncio.gather(*(person.dropped() for person in (anna, ben, carl)))
    await stage.request("start")
    back = await stage.person("anna", "later", plugins=PLUGINS)
    await back.client["xep_0045"].join_muc_wait(room, "anna", timeout=10)
    if "dora" not in back.client["xep_0045"].get_roster(room):
        await back.receive("presence", frm=f"{room}/dora", type="", within=30)
    await say(back, room, "Where were we?")
    await dino.writes("Dino comes back", [("Where were we?",)], "SELECT body FROM message ORDER BY time DESC, id DESC LIMIT 1")


async def say(person, room, text):
    """Says something; what came back with the room's id on it."""
    person.client.send_message(mto=room, mbody=text, mtype="groupchat")
    return await person.receive("message", type="groupchat", body=text)


async def answer(person, room, text, said):
    """Replies, with the quotation for those who do not know replies."""
    asked = said.findtext("{jabber:client}body")
    stanza_id = said.find(STANZA_ID).get("id")
    person.client["xep_0461"].send_reply(said.get("from"), stanza_id, asked, mto=room, mbody=text, mtype="groupchat")
    return await person.receive("message", type="groupchat", body=quoted(asked, text))


def quoted(asked, text):
    """The body of a reply."""
    return f"> {asked}\n{text}"


async def react(person, room, said, *emojis):
    """Reacts to what was said."""
    message = person.client.make_message(mto=room, mtype="groupchat")
    person.client["xep_0444"].set_reactions(message, said.find(STANZA_ID).get("id"), emojis)
    message.enable("store")
    message.send()
    await person.settle()
