"""From snug to ejabberd by `import_piefxis`, and back by `export_piefxis`."""

import glob
import os
import pathlib
import shutil
import subprocess
import time

from client import Client
from stage import server
from stage.server import ADDRESS, DOMAIN, free_ports, run_command

ACCOUNTS = 100
MESSAGES = 2
COOKIE = "snug-moves"


def is_installed() -> bool:
    """Whether there is an ejabberd, and an Erlang to run it."""
    return shutil.which("erl") is not None and bool(libraries())


def libraries() -> list[str]:
    """Where Debian has ejabberd's code."""
    return [str(pathlib.Path(found).parents[2]) for found in glob.glob("/usr/lib/*/ejabberd-*/ebin/ejabberd_app.beam")]


class Ejabberd(server.Server):
    """ejabberd from apt, as the README says to set it up for accounts of snug's. Started as ejabberdctl does it, but all on the loopback: the
    node, and the epmd by which ejabberdctl finds it."""

    name = "ejabberd"

    def prepare(self) -> None:
        (self.folder / "mnesia").mkdir()
        server.make_certificates(self.folder)
        certificate = (self.folder / "leaf.pem").read_text() + (self.folder / "leaf.key").read_text()
        (self.folder / "both.pem").write_text(certificate)
        (self.epmd_port,) = free_ports(1)
        self.epmd = None
        (self.folder / "ejabberd.yml").write_text(f'''
loglevel: info
log_rotate_count: 0
hosts: [{DOMAIN}]
certfiles: ["{self.folder}/both.pem"]
acme: {{auto: false}}
auth_password_format: scram
listen:
  - {{port: {self.c2s}, ip: "{ADDRESS}", module: ejabberd_c2s, starttls_required: true}}
  - {{port: {self.c2s_tls}, ip: "{ADDRESS}", module: ejabberd_c2s, tls: true}}
modules:
  mod_blocking: {{}}
  mod_disco: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_private: {{}}
  mod_roster: {{}}
  mod_vcard: {{search: false}}
''')

    def environment(self) -> dict[str, str]:
        """For everything of Erlang."""
        return server.server_environment() | {
            "HOME": str(self.folder),
            "EJABBERD_CONFIG_PATH": f"{self.folder}/ejabberd.yml",
            "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
            "ERL_CRASH_DUMP": f"{self.folder}/erl_crash.dump",
            "ERL_LIBS": libraries()[0],
            "ERL_EPMD_ADDRESS": ADDRESS,
            "ERL_EPMD_PORT": str(self.epmd_port),
        }

    def erl(self, name: str) -> list[str]:
        """A node that only listens on the loopback."""
        loopback = "{" + ADDRESS.replace(".", ",") + "}"
        return ["erl", "-noinput", "-sname", f"{name}@localhost", "-setcookie", COOKIE, "-kernel", "inet_dist_use_interface", loopback]

    def command(self) -> list[str]:
        settings = [f"{key}={value}" for key, value in self.environment().items()]
        return ["env", *settings, *self.erl("ejabberd"), "-mnesia", "dir", f'"{self.folder}/mnesia"', "-s", "ejabberd"]

    def start(self) -> None:
        epmd = shutil.which("epmd") or glob.glob("/usr/lib/erlang/erts-*/bin/epmd")[0]
        self.epmd = subprocess.Popen(
            [epmd, "-port", str(self.epmd_port), "-address", ADDRESS],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        super().start()

    def stop(self) -> int:
        try:
            if self.process is not None:
                self.control("stop")
                until = time.monotonic() + 20
                while self.process.poll() is None and time.monotonic() < until:
                    time.sleep(0.1)
            return super().stop()
        finally:
            if self.epmd is not None:
                self.epmd.kill()
                self.epmd.wait()

    def control(self, *words: str) -> str:
        """What `ejabberdctl` runs, without its change of the user."""
        command = [*self.erl(f"ctl-{os.getpid()}"), "-hidden", "-s", "ejabberd_ctl", "-extra", "ejabberd@localhost", *words]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise server.ServerFailed(f"ejabberdctl {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def add_user(self, name: str, password: str) -> None:
        raise NotImplementedError("accounts come from snug")


def name(number: int) -> str:
    """Some are not ASCII."""
    return f"u{number}" if number % 3 else f"ü.{number}"


def password(number: int) -> str:
    """With what XML must escape."""
    return f"pw {number}\"'<&\u00e9"


def escaped(text: str) -> str:
    """For XML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")


def account(number: int) -> str:
    """What the account has, with things that ejabberd would end its import at."""
    messages = "".join(
        f"<message xmlns='jabber:client' type='chat' from='x@y.test/\U0001f600' to='{name(number)}@{DOMAIN}'><body>{number}/{message}</body>"
        f"<delay xmlns='urn:xmpp:delay' from='{DOMAIN}' stamp='2026-01-0{message + 1}T00:00:00Z'/></message>"
        for message in range(MESSAGES)
    )
    return (
        f"<user name='{name(number)}' password='{escaped(password(number))}'>"
        f"<query xmlns='jabber:iq:roster'><item jid='{name((number + 1) % ACCOUNTS)}@{DOMAIN}' name='N&amp;{number}' subscription='both'><group>G</group><group>H {number}</group></item>"
        f"<item jid='friend@elsewhere.test' subscription='to' ask='subscribe' approved='true'/></query>"
        f"<presence xmlns='jabber:client' type='subscribe' from='asks{number}@elsewhere.test'/>"
        f"<vCard xmlns='vcard-temp'><FN>Full Näme {number}</FN><TEL/><EMAIL/><PHOTO><TYPE>image/png</TYPE><BINVAL>no base64 %</BINVAL></PHOTO></vCard>"
        f"<query xmlns='jabber:iq:private'><x xmlns='urn:test:x'><y n='{number}'/></x><storage xmlns='storage:bookmarks'><conference/></storage></query>"
        f"<offline-messages>{messages}<message xmlns='jabber:client'><body>from nobody</body></message>"
        f"<message xmlns='jabber:client' from='x@y.test' type='odd' xml:lang='no language!'><body>odd</body></message></offline-messages>"
        # What ejabberd's import knows nothing of.
        f"<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:test:node'/></pubsub>"
        f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:test:node'><item id='i'><x xmlns='urn:test:x'/></item></items></pubsub>"
        f"<archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"
        f"<message xmlns='jabber:client' from='x@y.test' to='{name(number)}@{DOMAIN}'><body>kept</body></message></forwarded></result></archive>"
        f"<blocklist xmlns='urn:xmpp:blocking'><item jid='evil{number}@elsewhere.test'/></blocklist></user>"
    )


def move(folder: pathlib.Path) -> None:
    """There and back."""
    there = make(folder / "snug")
    snug = server.Snug(there, folder / "snug.log")
    accounts = folder / "accounts.xml"
    users = "".join(account(number) for number in range(ACCOUNTS))
    accounts.write_text(f"<server-data xmlns='urn:xmpp:pie:0'><host jid='{DOMAIN}'>{users}</host></server-data>")
    do(snug, "import", str(accounts))
    out = folder / "for-ejabberd.xml"
    do(snug, "export", "--for", "ejabberd", str(out))

    ejabberd = Ejabberd(make(folder / "ejabberd"), folder / "ejabberd.log")
    ejabberd.start()
    try:
        ejabberd.control("import_piefxis", str(out))
        for number in range(ACCOUNTS):
            check(ejabberd, number)
        back = make(folder / "back")
        ejabberd.control("export_piefxis", str(back))
    finally:
        ejabberd.stop()

    main = min(back.glob("*.xml"), key=lambda path: len(path.name))
    returned = server.Snug(make(folder / "returned"), folder / "returned.log")
    do(returned, "import", str(main))
    returned.start()
    try:
        for number in range(ACCOUNTS):
            check(returned, number)
        assert not returned.died(), returned.died()
    finally:
        returned.stop()


def do(snug: server.Server, *words: str) -> None:
    """A verb of the command line."""
    print(run_command([str(snug.binary), *words, "--data", str(snug.data), "--config", str(snug.config)]), end="", flush=True)


def check(place: server.Server, number: int) -> None:
    """The account is there what it was. Its messages are taken only at the last place."""
    with Client(place.c2s_tls, place.ca) as client:
        client.log_in("SCRAM-SHA-1", name(number), password(number))
        roster = client.roster()
        assert roster.get(f"{name((number + 1) % ACCOUNTS)}@{DOMAIN}") == ("both", f"N&{number}", ("G", f"H {number}")), roster
        assert roster.get("friend@elsewhere.test") == ("to", None, ()) or roster.get("friend@elsewhere.test") == ("to", "", ()), roster
        assert client.full_name() == f"Full Näme {number}", client.full_name()
        private = client.iq("get", "<query xmlns='jabber:iq:private'><x xmlns='urn:test:x'/></query>")
        assert private[0][0].get("n") == str(number), "private data"
        blocked = client.iq("get", "<blocklist xmlns='urn:xmpp:blocking'/>")
        assert [item.get("jid") for item in blocked] == [f"evil{number}@elsewhere.test"], "block list"
        if isinstance(place, server.Snug):
            bodies = client.messages(MESSAGES)
            assert bodies == [f"{number}/{message}" for message in range(MESSAGES)], bodies


def make(folder: pathlib.Path) -> pathlib.Path:
    """A folder that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder
