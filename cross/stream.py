"""A blocking XMPP client of the standard library, for what tests on the emulated Pi and in a chroot need."""

import base64
import socket
import ssl
import xml.etree.ElementTree as ElementTree

# Longest wait for one answer: an emulated Pi on a machine that others use too.
ANSWER_SECONDS = 120


class Gone(Exception):
    """The connection ended."""


class Client:
    """A blocking XMPP client of the standard library, over direct TLS."""

    def __init__(self, port: int, domain: str, authority: str, name: str, password: str):
        self.domain = domain
        context = ssl.create_default_context(cadata=authority)
        try:
            plain = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
            self.socket = context.wrap_socket(plain, server_hostname=domain)
        except OSError as error:
            raise Gone(str(error)) from error
        self.open()
        secret = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>")
        answer = self.read()
        if not answer.tag.endswith("}success"):
            raise AssertionError(f"{name} cannot log in: {ElementTree.tostring(answer, 'unicode')}")
        self.open()
        self.ask("bind", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>load</resource></bind>", "set")

    def open(self) -> None:
        """Opens a stream and reads its features."""
        self.parser = ElementTree.XMLPullParser(("start", "end"))
        self.depth = 0
        self.ready: list[ElementTree.Element] = []
        self.send(f"<stream:stream to='{self.domain}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>")
        self.read()

    def send(self, text: str) -> None:
        """Sends text as it is."""
        try:
            self.socket.sendall(text.encode())
        except OSError as error:
            raise Gone(str(error)) from error

    def read(self) -> ElementTree.Element:
        """The next element of the stream."""
        while not self.ready:
            try:
                data = self.socket.recv(65536)
            except OSError as error:
                raise Gone(str(error)) from error
            if not data:
                raise Gone("the end")
            self.parser.feed(data)
            for event, element in self.parser.read_events():
                self.depth += 1 if event == "start" else -1
                if event == "end" and self.depth == 1:
                    self.ready.append(element)
        return self.ready.pop(0)

    def ask(self, ident: str, payload: str, kind: str = "get") -> ElementTree.Element:
        """A request; its result. What else comes is left out."""
        self.send(f"<iq type='{kind}' id='{ident}'>{payload}</iq>")
        while True:
            answer = self.read()
            if answer.get("id") == ident and answer.tag.endswith("}iq"):
                if answer.get("type") != "result":
                    raise AssertionError(ElementTree.tostring(answer, "unicode"))
                return answer

    def close(self) -> None:
        """Says goodbye, and waits until the server has."""
        try:
            self.send("</stream:stream>")
            while self.socket.recv(65536):
                pass
        except (Gone, OSError):
            pass
        self.socket.close()
