"""Plays one scenario with clients of different kinds: `play_together.py FILE`, in slixmpp's virtual environment.

A scenario file is as for slixmpp (see play_slixmpp.py), and its stage can also do this: `stage.terminal("ben")` starts a Profanity and
logs in, `terminal.say(...)` types a line, `await terminal.reads(...)` waits until its screen shows texts; `await stage.desktop(Dino,
"dora")` starts a desktop client (see desktop.py).
"""

import asyncio
import os
import pathlib
import signal
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from stage import desktop, play_profanity, play_slixmpp  # noqa: E402

# Less than the harness' own limit (clients.py), so that the line that waits can be named.
SCENARIO_SECONDS = 80


class Stage(play_slixmpp.Stage):
    """slixmpp's stage, with terminals and a desktop."""

    def __init__(self):
        super().__init__()
        self.terminals: play_profanity.Stage | None = None
        self.desktops: list[desktop.Desktop] = []
        # At the time limit the harness asks first: tmux has left the process group and must be ended from here.
        signal.signal(signal.SIGTERM, self.abandon)

    def terminal(self, name: str) -> "Terminal":
        """A fresh Profanity, logged in. The account must have been made."""
        if self.terminals is None:
            self.terminals = play_profanity.Stage()
        self.terminals.accounts = self.accounts
        return Terminal(self.terminals.person(name))

    async def desktop(self, kind: type[desktop.Desktop], name: str) -> desktop.Desktop:
        """A fresh client of that kind that has begun to log in. The account must have been made."""
        client = kind(self, name, self.accounts[name])
        self.desktops.append(client)
        await client.start()
        return client

    async def close(self) -> None:
        """Ends all clients."""
        await super().close()
        self.end_programs()

    def end_programs(self) -> None:
        """Ends what runs as a process of its own."""
        for client in self.desktops:
            client.close()
        if self.terminals is not None:
            self.terminals.close()

    def abandon(self, *_) -> None:
        """The time limit is over."""
        self.end_programs()
        os._exit(1)


class Terminal:
    """A Profanity (see play_profanity.Person) that leaves slixmpp its time while it is waited for."""

    def __init__(self, person: play_profanity.Person):
        self.person = person
        self.say = person.say
        self.clear = person.clear
        self.reads_not = person.reads_not
        self.resource = person.window

    async def reads(self, *texts: str, within: float = play_profanity.SCREEN_SECONDS) -> str:
        """Waits until the screen shows all the texts; returns the screen."""
        until = time.monotonic() + within
        while (screen := self.person.shows(*texts)) is None:
            if time.monotonic() > until:
                self.person.misses(*texts, within=within)
            await asyncio.sleep(play_profanity.POLL_SECONDS)
        return screen


if __name__ == "__main__":
    sys.modules["play_slixmpp"] = play_slixmpp
    sys.exit(play_slixmpp.main(Stage, SCENARIO_SECONDS))
