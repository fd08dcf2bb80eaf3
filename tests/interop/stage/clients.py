"""The foreign clients: what they need, how it is installed once into a cache, and how one scenario file is run."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

from . import desktop

HERE = pathlib.Path(__file__).resolve().parent
INSTALL_SECONDS = 300
SLIXMPP = "slixmpp==1.17.0"
OMEMO = ["slixmpp-omemo==2.2.0", "OMEMO==2.1.0", "Oldmemo==2.1.0", "Twomemo==2.1.0"]
XMPPJS = "@xmpp/client@0.14.0"

# What pip, npm and apt print when the registry cannot be reached, as opposed to a package that does not install.
UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|ReadTimeout|Connection refused|ProxyError|MaxRetryError"
    r"|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH"
    r"|Could not resolve|Could not connect|Temporary failure resolving|Unable to connect|Connection timed out|Network is unreachable",
    re.IGNORECASE,
)


class RegistryNotReached(Exception):
    """The client's registry is missing: its scenarios are skipped, loudly."""


class InstallFailed(Exception):
    """The registry answered, and the client still could not be installed: its scenarios fail."""


class NotOnThisMachine(Exception):
    """The client cannot run here (no such package, no rights): its scenarios are skipped, loudly."""


class Client:
    """One foreign client: `install` makes it usable, `command` runs one of its scenario files."""

    name = ""
    pattern = "*.py"
    limit_seconds = 45

    def scenarios(self) -> list[pathlib.Path]:
        """The scenario files, one scenario each."""
        return sorted((HERE.parent / self.name).glob(self.pattern))

    def install(self, cache: pathlib.Path) -> None:
        """Installs what is missing, into `cache` or by apt."""
        raise NotImplementedError

    def command(self, scenario: pathlib.Path) -> list[str]:
        """The process that plays one scenario file."""
        raise NotImplementedError


class Slixmpp(Client):
    """slixmpp from PyPI in a virtual environment of its own."""

    name = "slixmpp"
    packages = [SLIXMPP]
    player = "play_slixmpp.py"

    def install(self, cache: pathlib.Path) -> None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        folder = cache / f"slixmpp-{key(*self.packages, sys.executable, version)}"
        self.python = folder / "bin" / "python"
        if (folder / "complete").exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        install([sys.executable, "-m", "venv", str(folder)])
        install([str(self.python), "-m", "pip", "install", "--quiet", "--retries", "2", "--timeout", "20", *self.packages])
        (folder / "complete").touch()

    def command(self, scenario: pathlib.Path) -> list[str]:
        return [str(self.python), str(HERE / self.player), str(scenario)]


class Xmppjs(Client):
    """@xmpp/client from npm under Node."""

    name = "xmppjs"
    pattern = "*.mjs"

    def install(self, cache: pathlib.Path) -> None:
        if shutil.which("npm") is None:
            apt_install("nodejs", "npm")
        self.folder = cache / f"xmppjs-{key(XMPPJS)}"
        if (self.folder / "complete").exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / "package.json").write_text('{"private": true}\n')
        install(["npm", "install", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000", XMPPJS], self.folder)
        (self.folder / "complete").touch()

    def command(self, scenario: pathlib.Path) -> list[str]:
        library = self.folder / "node_modules" / "@xmpp" / "client" / "index.js"
        return ["node", str(HERE / "play_xmppjs.mjs"), str(library), str(scenario)]


class Profanity(Client):
    """Profanity from apt, on a screen that tmux keeps."""

    name = "profanity"
    limit_seconds = 75

    def install(self, cache: pathlib.Path) -> None:
        apt_install(*[tool for tool in ("profanity", "tmux") if shutil.which(tool) is None])

    def command(self, scenario: pathlib.Path) -> list[str]:
        return [sys.executable, str(HERE / "play_profanity.py"), str(scenario)]


class Together(Slixmpp):
    """slixmpp and Profanity in one scenario."""

    name = "together"
    player = "play_together.py"
    limit_seconds = 90

    def install(self, cache: pathlib.Path) -> None:
        Profanity().install(cache)
        super().install(cache)


class Omemo(Together):
    """slixmpp with its OMEMO plugin, and Profanity, which has OMEMO itself."""

    name = "omemo"
    packages = [SLIXMPP, *OMEMO]


class Desktop(Slixmpp):
    """Dino and Gajim from apt on a screen in memory, among people of slixmpp."""

    name = "desktop"
    player = "play_together.py"
    limit_seconds = 90

    def install(self, cache: pathlib.Path) -> None:
        try:
            apt_install(*[package for tool, package in desktop.PACKAGES.items() if shutil.which(tool) is None and not os.path.exists(tool)])
            install([*desktop.namespaces(), "true"])
        except InstallFailed as error:
            raise NotOnThisMachine(str(error)) from None
        super().install(cache)


CLIENTS = [Slixmpp(), Xmppjs(), Profanity(), Together(), Omemo(), Desktop()]


def apt_install(*packages: str) -> None:
    """Installs Debian packages, after an update; nothing to do when none is named."""
    if not packages:
        return
    if os.geteuid() != 0:
        raise InstallFailed(f"missing {' '.join(packages)}: as root, apt-get install {' '.join(packages)}")
    install(["apt-get", "-qq", "update", "-o", "APT::Update::Error-Mode=any"])
    install(["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages])


def install(command: list[str], folder: pathlib.Path | None = None) -> None:
    """Runs one installing command of bounded time and tells an unreachable registry from a failure."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8")
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise RegistryNotReached(f"`{' '.join(command)}` had no answer in {INSTALL_SECONDS} s") from None
    except FileNotFoundError:
        raise InstallFailed(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        last = " ".join(done.stdout.split())[-600:]
        if UNREACHABLE.search(done.stdout):
            raise RegistryNotReached(last)
        raise InstallFailed(f"`{' '.join(command)}` ended with {done.returncode}: {last}")


def key(*parts: str) -> str:
    """A short name for a cache folder that changes with what is installed."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
