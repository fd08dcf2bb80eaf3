"""Plays one Profanity scenario: `play_profanity.py FILE`. Profanity runs in tmux; what a person would read is what is checked.

A scenario file begins with a docstring, whose first line says what is expected, and has `def scenario(stage)`. What it may use:
`stage.person("anna")` starts a Profanity and logs in (and makes the account), `person.say("/roster")` types a line,
`person.reads("text")` waits until the screen shows it. Every screen that was looked at is kept in the output folder.
"""

import importlib.util
import itertools
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from stage.checks import Checks, Failure, Skip, verdict  # noqa: E402

SCREEN_SECONDS = 12
POLL_SECONDS = 0.1
COLUMNS, ROWS = 160, 60
SETTINGS = """[ui]
splash=false
roster=false
[logging]
maxsize=10000000
"""


class Stage(Checks):
    """The server, one tmux for this scenario, and the people on it."""

    def __init__(self):
        super().__init__()
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="profanity-"))
        self.accounts: dict[str, str] = {}
        self.started = itertools.count(1)

    def account(self, name: str, password: str | None = None) -> None:
        """Makes an account by the server's own command line."""
        self.accounts[name] = password or f"{name} likes pencils"
        self.ask({"do": "add", "user": name, "password": self.accounts[name]})

    def person(self, name: str, *, direct: bool = False, trusts: bool = True, password: str | None = None, login: bool = True) -> "Person":
        """A fresh Profanity; logged in unless said otherwise. direct: direct TLS; trusts: it knows the server's CA."""
        if name not in self.accounts:
            self.account(name)
        person = Person(self, name, trusts)
        if login:
            person.connect(password or self.accounts[name], direct)
            person.reads("logged in successfully")
            person.is_settled()
        return person

    def tmux(self, *arguments: str) -> str:
        """One tmux command on this scenario's own server."""
        done = subprocess.run(
            ["tmux", "-S", str(self.home / "tmux"), "-f", "/dev/null", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            env=dict(os.environ, TERM="screen-256color"),
        )
        if done.returncode != 0:
            raise Failure(f"expected tmux {arguments[0]} to work; came {done.stderr.strip()}")
        return done.stdout

    def close(self) -> None:
        """Ends tmux, and with it every Profanity on it; keeps their logs."""
        for log in self.home.glob("*/data/profanity/logs/*.log"):
            shutil.copy(log, f"{self.output}/{log.relative_to(self.home).parts[0]}-profanity.log")
        try:
            self.tmux("kill-server")
        except Failure:
            pass  # it ended with its last window
        time.sleep(0.2)
        shutil.rmtree(self.home, ignore_errors=True)


class Person:
    """One Profanity in one tmux window."""

    def __init__(self, stage: Stage, name: str, trusts: bool):
        self.stage = stage
        self.name = name
        self.window = f"{name}{next(stage.started)}"
        self.captures = itertools.count(1)
        self.home = stage.home / self.window
        settings = self.home / "config" / "profanity"
        settings.mkdir(parents=True)
        (self.home / "data").mkdir()
        (settings / "profrc").write_text(SETTINGS)
        environment = {
            "HOME": self.home,
            "XDG_CONFIG_HOME": self.home / "config",
            "XDG_DATA_HOME": self.home / "data",
            # OpenSSL's own way to name the trusted CAs; libstrophe verifies chain and name with them.
            "SSL_CERT_FILE": stage.ca if trusts else "/dev/null",
            "SSL_CERT_DIR": "/dev/null",
            "LC_ALL": "C.UTF-8",
        }
        command = shlex.join(["env", *(f"{key}={value}" for key, value in environment.items()), "profanity", "-l", "DEBUG"])
        stage.tmux("new-session", "-d", "-s", self.window, "-x", str(COLUMNS), "-y", str(ROWS), command)
        self.reads("Type /help for help")

    def connect(self, password: str, direct: bool = False) -> None:
        """Types the connect command and the password; what comes is for the scenario to read."""
        port, tls = (self.stage.c2s_tls, "legacy") if direct else (self.stage.c2s, "force")
        self.say(f"/connect {self.name}@{self.stage.domain}/{self.window} server {self.stage.address} port {port} tls {tls}")
        self.reads("Enter password:")
        self.say(password)

    def is_settled(self) -> None:
        """Waits for what a login brings by itself: the room of everybody, by its bookmark, which snug gives to every account."""
        if self.stage.server == "snug":
            self.reads("Autojoined lobby@")

    def say(self, line: str) -> None:
        """Types a line and Enter."""
        self.stage.tmux("send-keys", "-t", self.window, "-l", line)
        self.stage.tmux("send-keys", "-t", self.window, "Enter")

    def clear(self) -> None:
        """Goes to the console and empties it, so that what is read next is new: only title, status line and input are left."""
        self.say("/win 1")
        self.say("/clear")
        until = time.monotonic() + SCREEN_SECONDS
        while sum(bool(line.strip()) for line in self.screen().splitlines()) > 3:
            if time.monotonic() > until:
                raise Failure(f"{self.window}: expected /clear to empty the console; came {self.screen()}")
            time.sleep(POLL_SECONDS)

    def screen(self) -> str:
        """What is on the screen now, without trailing blanks."""
        return "\n".join(line.rstrip() for line in self.stage.tmux("capture-pane", "-p", "-t", self.window).splitlines())

    def reads(self, *texts: str, within: float = SCREEN_SECONDS) -> str:
        """Waits until the screen shows all the texts; returns the screen."""
        until = time.monotonic() + within
        while (screen := self.shows(*texts)) is None:
            if time.monotonic() > until:
                self.misses(*texts, within=within)
            time.sleep(POLL_SECONDS)
        return screen

    def shows(self, *texts: str) -> str | None:
        """The screen, if it shows all the texts now."""
        screen = self.screen()
        if not all(text in screen for text in texts):
            return None
        self.keep(texts[0], screen)
        print(f"ok {self.window} reads {', '.join(texts)}")
        return screen

    def misses(self, *texts: str, within: float) -> None:
        """Fails with what the screen shows instead of the texts."""
        screen = self.screen()
        missing = next((text for text in texts if text not in screen), texts[0])
        self.keep(f"missing {missing}", screen)
        shown = " | ".join(line for line in screen.splitlines() if line.strip())
        raise Failure(f"{self.window}: expected to read {missing} within {within} s; came the screen: {shown[-900:]}")

    def reads_not(self, text: str) -> None:
        """Fails if the screen shows the text now."""
        screen = self.screen()
        self.keep(f"without {text}", screen)
        if text in screen:
            raise Failure(f"{self.window}: expected not to read {text!r}; came the screen: {screen[-900:]}")
        print(f"ok {self.window} does not read {text}")

    def keep(self, what: str, screen: str) -> None:
        """Keeps a screen in the output folder."""
        word = re.sub(r"[^A-Za-z0-9]+", "-", what).strip("-")[:40]
        pathlib.Path(f"{self.stage.output}/{self.window}-{next(self.captures):02}-{word}.txt").write_text(screen + "\n")


def main() -> int:
    """Loads the file and plays it."""
    path = pathlib.Path(sys.argv[1])
    # At the time limit the harness asks first: tmux has left the process group and must be ended from here.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("the time limit is over"))
    spec = importlib.util.spec_from_file_location(f"scenario_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    stage = Stage()
    try:
        spec.loader.exec_module(module)
        print("# " + (module.__doc__ or path.stem).strip().splitlines()[0].rstrip("."))
        module.scenario(stage)
    except (Failure, Skip) as error:
        return verdict(error)
    except Exception as error:
        traceback.print_exc()
        return verdict(error)
    finally:
        stage.close()
    return verdict(None)


if __name__ == "__main__":
    sys.exit(main())
