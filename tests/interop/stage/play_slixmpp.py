"""Plays one slixmpp scenario: `play_slixmpp.py FILE`, in slixmpp's virtual environment.

A scenario file begins with a docstring, whose first line says what is expected, and has `async def scenario(stage)`. What it may use:
`stage.person("anna")` logs somebody in (and makes the account), `person.client` is slixmpp's own ClientXMPP with all its plugins,
`person.receive(...)` waits for a stanza, `person.nothing(...)` shows that none came, `stage.equal` and `stage.true` check.
"""

import asyncio
import importlib.util
import logging
import os
import pathlib
import ssl
import sys
import traceback
import xml.etree.ElementTree as ET

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout, XMPPError  # noqa: F401 (scenarios take them from here)

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from stage.checks import Checks, Failure, Skip, verdict  # noqa: E402

# Less than the harness' own limit, so that the line that waits can be named.
SCENARIO_SECONDS = 40
LOGIN_SECONDS = 15
STANZA_SECONDS = 8
# After the barrier of `nothing`: what a server hands over late (a storage thread's answer, a timer) has this long.
GRACE_SECONDS = 0.15

CLIENT = "{jabber:client}"
ROSTER = "{jabber:iq:roster}"
STREAM_ERROR = "{urn:ietf:params:xml:ns:xmpp-streams}"
STANZA_ERROR = "{urn:ietf:params:xml:ns:xmpp-stanzas}"


class Refused(Exception):
    """The login did not succeed; `condition` is SASL's or the stream's, or what the connection said."""

    def __init__(self, condition: str):
        super().__init__(condition)
        self.condition = condition


class Stage(Checks):
    """The server and the people of one scenario."""

    def __init__(self):
        super().__init__()
        self.people: list[Person] = []
        self.accounts: dict[str, str] = {}

    async def request(self, do: str, **more) -> None:
        """stop, start or kill the server, or make an account its admin."""
        await asyncio.get_running_loop().run_in_executor(None, self.ask, {"do": do, **more})

    async def account(self, name: str, password: str | None = None) -> None:
        """Makes an account by the server's own command line."""
        self.accounts[name] = password or f"{name} likes pencils"
        await self.request("add", user=name, password=self.accounts[name])

    async def person(self, name: str, resource: str | None = "phone", *, login: bool = True, presence: bool = True, **how) -> "Person":
        """Somebody, logged in and available unless said otherwise. The account is made first if the scenario has not made it.
        `how`: see Person."""
        if name not in self.accounts and "password" not in how:
            await self.account(name)
        person = Person(self, name, resource, how.pop("password", None) or self.accounts[name], **how)
        self.people.append(person)
        if login:
            await person.login()
            if presence:
                await person.available()
        return person

    async def friends(self, one: "Person", other: "Person") -> None:
        """Both subscribe to each other, by slixmpp's ordinary calls, and everything that this causes has been read afterwards."""
        for asker, asked in ((one, other), (other, one)):
            asker.client.send_presence_subscription(pto=asked.bare, ptype="subscribe")
            await asked.receive("presence", frm=asker.bare, type="subscribe")
            asked.client.send_presence_subscription(pto=asker.bare, ptype="subscribed")
            await asker.receive("presence", frm=asked.bare, type="subscribed")
        for person in (one, other):
            await person.settle()
            person.forget()

    async def refused(self, name: str, **how) -> str:
        """The condition with which a login is refused; a login that succeeds is a failure."""
        person = Person(self, name, None, how.pop("password"), **how)
        self.people.append(person)
        try:
            await person.login()
        except Refused as error:
            return error.condition
        raise Failure(f"expected the login of {name} to be refused; came a session {person.full}")

    async def close(self) -> None:
        """Ends all sessions that are left."""
        for person in self.people:
            if person.client.transport is not None:
                person.client.abort()
        await asyncio.sleep(0)


class Person:
    """One slixmpp client. Every stanza that it receives waits in `unread` until the scenario asks for it.

    direct: direct TLS instead of STARTTLS; mechanism: the only SASL mechanism to use; alpn: offer xmpp-client; tls: the highest TLS version;
    ca: another CA to trust; plugins: slixmpp plugins to register beyond the usual ones; automatic: leave slixmpp's roster automatism on.
    """

    def __init__(
        self,
        stage: Stage,
        name: str,
        resource: str | None,
        password: str,
        *,
        direct: bool = False,
        mechanism: str | None = None,
        alpn: bool = False,
        tls: ssl.TLSVersion | None = None,
        ca: str | None = None,
        plugins: tuple[str, ...] = (),
        automatic: bool = False,
    ):
        self.stage = stage
        self.bare = f"{name}@{stage.domain}"
        self.direct = direct
        self.unread: list[ET.Element] = []
        self.history: list[ET.Element] = []  # all that ever came, in order
        self.arrived = asyncio.Event()
        self.stream_error: str | None = None
        self.gone = asyncio.Event()
        self.features: list[set[str]] = []  # of each stream header, as "{namespace}name"
        jid = f"{self.bare}/{resource}" if resource else self.bare
        self.client = slixmpp.ClientXMPP(jid, password, sasl_mech=mechanism)
        for plugin in ("xep_0030", "xep_0199", "xep_0092", "xep_0202", "xep_0203", "xep_0085", "xep_0184", *plugins):
            self.client.register_plugin(plugin)
        self.client.enable_direct_tls = direct
        self.client.enable_starttls = not direct
        self.client.whitespace_keepalive = False
        if not automatic:
            self.client.roster.auto_authorize = None
            self.client.roster.auto_subscribe = False
        context = ssl.create_default_context(cafile=ca or stage.ca)
        # Python 3.13 and later check this strictly by default; a CA that fails it would lock those clients out.
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        if alpn:
            context.set_alpn_protocols(["xmpp-client"])
        if tls is not None:
            context.maximum_version = tls
        self.client.ssl_context = context
        self.client.add_filter("in", self._note)
        self.client.add_event_handler("disconnected", lambda _: self.gone.set())

    @property
    def full(self) -> str:
        """The JID that the server bound."""
        return self.client.boundjid.full

    async def login(self) -> None:
        """Connects and binds a resource; raises Refused with the condition."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future = loop.create_future()
        failures: list[str] = []

        def end(outcome):
            if not ended.done():
                ended.set_result(outcome)

        handlers = {
            "session_start": lambda _: end(None),
            # After a failure slixmpp goes on with the next mechanism that it may use.
            "failed_auth": lambda failure: failures.append(failure["condition"]),
            "failed_all_auth": lambda _: end(failures[-1] if failures else "no mechanism"),
            "ssl_invalid_chain": lambda error: end(f"certificate: {error}"),
            "connection_failed": lambda error: end(f"connection: {error}"),
            "disconnected": lambda reason: end(failures[-1] if failures else self.stream_error or f"disconnected: {reason}"),
        }
        for event, handler in handlers.items():
            self.client.add_event_handler(event, handler)
        self.gone.clear()
        self.stream_error = None
        self.client.connect(host=self.stage.address, port=self.stage.c2s_tls if self.direct else self.stage.c2s)
        try:
            condition = await asyncio.wait_for(ended, LOGIN_SECONDS)
        except TimeoutError:
            condition = f"no answer within {LOGIN_SECONDS} s"
        finally:
            for event, handler in handlers.items():
                self.client.del_event_handler(event, handler)
        if condition is not None:
            self.client.cancel_connection_attempt()
            self.client.abort()
            raise Refused(condition)

    async def available(self, **presence) -> None:
        """Asks for the roster and sends presence, as clients do, and waits until the server has handled both."""
        await self.client.get_roster()
        self.client.send_presence(**presence)
        await self.settle()

    async def logout(self) -> None:
        """Closes the stream and waits until the connection is gone."""
        if self.client.transport is not None:
            self.client.disconnect()
            await asyncio.wait_for(self.gone.wait(), STANZA_SECONDS)

    async def dropped(self) -> str:
        """Waits until the server ends this stream; the condition of its stream error, or an empty string."""
        try:
            await asyncio.wait_for(self.gone.wait(), LOGIN_SECONDS)
        except TimeoutError:
            raise Failure(f"expected the server to end the stream of {self.full}; came no end within {LOGIN_SECONDS} s") from None
        return self.stream_error or ""

    async def settle(self) -> None:
        """A round trip to the server: what was sent before it has been handled, what was on its way here has arrived."""
        await self.request("get", None, "<ping xmlns='urn:xmpp:ping'/>")
        await asyncio.sleep(0)

    async def request(self, kind: str, to: str | None, payload: str, sender: str | None = None) -> ET.Element:
        """Sends an IQ and returns the answering element, result or error."""
        iq = self.client.make_iq(ito=to, itype=kind, ifrom=sender)
        iq.append(ET.fromstring(payload))
        try:
            answer = await iq.send(timeout=STANZA_SECONDS)
        except IqError as error:
            answer = error.iq
        except IqTimeout:
            raise Failure(f"expected an answer to the IQ {payload} to {to}; came none within {STANZA_SECONDS} s") from None
        return answer.xml

    async def answer(self, pending) -> slixmpp.Iq:
        """The answer to an IQ that a plugin sends, result or error."""
        try:
            return await asyncio.wait_for(pending, STANZA_SECONDS)
        except IqError as error:
            return error.iq
        except (IqTimeout, TimeoutError, asyncio.TimeoutError):
            came = f"the stream error {self.stream_error}" if self.stream_error else "none"
            raise Failure(f"{self.full}: expected an answer to an IQ within {STANZA_SECONDS} s; came {came}") from None

    def raw(self, text: str) -> None:
        """Sends text as it is."""
        self.client.send_raw(text)

    def forget(self) -> None:
        """What has come so far does not matter."""
        self.unread.clear()

    async def receive(self, kind: str, *, within: float = STANZA_SECONDS, **like) -> ET.Element:
        """The first unread message, presence or iq that is as described: frm, to, type ("" for none), id, body, has (names as
        "{namespace}name", directly below the stanza), where (a function of the element)."""
        until = asyncio.get_running_loop().time() + within
        while True:
            for index, stanza in enumerate(self.unread):
                if matches(stanza, kind, **like):
                    del self.unread[index]
                    return stanza
            self.arrived.clear()
            left = until - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self.arrived.wait(), max(left, 0))
            except TimeoutError:
                came = [text_of(stanza) for stanza in self.unread] or "nothing"
                raise Failure(f"{self.full}: expected {kind} {described(like)} within {within} s; came {came}") from None

    async def push(self, jid: str, **like) -> ET.Element:
        """The next roster push about `jid` whose item has these attributes ("" for absent, so ask="" is "not asked")."""

        try:
            stanza = await self.receive("iq", type="set", where=push_of(jid, **like))
        except Failure as error:
            raise Failure(f"roster push of {jid} with {like}: {error}") from None
        print(f"ok {self.full}: roster push of {jid} with {like}")
        return stanza.find(f"{ROSTER}query/{ROSTER}item")

    async def roster(self) -> dict[str, ET.Element]:
        """The roster as the server has it now: JID to item."""
        answer = await self.request("get", None, "<query xmlns='jabber:iq:roster'/>")
        return {item.get("jid"): item for item in answer.iter(f"{ROSTER}item")}

    def place(self, kind: str, **like) -> int:
        """How many stanzas came before the first such one, to compare what came in which order."""
        for index, stanza in enumerate(self.history):
            if matches(stanza, kind, **like):
                return index
        raise Failure(f"{self.full}: expected {kind} {described(like)} among all that came; came {len(self.history)} others")

    async def nothing(self, kind: str, after: "Person | None" = None, **like) -> None:
        """Fails if such a stanza is unread once everything that `after` (who sent it) caused has arrived."""
        if after is not None:
            await after.settle()
        await asyncio.sleep(GRACE_SECONDS)
        await self.settle()
        for stanza in self.unread:
            if matches(stanza, kind, **like):
                raise Failure(f"{self.full}: expected no {kind} {described(like)}; came {text_of(stanza)}")
        print(f"ok {self.full}: no {kind} {described(like)}")

    def _note(self, stanza):
        if stanza.xml.tag == "{http://etherx.jabber.org/streams}features":
            self.features.append({child.tag for child in stanza.xml})
        if stanza.xml.tag == "{http://etherx.jabber.org/streams}error":
            conditions = [child.tag.removeprefix(STREAM_ERROR) for child in stanza.xml if child.tag.startswith(STREAM_ERROR)]
            self.stream_error = next((name for name in conditions if name != "text"), "no condition")
        if stanza.xml.tag in (f"{CLIENT}message", f"{CLIENT}presence", f"{CLIENT}iq"):
            # A copy: slixmpp's handlers may change the stanza.
            self.unread.append(ET.fromstring(ET.tostring(stanza.xml)))
            self.history.append(self.unread[-1])
            self.arrived.set()
        return stanza


def matches(stanza: ET.Element, kind: str, *, frm=None, to=None, type=None, id=None, body=None, has=(), where=None) -> bool:
    """Whether a stanza is as described; see Person.receive."""
    return (
        stanza.tag == CLIENT + kind
        and (frm is None or stanza.get("from") == frm)
        and (to is None or stanza.get("to") == to)
        and (type is None or stanza.get("type", "") == type)
        and (id is None or stanza.get("id") == id)
        and (body is None or stanza.findtext(f"{CLIENT}body") == body)
        and all(stanza.find(name) is not None for name in ([has] if isinstance(has, str) else has))
        and (where is None or where(stanza))
    )


def push_of(jid: str, **like):
    """A condition for `where`: a roster push about `jid` whose item has these attributes ("" for absent)."""

    def holds(stanza: ET.Element) -> bool:
        item = stanza.find(f"{ROSTER}query/{ROSTER}item")
        return item is not None and item.get("jid") == jid and all(item.get(key, "") == value for key, value in like.items())

    return holds


def described(like: dict) -> str:
    """The wanted stanza in words."""
    return ", ".join(f"{name} {value!r}"[:300] for name, value in like.items() if not callable(value)) or "at all"


def text_of(stanza: ET.Element) -> str:
    """A stanza as XML of bounded length."""
    return ET.tostring(stanza, encoding="unicode")[:600]


def condition_of(stanza: ET.Element) -> str | None:
    """The condition of a stanza error, or None when the stanza is not an error."""
    error = stanza.find(f"{CLIENT}error")
    if stanza.get("type") != "error" or error is None:
        return None
    return next(
        (
            child.tag.removeprefix(STANZA_ERROR)
            for child in error
            if child.tag.startswith(STANZA_ERROR) and child.tag != STANZA_ERROR + "text"
        ),
        "no condition",
    )


async def play(module, stage: Stage, seconds: float) -> None:
    """Runs the scenario and closes what it left open."""
    try:
        await asyncio.wait_for(within_bounds(module, stage, seconds), seconds)
    finally:
        await stage.close()


async def within_bounds(module, stage: Stage, seconds: float) -> None:
    """The scenario; when it is cancelled for taking too long, says where it waited."""
    try:
        await module.scenario(stage)
    except asyncio.CancelledError as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == module.__file__]
        where = f"line {frames[-1].lineno}: {frames[-1].line}" if frames else "an unknown place"
        raise Failure(f"expected an end within {seconds} s; came a wait without end at {where}") from None


def main(make_stage=Stage, seconds: float = SCENARIO_SECONDS) -> int:
    """Loads the file and plays it on a stage that `make_stage` makes, for `seconds` at most."""
    path = pathlib.Path(sys.argv[1])
    logging.basicConfig(
        level=logging.DEBUG if os.environ.get("INTEROP_TRACE") else logging.WARNING, format="slixmpp %(levelname)s %(message)s"
    )
    # A scenario imports names of this file (Refused, condition_of, …) as `play_slixmpp`.
    sys.modules.setdefault("play_slixmpp", sys.modules[__name__])
    spec = importlib.util.spec_from_file_location(f"scenario_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        print("# " + (module.__doc__ or path.stem).strip().splitlines()[0].rstrip("."))
        asyncio.run(play(module, make_stage(), seconds))
    except (Failure, Skip) as error:
        return verdict(error)
    except Exception as error:
        traceback.print_exc()
        return verdict(error)
    return verdict(None)


if __name__ == "__main__":
    sys.exit(main())
