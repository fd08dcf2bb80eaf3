"""From Prosody to snug: Prosody 0.12 makes 100 accounts, stops, and its directory is imported."""

import pathlib
import shutil

from client import Client, Refused
from stage import server
from stage.server import DOMAIN

ACCOUNTS = 100
# Of them, these were made while Prosody kept passwords as they are; hashing is its default.
PLAIN = 10
MESSAGES = 3
# As snug calls it, where nobody says otherwise.
ROOMS = f"rooms.{DOMAIN}"
SAID = 5


def is_installed() -> bool:
    """Whether there is a Prosody."""
    return shutil.which("prosody") is not None


def name(number: int) -> str:
    """Letters that Prosody must encode in file names are among them."""
    return f"u{number}" if number % 3 else f"u.{number}_ö"


def password(number: int) -> str:
    """With what Lua and XML would have to escape."""
    return f"pw \\{number}\\\"'<&\u00e9"


def escaped(text: str) -> str:
    """For XML."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


class Prosody(server.Prosody):
    """With the modules of a common server, and one way of keeping passwords."""

    authentication = "internal_hashed"
    vcards = "vcard"

    def prepare(self) -> None:
        if self.data.exists():
            shutil.move(self.data, self.folder / "before")
        super().prepare()
        if (self.folder / "before").exists():
            self.data.rmdir()
            shutil.move(self.folder / "before", self.data)
        text = self.config.read_text().replace("internal_plain", self.authentication)
        text = text.replace('"blocklist"', '"blocklist", "private", "pep", "' + self.vcards + '"')
        text = text.replace("allow_registration = true", "allow_registration = true\nstorage = \"internal\"")
        self.config.write_text(text + f'Component "{ROOMS}" "muc"\nmodules_enabled = {{ "muc_mam" }}\n')


class PlainProsody(Prosody):
    """As it was set up once."""

    authentication = "internal_plain"


class ProsodyWithPep(Prosody):
    """As its default configuration has it: vCards are kept in PEP."""

    vcards = "vcard_legacy"


def move(folder: pathlib.Path) -> None:
    """The whole way."""
    fill(folder)
    snug = server.Snug(make(folder / "snug"), folder / "snug.log")
    data = folder / "prosody" / "data"
    command = [str(snug.binary), "import", "--prosody", str(data), "--data", str(snug.data), "--config", str(snug.config)]
    said = server.run_command(command)
    print(said, end="", flush=True)
    wanted = f"{ACCOUNTS} accounts, {2 * ACCOUNTS} contacts and {MESSAGES * ACCOUNTS} waiting messages were imported."
    assert wanted in said, said
    assert f"{ACCOUNTS - PLAIN} accounts have keys for one hash" in said, said
    wanted = f"{2 * MESSAGES * ACCOUNTS + 2 * SAID} archived messages and 2 rooms with 4 people were imported."
    assert wanted in said, said
    snug.start()
    try:
        for number in range(ACCOUNTS):
            check(snug, number)
        for number in (0, ACCOUNTS // 2):
            check_room(snug, number)
        with Client(snug.c2s_tls, snug.ca) as stranger:
            assert "SCRAM-SHA-256" not in stranger.mechanisms(), "what some cannot do is not offered"
            try:
                stranger.log_in("SCRAM-SHA-1", name(0), password(1))
                raise AssertionError("another password than the old one was taken")
            except Refused:
                pass
        assert not snug.died(), snug.died()
    finally:
        snug.stop()


def fill(folder: pathlib.Path) -> None:
    """What people do with Prosody."""
    place = make(folder / "prosody")
    half = ACCOUNTS // 2
    phases = (
        (PlainProsody, range(PLAIN), range(0)),
        (Prosody, range(PLAIN, ACCOUNTS), range(half)),
        (ProsodyWithPep, range(0), range(half, ACCOUNTS)),
    )
    for kind, made, lived in phases:
        prosody = kind(place, folder / "prosody.log")
        prosody.start()
        try:
            for number in made:
                with Client(prosody.c2s_tls, prosody.ca) as client:
                    client.register(name(number), escaped(password(number)))
            for number in lived:
                live(prosody, number)
            if lived:
                talk(prosody, lived[0])
        finally:
            prosody.stop()
    keep_plain(place / "data", place)


def keep_plain(data: pathlib.Path, place: pathlib.Path) -> None:
    """Prosody hashes a plain password when it is used. These accounts are given back their files from before, as if nobody had come."""
    accounts = next(data.glob("chat*")) / "accounts"
    for number in range(PLAIN):
        file = accounts / (encoded(name(number)) + ".dat")
        text = password(number).replace("\\", "\\\\").replace('"', '\\"')
        assert file.exists(), file
        file.write_text(f'return {{\n\t["password"] = "{text}";\n}};\n')


def encoded(text: str) -> str:
    """util.encodings as file names."""
    return "".join(chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"%{byte:02x}" for byte in text.encode())


def live(prosody: server.Server, number: int) -> None:
    """One account's contacts, vCard, private data, block list, and messages for the next one, who is away."""
    other = name((number + 1) % ACCOUNTS)
    with Client(prosody.c2s_tls, prosody.ca) as client:
        client.log_in("PLAIN", name(number), password(number))
        client.iq(
            "set",
            f"<query xmlns='jabber:iq:roster'><item jid='{other}@{DOMAIN}' name='N&amp;{number}'><group>G {number}</group><group>All</group></item></query>",
        )
        client.iq("set", f"<query xmlns='jabber:iq:roster'><item jid='friend{number}@elsewhere.test'/></query>")
        client.iq("set", f"<vCard xmlns='vcard-temp'><FN>Full Näme {number}</FN></vCard>")
        client.iq("set", f"<query xmlns='jabber:iq:private'><x xmlns='urn:test:x'><y n='{number}'/></x></query>")
        client.iq("set", f"<block xmlns='urn:xmpp:blocking'><item jid='evil{number}@elsewhere.test'/></block>")
        client.iq(
            "set",
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:test:node'>"
            f"<item id='i{number}'><x xmlns='urn:test:x' n='{number}'>ö &lt;</x></item></publish></pubsub>",
        )
        client.send(f"<presence to='{other}@{DOMAIN}' type='subscribe'/>")
        for message in range(MESSAGES):
            client.send(f"<message type='chat' to='{other}@{DOMAIN}'><body>{number}/{message} &lt;\u00e9\n</body></message>")
        # Answered behind all of the above.
        client.iq("get", "<ping xmlns='urn:xmpp:ping'/>")


def talk(prosody: server.Server, number: int) -> None:
    """Somebody makes a room and says something there."""
    room = f"room{number}@{ROOMS}"
    with Client(prosody.c2s_tls, prosody.ca) as client:
        client.log_in("PLAIN", name(number), password(number))
        client.send(f"<presence to='{room}/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        client.until("status")
        fields = "".join(
            f"<field var='{var}'><value>{value}</value></field>"
            for var, value in (
                ("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig"),
                ("muc#roomconfig_roomname", f"Room &lt;{number}"),
                ("muc#roomconfig_persistentroom", "1"),
                ("muc#roomconfig_membersonly", "1"),
                ("muc#roomconfig_enablearchiving", "1"),
            )
        )
        client.ask(room, "set", f"<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>")
        other = f"{name(number + 1)}@{DOMAIN}"
        client.ask(room, "set", f"<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member' jid='{other}' nick='Other'/></query>")
        client.send(f"<message type='groupchat' to='{room}'><subject>About {number}</subject></message>")
        for message in range(SAID):
            client.send(f"<message type='groupchat' to='{room}' id='m{message}'><body>said {message}</body></message>")
            while (heard := client.until("body")).findtext("{jabber:client}body") != f"said {message}":
                assert heard is not None


def check_room(snug: server.Server, number: int) -> None:
    """The room is at snug what it was at Prosody: its member enters, its archive is there."""
    room = f"room{number}@{ROOMS}"
    with Client(snug.c2s_tls, snug.ca) as client:
        client.log_in("SCRAM-SHA-1", name(number + 1), password(number + 1))
        said = client.archived(room)
        assert said == [f"said {message}" for message in range(SAID)], said
        client.send(f"<presence to='{room}/Other'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        subject = client.until("subject")
        assert subject.findtext("{jabber:client}subject") == f"About {number}", subject
        info = client.ask(room, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
        features = {element.get("var") for element in info}
        assert {"muc_membersonly", "muc_persistent"} <= features, features
        assert info[0].get("name") == f"Room <{number}", info[0].attrib
    with Client(snug.c2s_tls, snug.ca) as client:
        client.log_in("SCRAM-SHA-1", name(number + 2), password(number + 2))
        try:
            client.archived(room)
            raise AssertionError("a stranger reads what members say")
        except Refused:
            pass


def check(snug: server.Server, number: int) -> None:
    """One account is at snug what it was at Prosody."""
    before = (number - 1) % ACCOUNTS
    other = name((number + 1) % ACCOUNTS)
    with Client(snug.c2s_tls, snug.ca) as client:
        client.log_in("SCRAM-SHA-1", name(number), password(number))
        expected = {
            f"{other}@{DOMAIN}": ("none", f"N&{number}", ("All", f"G {number}")),
            f"friend{number}@elsewhere.test": ("none", None, ()),
        }
        assert client.roster() == expected, (client.roster(), expected)
        assert client.full_name() == f"Full Näme {number}", client.full_name()
        private = client.iq("get", "<query xmlns='jabber:iq:private'><x xmlns='urn:test:x'/></query>")
        assert private[0][0].get("n") == str(number), "private data"
        blocked = client.iq("get", "<blocklist xmlns='urn:xmpp:blocking'/>")
        assert [item.get("jid") for item in blocked] == [f"evil{number}@elsewhere.test"], "block list"
        item, payload = client.item("urn:test:node")
        assert (item, payload.get("n"), payload.text) == (f"i{number}", str(number), "ö <"), (item, payload)
        archived = sorted(client.archived())
        expected = sorted(f"{who}/{message} <\u00e9\n" for who in (before, number) for message in range(MESSAGES))
        assert archived == expected, (archived, expected)
        bodies = client.messages(MESSAGES)
        assert bodies == [f"{before}/{message} <\u00e9\n" for message in range(MESSAGES)], bodies


def make(folder: pathlib.Path) -> pathlib.Path:
    """A folder that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder
