"""A foreign client on the Pi: two people log in over TLS by the host's name, trust nothing but the authority's file, and chat.

    chat.py DOMAIN CA NAME PASSWORD NAME PASSWORD
"""

import asyncio
import ssl
import sys

import slixmpp

DOMAIN, AUTHORITY, ANNA, ANNAS, BEN, BENS = sys.argv[1:]
SECONDS = 180


class Person(slixmpp.ClientXMPP):
    """One client; what it hears is in `heard`."""

    def __init__(self, name: str, password: str):
        super().__init__(f"{name}@{DOMAIN}", password)
        self.ssl_context = ssl.create_default_context(cafile=AUTHORITY)
        self.here = asyncio.get_event_loop().create_future()
        self.heard = asyncio.Queue()
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("failed_all_auth", lambda _: self.here.set_exception(RuntimeError("the password was refused")))
        self.add_event_handler("ssl_invalid_cert", lambda error: self.here.set_exception(RuntimeError(f"the certificate was refused: {error}")))
        self.add_event_handler("message", self.heard.put_nowait)

    async def start(self, _):
        self.send_presence()
        if not self.here.done():
            self.here.set_result(None)


    def get_ssl_context(self):
        # The name in the certificate is checked against the domain, the chain against this file alone.
        return self.ssl_context


async def main():
    anna, ben = Person(ANNA, ANNAS), Person(BEN, BENS)
    for person in (anna, ben):
        # The host's own name, as a client finds it in the network.
        person.connect(DOMAIN, 5222)
    await asyncio.gather(anna.here, ben.here)
    for sender, reader, text in ((anna, ben, "hello from anna"), (ben, anna, "hello from ben")):
        sender.send_message(mto=reader.boundjid.full, mbody=text, mtype="chat")
        message = await reader.heard.get()
        assert (message["body"], message["from"]) == (text, sender.boundjid), str(message)
    print(f"slixmpp {slixmpp.__version__}: {anna.boundjid.bare} and {ben.boundjid.bare} chat over {anna.transport.get_extra_info('cipher')[1]}")
    for person in (anna, ben):
        await person.disconnect()


async def within(seconds: float):
    async with asyncio.timeout(seconds):
        await main()
    # slixmpp leaves tasks that wait for nothing any more.
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


asyncio.get_event_loop().run_until_complete(within(SECONDS))
