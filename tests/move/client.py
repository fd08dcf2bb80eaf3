"""A blocking XMPP client of the standard library, enough to log in and to look at what an account has."""

import base64
import hashlib
import hmac
import os
import socket
import ssl
import xml.etree.ElementTree as ElementTree

from stage.server import ADDRESS, DOMAIN

SECONDS = 20
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
HEADER = f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"


class Refused(Exception):
    """The server said no; the text says how."""


class Client:
    """One connection with direct TLS. Used with `with`, so that it is closed."""

    def __init__(self, port: int, ca):
        context = ssl.create_default_context(cafile=str(ca))
        context.check_hostname = False
        plain = socket.create_connection((ADDRESS, port), SECONDS)
        self.socket = context.wrap_socket(plain, server_hostname=DOMAIN)
        self.sent = 0
        self.open()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.send("</stream:stream>")
            while self.socket.recv(4096):
                pass
        except OSError:
            pass
        self.socket.close()

    def open(self) -> None:
        """Opens a stream and reads its features."""
        self.parser = ElementTree.XMLPullParser(("start", "end"))
        self.depth = 0
        self.ready = []
        self.send(HEADER)
        self.features = self.read()

    def send(self, text: str) -> None:
        """Sends text as it is."""
        self.socket.sendall(text.encode())

    def read(self) -> ElementTree.Element:
        """The next element of the stream."""
        while not self.ready:
            data = self.socket.recv(65536)
            if not data:
                raise Refused("the server closed the connection")
            self.parser.feed(data)
            for event, element in self.parser.read_events():
                self.depth += 1 if event == "start" else -1
                if event == "end" and self.depth == 1:
                    self.ready.append(element)
                if event == "end" and self.depth == 0:
                    raise Refused("the server ended the stream")
        return self.ready.pop(0)

    def mechanisms(self) -> list[str]:
        """What the server offers."""
        return [element.text for element in self.features.iter(f"{{{SASL}}}mechanism")]

    def register(self, user: str, password: str) -> None:
        """XEP-0077, before the login."""
        self.iq("set", f"<query xmlns='jabber:iq:register'><username>{user}</username><password>{password}</password></query>")

    def log_in(self, mechanism: str, user: str, password: str) -> "Client":
        """Logs in by this mechanism and binds a resource."""
        {"PLAIN": self.plain}.get(mechanism, lambda *who: self.scram(mechanism, *who))(user, password)
        self.open()
        self.iq("set", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>")
        if any(element.tag.endswith("}session") and not len(element) for element in self.features):
            self.iq("set", "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>")
        return self

    def plain(self, user: str, password: str) -> None:
        """RFC 4616."""
        self.sasl("auth", f"\0{user}\0{password}", " mechanism='PLAIN'", "success")

    def scram(self, mechanism: str, user: str, password: str) -> None:
        """RFC 5802, RFC 7677, without channel binding; the server's signature is checked."""
        digest = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[mechanism]
        bare = f"n={user},r={base64.b64encode(os.urandom(12)).decode()}"
        challenge = self.sasl("auth", f"n,,{bare}", f" mechanism='{mechanism}'", "challenge")
        fields = dict(field.split("=", 1) for field in challenge.split(","))
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))

        def sign(key: bytes, text: str) -> bytes:
            return hmac.new(key, text.encode(), digest).digest()

        final = f"c=biws,r={fields['r']}"
        message = f"{bare},{challenge},{final}"
        client_key = sign(salted, "Client Key")
        signature = sign(hashlib.new(digest, client_key).digest(), message)
        proof = base64.b64encode(bytes(one ^ other for one, other in zip(client_key, signature))).decode()
        last = self.sasl("response", f"{final},p={proof}", "", "success")
        expected = base64.b64encode(sign(sign(salted, "Server Key"), message)).decode()
        if last != f"v={expected}":
            raise Refused(f"{user}: the server does not know the password")

    def sasl(self, name: str, text: str, attributes: str, wanted: str) -> str:
        """One step; the answer's text."""
        self.send(f"<{name} xmlns='{SASL}'{attributes}>{base64.b64encode(text.encode()).decode()}</{name}>")
        answer = self.read()
        if answer.tag != f"{{{SASL}}}{wanted}":
            raise Refused(ElementTree.tostring(answer, "unicode"))
        return base64.b64decode(answer.text or "").decode()

    def iq(self, kind: str, payload: str) -> ElementTree.Element | None:
        """Asks the server; the first child of its result."""
        self.sent += 1
        self.send(f"<iq type='{kind}' id='q{self.sent}'>{payload}</iq>")
        while True:
            element = self.read()
            if element.get("id") == f"q{self.sent}" and element.tag.endswith("}iq"):
                if element.get("type") != "result":
                    raise Refused(ElementTree.tostring(element, "unicode"))
                return element[0] if len(element) else None

    def messages(self, count: int) -> list[str]:
        """The bodies of the messages that come when it is there."""
        self.send("<presence/>")
        bodies = []
        while len(bodies) < count:
            body = self.read().find("{jabber:client}body")
            if body is not None:
                bodies.append(body.text)
        return bodies

    def archived(self, to: str = "") -> list[str]:
        """The bodies in an archive: the account's own, or that of the room `to`."""
        self.sent += 1
        address = f" to='{to}'" if to else ""
        self.send(f"<iq type='set' id='q{self.sent}'{address}><query xmlns='urn:xmpp:mam:2'/></iq>")
        bodies = []
        while True:
            element = self.read()
            if element.get("id") == f"q{self.sent}" and element.tag.endswith("}iq"):
                if element.get("type") != "result":
                    raise Refused(ElementTree.tostring(element, "unicode"))
                return bodies
            bodies += [body.text for result in element.iter("{urn:xmpp:mam:2}result") for body in result.iter("{jabber:client}body")]

    def item(self, node: str) -> tuple:
        """Id and payload of the only item of a node of its own."""
        items = self.iq("get", f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'/></pubsub>")[0]
        (item,) = items
        return item.get("id"), item[0]

    def ask(self, to: str, kind: str, payload: str) -> ElementTree.Element | None:
        """Asks somebody else."""
        self.sent += 1
        self.send(f"<iq type='{kind}' id='q{self.sent}' to='{to}'>{payload}</iq>")
        while True:
            element = self.read()
            if element.get("id") == f"q{self.sent}" and element.tag.endswith("}iq"):
                if element.get("type") != "result":
                    raise Refused(ElementTree.tostring(element, "unicode"))
                return element[0] if len(element) else None

    def until(self, wanted: str) -> ElementTree.Element:
        """The next element in which an element of this name is."""
        while True:
            element = self.read()
            if any(inner.tag.endswith("}" + wanted) for inner in element.iter()):
                return element

    def roster(self) -> dict[str, tuple]:
        """Subscription, name and groups by JID."""
        query = self.iq("get", "<query xmlns='jabber:iq:roster'/>")
        return {
            item.get("jid"): (item.get("subscription"), item.get("name"), tuple(sorted(group.text for group in item)))
            for item in query
        }

    def full_name(self) -> str | None:
        """What the vCard says."""
        name = self.iq("get", "<vCard xmlns='vcard-temp'/>").find("{vcard-temp}FN")
        return None if name is None else name.text
