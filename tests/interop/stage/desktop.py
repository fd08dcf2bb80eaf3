"""Desktop clients on a screen in memory: what they show is photographed, what they wrote into their own databases is checked.

They are given a domain, never an address, and trust the system's CAs. So they run in namespaces of their own, where the domain resolves to
a loopback address (nobody else's port 5222) and the CAs are the server's; there is no DNS and no other network service. The processes in
there end with their first one.
"""

import asyncio
import hashlib
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import tempfile
import time
import zlib

from stage.checks import Failure, shown

WIDTH, HEIGHT = 1200, 700  # Dino's own first size
DATABASE_SECONDS = 25
POLL_SECONDS = 0.1
PACKAGES = {
    "dino-im": "dino-im",
    "gajim": "gajim",
    "Xvfb": "xvfb",
    "xdotool": "xdotool",
    "dbus-run-session": "dbus",
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf": "fonts-noto-color-emoji",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf": "fonts-dejavu-core",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}
# What runs in the namespaces: $1 is the folder, $2 the CA, then the client.
INSIDE = """set -e
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/hosts" /etc/hosts
mount --bind "$2" /etc/ssl/certs/ca-certificates.crt
shift 2
exec dbus-run-session -- "$@"
"""


def namespaces() -> list[str]:
    """The command that gives a process its own mounts and process ids."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


class Desktop:
    """One client of one account, in folders and on a screen of its own. A subclass says how it is set up and started."""

    ACCOUNTS = ""  # its database of accounts, below its home
    DATABASE = ""  # its database of chats

    def __init__(self, stage, name: str, password: str):
        self.stage = stage
        self.name = name
        self.password = password
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="desktop-"))
        self.accounts = self.home / self.ACCOUNTS
        self.database = self.home / self.DATABASE
        self.frame = self.home / "frame" / "Xvfb_screen0"
        self.processes: list[subprocess.Popen] = []
        self.door: asyncio.Server | None = None

    async def start(self) -> None:
        """Starts the screen, lets the client make its database, writes the account into it, and starts the client again."""
        for folder in ("config", "data", "cache", "run"):
            (self.home / folder).mkdir(mode=0o700)
        await self.open_door()
        self.start_screen()
        first = self.start_client()
        await self.until(f"{type(self).__name__} makes its database", self.is_made)
        await asyncio.sleep(0.5)  # it goes on with its defaults
        self.end(first)
        with sqlite3.connect(self.accounts) as database:
            self.set_up(database)
        database.close()
        self.start_client()

    def command(self) -> list[str]:
        """What to start."""
        raise NotImplementedError

    def is_made(self) -> bool:
        """Whether the first start has made the database."""
        raise NotImplementedError

    def set_up(self, database: sqlite3.Connection) -> None:
        """Writes the account into the database that the client has made."""
        raise NotImplementedError

    async def open_door(self) -> None:
        """Listens where the client looks for the domain, port 5222 of a loopback address, and passes all on to the server."""
        while self.door is None:
            self.address = f"127.{random.randrange(64, 250)}.{random.randrange(250)}.{random.randrange(2, 250)}"
            try:
                self.door = await asyncio.start_server(self.pass_on, self.address, 5222)
            except OSError:
                continue  # taken: by chance another client's
        (self.home / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.stage.domain}\n")
        # Nobody answers there, which the resolver is told at once.
        (self.home / "resolv.conf").write_text(f"nameserver {self.address}\noptions attempts:1 timeout:1\n")

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, byte for byte, in both directions."""

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            except ConnectionError:
                pass  # one side has gone: so does the other
            sink.close()

        back, forth = await asyncio.open_connection(self.stage.address, self.stage.c2s)
        try:
            await asyncio.gather(pump(reader, forth), pump(back, writer))
        except asyncio.CancelledError:
            pass  # the scenario is over

    def start_screen(self) -> None:
        """Starts an X server whose picture is a file."""
        self.frame.parent.mkdir()
        read, write = os.pipe()
        picture = ["-fbdir", str(self.frame.parent), "-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
        command = ["Xvfb", "-displayfd", str(write), *picture, "-nolisten", "tcp"]
        self.run(command, "screen.log", pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as told:
            number = told.readline().strip()
        if not number:
            raise Failure(f"expected Xvfb to start; came its log: {pathlib.Path(self.stage.output, 'screen.log').read_text()[-500:]}")
        self.display = f":{number}"

    def start_client(self) -> subprocess.Popen:
        """Starts the client in its namespaces."""
        folders = {f"XDG_{kind.upper()}_HOME": str(self.home / kind) for kind in ("config", "data", "cache")}
        environment = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.home),
            **folders,
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "DISPLAY": self.display,
            "GDK_BACKEND": "x11",
            "GSK_RENDERER": "cairo",
            "GTK_A11Y": "none",
            "GSETTINGS_BACKEND": "memory",
        }
        inside = [*namespaces(), "sh", "-c", INSIDE, "sh", str(self.home), self.stage.ca, *self.command()]
        return self.run(inside, "client.log", env=environment)

    def run(self, command: list[str], log: str, **how) -> subprocess.Popen:
        """Starts a process that `close` ends."""
        with open(f"{self.stage.output}/{log}", "ab") as file:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **how)
        self.processes.append(process)
        return process

    def end(self, process: subprocess.Popen) -> None:
        """Ends a process and all in its namespaces."""
        self.processes.remove(process)
        # `unshare` hands on nothing but its own death; the X server has files to remove.
        process.send_signal(signal.SIGKILL if process.args[0] == "unshare" else signal.SIGTERM)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Ends everything and removes the folders; how the screen was at last is kept."""
        if self.processes and self.frame.exists():
            self.photograph("last")
        if self.door is not None:
            self.door.close()
            self.door = None
        while self.processes:
            self.end(self.processes[-1])
        shutil.rmtree(self.home, ignore_errors=True)

    async def writes(self, what: str, expected: list[tuple], query: str, *values) -> None:
        """Waits until the client's own database has these rows."""
        await self.until(what, lambda: answer(self.database, query, *values), expected)

    async def until(self, what: str, look, expected=None) -> None:
        """Waits until `look` returns what is expected (without expectation: anything)."""
        until = time.monotonic() + DATABASE_SECONDS
        while True:
            came = look()
            if came == expected or (expected is None and came):
                self.stage.true(what, True)
                return
            if time.monotonic() > until:
                raise Failure(f"{what}: expected {shown(expected or 'something')} within {DATABASE_SECONDS} s; came {shown(came)}")
            await asyncio.sleep(POLL_SECONDS)

    def act(self, *arguments) -> None:
        """One xdotool command: a key, a click, a line typed."""
        done = subprocess.run(
            ["xdotool", *map(str, arguments)], env=dict(os.environ, DISPLAY=self.display), capture_output=True, text=True, timeout=10
        )
        if done.returncode != 0:
            raise Failure(f"expected xdotool {arguments[0]} to work; came {done.stderr.strip()}")

    async def click(self, x: int, y: int) -> None:
        """Clicks, and lets the client draw."""
        self.act("mousemove", x, y)
        await asyncio.sleep(0.2)
        self.act("click", 1)
        await asyncio.sleep(0.7)

    async def type(self, line: str) -> None:
        """Types a line and Enter into what has the focus."""
        self.act("type", "--delay", 20, line)
        self.act("key", "Return")
        await asyncio.sleep(0.3)

    def photograph(self, name: str) -> None:
        """Keeps the screen as NAME.png in the output folder: to be looked at."""
        image = picture_of(self.frame.read_bytes())
        pathlib.Path(self.stage.output, f"{name}.png").write_bytes(image)


def answer(path: pathlib.Path, query: str, *values) -> list[tuple]:
    """What a client's own database answers; nothing while there is none."""
    if not path.exists():
        return []
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        return database.execute(query, values).fetchall()
    except sqlite3.OperationalError:
        return []  # the table is not there yet
    finally:
        database.close()


def picture_of(window_dump: bytes) -> bytes:
    """A PNG of an X window dump (XWDFile.h, version 7) of 32 bits a pixel, as Xvfb keeps it."""
    head = struct.unpack(">25I", window_dump[:100])
    width, height, line, colours = head[4], head[5], head[12], head[19]
    start = head[0] + 12 * colours
    rows = []
    for row in range(height):
        pixels = window_dump[start + row * line : start + row * line + 4 * width]
        rgb = bytearray(3 * width)
        rgb[0::3], rgb[1::3], rgb[2::3] = pixels[2::4], pixels[1::4], pixels[0::4]
        rows.append(b"\0" + rgb)
    return png(width, height, b"".join(rows))


def png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG of 8 bits a colour; each row begins with the byte 0."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")


def portrait(red: int, green: int, blue: int, side: int = 96) -> bytes:
    """A picture to know somebody by: a disc of one colour on a light ground."""
    rows = bytearray()
    for y in range(side):
        rows.append(0)
        for x in range(side):
            inside = (2 * x - side) ** 2 + (2 * y - side) ** 2 < (0.8 * side) ** 2
            rows += bytes((red, green, blue) if inside else (245, 240, 225))
    return png(side, side, bytes(rows))


async def publish(person, picture):
    """Publishes an avatar."""
    await person.answer(person.client["xep_0084"].publish_avatar(picture))
    info = {"id": hashlib.sha1(picture).hexdigest(), "type": "image/png", "bytes": len(picture), "width": "96", "height": "96"}
    await person.answer(person.client["xep_0084"].publish_avatar_metadata(info))


async def bookmark(person, room, name):
    """Lets all devices of a person enter a room by themselves."""
    from slixmpp.plugins.xep_0402.stanza import Conference

    conference = Conference()
    conference["name"] = name
    conference["autojoin"] = True
    conference["nick"] = person.client.boundjid.user
    await person.answer(person.client["xep_0223"].store(conference, node="urn:xmpp:bookmarks:1", id=room))
