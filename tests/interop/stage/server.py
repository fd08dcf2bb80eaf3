"""The servers under test as processes: start on free loopback ports, wait until they answer, stop by process id.

A server belongs to one scenario: it has its own folder, ports and accounts, and its log is one file in the output folder.
`Snug` is the one that matters; `Prosody` is the control that shows that a failing scenario is not the scenario's fault.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

DOMAIN = "chat.test"
ADDRESS = "127.0.0.1"
# Erlang takes its time on a machine with other things to do.
READY_SECONDS = 60
STOP_SECONDS = 10
# The host of the one component that both servers know, and its secret (XEP-0114).
COMPONENT = f"push.{DOMAIN}"
COMPONENT_SECRET = "of the interop component"
COMMAND_SECONDS = 30


class ServerFailed(Exception):
    """The server did not do what the harness needs; the text says what came instead."""


class Server:
    """What both servers share. A subclass says how to prepare the folder, start, add an account and find the CA."""

    name = ""

    def __init__(self, folder: pathlib.Path, log: pathlib.Path):
        self.folder = folder
        self.data = folder / "data"
        self.log_path = log
        self.c2s, self.c2s_tls, self.component = free_ports(3)
        self.process = None
        self.ca = folder / "ca.pem"
        self.prepare()

    def prepare(self) -> None:
        """Writes configuration and certificates before the first start."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """What to execute: it stays in the foreground and logs to stdout or stderr."""
        raise NotImplementedError

    def add_user(self, name: str, password: str) -> None:
        """Makes an account while the server runs."""
        raise NotImplementedError

    def make_admin(self, name: str) -> None:
        """Lets an account administer the running server."""
        raise NotImplementedError

    def write_ca(self) -> None:
        """Makes `self.ca` the certificate, as PEM, that a client must trust. Called once, when the server is ready."""

    def start(self) -> None:
        """Starts and waits until the STARTTLS port answers with stream features and the other one accepts."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=server_environment(),
                cwd=self.folder,
                start_new_session=True,
            )
        until = time.monotonic() + READY_SECONDS
        last = "nothing"
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise ServerFailed(f"{self.name} ended with code {self.process.returncode} before it was ready")
            try:
                last = first_words(self.c2s)
                socket.create_connection((ADDRESS, self.c2s_tls), 1).close()
                if "starttls" in last:
                    if not self.ca.exists():
                        self.write_ca()
                    return
            except OSError as error:
                last = str(error)
            time.sleep(0.05)
        raise ServerFailed(f"{self.name} not ready within {READY_SECONDS} s; last answer on port {self.c2s}: {last}")

    def stop(self) -> int:
        """SIGTERM, and SIGKILL after STOP_SECONDS, which is an error. Returns the exit code (negative: the signal)."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(f"{self.name} did not end within {STOP_SECONDS} s of SIGTERM") from None

    def kill(self) -> None:
        """SIGKILL: what a pulled plug leaves of the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def died(self) -> str:
        """Why the server is not well although nobody stopped it, or an empty string."""
        if self.process is not None and self.process.poll() is not None:
            return f"{self.name} ended by itself with code {self.process.returncode}"
        for line in self.log_path.read_text(errors="replace").splitlines():
            if "panicked at" in line:
                return f"{self.name} logged a panic: {line}"
        return ""

    def log_tail(self, lines: int) -> list[str]:
        """The last lines of the server's log."""
        try:
            return self.log_path.read_text(errors="replace").splitlines()[-lines:]
        except OSError:
            return []


class Snug(Server):
    """The binary of this repository, driven only by its command line."""

    name = "snug"
    binary = None  # set by find_snug, once, before the first scenario

    def prepare(self) -> None:
        self.data.mkdir()
        self.config = self.folder / "snug.toml"
        self.config.write_text(f'''domain = "{DOMAIN}"
[listen]
c2s = ["{ADDRESS}:{self.c2s}"]
c2s_tls = ["{ADDRESS}:{self.c2s_tls}"]
components = ["{ADDRESS}:{self.component}"]
[registration]
mode = "open"
[roster]
everyone = false
[limits]
stanza_rate = 0
connection_rate = 0
login_rate = 0
[[component]]
host = "{COMPONENT}"
secret = "{COMPONENT_SECRET}"
''')

    def command(self) -> list[str]:
        return [str(self.binary), "run", "--data", str(self.data), "--config", str(self.config)]

    def add_user(self, name: str, password: str) -> None:
        run_command([str(self.binary), "user", "add", name, "--stdin", "--data", str(self.data)], password + "\n")

    def make_admin(self, name: str) -> None:
        run_command([str(self.binary), "user", "admin", name, "on", "--data", str(self.data)])

    def write_ca(self) -> None:
        self.ca.write_text(run_command([str(self.binary), "cert", "ca", "--data", str(self.data)]))


class Prosody(Server):
    """Prosody from apt, as a control."""

    name = "prosody"
    # prosodyctl reads and writes account files without a lock, so two at once on one folder must not happen.
    accounts = threading.Lock()

    def prepare(self) -> None:
        self.data.mkdir()
        make_certificates(self.folder)
        self.config = self.folder / "prosody.cfg.lua"
        self.config.write_text(f'''
run_as_root = true
daemonize = false
pidfile = "{self.folder}/prosody.pid"
data_path = "{self.data}"
certificates = "{self.folder}"
interfaces = {{ "{ADDRESS}" }}
c2s_ports = {{ {self.c2s} }}
c2s_direct_tls_ports = {{ {self.c2s_tls} }}
component_ports = {{ {self.component} }}
c2s_require_encryption = true
-- Plain storage lets it offer SCRAM-SHA-1 and SCRAM-SHA-256 for the same account.
authentication = "internal_plain"
allow_registration = true
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "time", "version", "register", "offline", "adhoc", "admin_adhoc", "announce", "blocklist", "pep", "vcard_legacy", "bookmarks", "mam", "smacks", "carbons" }}
admins = {{ "root@{DOMAIN}" }}
modules_disabled = {{ "s2s" }}
ssl = {{ certificate = "{self.folder}/leaf.pem", key = "{self.folder}/leaf.key" }}
c2s_direct_tls_ssl = ssl
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
VirtualHost "{DOMAIN}"
Component "rooms.{DOMAIN}" "muc"
modules_enabled = {{ "muc_mam" }}
name = "Rooms"
Component "{COMPONENT}"
component_secret = "{COMPONENT_SECRET}"
''')

    def command(self) -> list[str]:
        return ["prosody", "-F", "--config", str(self.config)]

    def add_user(self, name: str, password: str) -> None:
        with self.accounts:
            run_command(["prosodyctl", "--config", str(self.config), "register", name, DOMAIN, password])

    def make_admin(self, name: str) -> None:
        if name != "root":
            raise ServerFailed(f"prosody's administrator is root, not {name}: its configuration says so before it starts")


def find_snug(repository: pathlib.Path) -> pathlib.Path:
    """The binary: $SNUG, else a release build not older than the sources, else a debug build made now by cargo."""
    if os.environ.get("SNUG"):
        binary = pathlib.Path(os.environ["SNUG"]).resolve()
        if not os.access(binary, os.X_OK):
            raise ServerFailed(f"SNUG={binary} is not a program; point it at a built snug")
        return binary
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", repository / "target"))
    sources = [*(repository / "src").rglob("*.rs"), repository / "Cargo.toml"]
    release = target / "release" / "snug"
    if release.exists() and release.stat().st_mtime >= max(path.stat().st_mtime for path in sources):
        return release
    print("building snug with cargo (set SNUG=path to use another binary)", flush=True)
    built = subprocess.run(["cargo", "build", "--bin", "snug"], cwd=repository)
    binary = target / "debug" / "snug"
    if built.returncode != 0 or not binary.exists():
        raise ServerFailed("cargo build --bin snug failed; its messages are above")
    return binary


def make_certificates(folder: pathlib.Path) -> None:
    """A CA (ca.pem) and a leaf for the domain (leaf.pem, leaf.key), strict enough for OpenSSL's X509_STRICT."""
    (folder / "leaf.ext").write_text(
        f"subjectAltName=DNS:{DOMAIN},DNS:localhost,IP:{ADDRESS}\nbasicConstraints=critical,CA:FALSE\n"
        "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run_command(
        [
            "openssl",
            "req",
            "-x509",
            *ec,
            "-days",
            "30",
            "-subj",
            "/CN=interop CA",
            "-addext",
            "keyUsage=critical,keyCertSign",
            "-keyout",
            f"{folder}/ca.key",
            "-out",
            f"{folder}/ca.pem",
        ]
    )
    run_command(["openssl", "req", *ec, "-subj", f"/CN={DOMAIN}", "-keyout", f"{folder}/leaf.key", "-out", f"{folder}/leaf.csr"])
    run_command(
        [
            "openssl",
            "x509",
            "-req",
            "-in",
            f"{folder}/leaf.csr",
            "-CA",
            f"{folder}/ca.pem",
            "-CAkey",
            f"{folder}/ca.key",
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            f"{folder}/leaf.ext",
            "-out",
            f"{folder}/leaf.pem",
        ]
    )


def run_command(arguments: list[str], text: str = "") -> str:
    """Runs a command of bounded time with `text` on its standard input; a failure carries what it said."""
    try:
        done = subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=COMMAND_SECONDS, env=server_environment())
    except FileNotFoundError:
        raise ServerFailed(f"{arguments[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise ServerFailed(f"`{' '.join(arguments)}` took more than {COMMAND_SECONDS} s") from None
    if done.returncode != 0:
        raise ServerFailed(f"`{' '.join(arguments)}` ended with {done.returncode}: {(done.stdout + done.stderr).strip()}")
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listened on a moment ago; all held open together so that they differ."""
    holders = [socket.create_server((ADDRESS, 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def first_words(port: int) -> str:
    """What the server says to a stream header on a plain connection, up to the end of its features."""
    with socket.create_connection((ADDRESS, port), 1) as connection:
        connection.settimeout(2)
        connection.sendall(
            f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
            "xmlns:stream='http://etherx.jabber.org/streams'>".encode()
        )
        said = b""
        while b"</stream:features>" not in said and len(said) < 10_000:
            more = connection.recv(4096)
            if not more:
                break
            said += more
        return said.decode(errors="replace")


def server_environment() -> dict[str, str]:
    """The environment without what would send a server's data or readiness somewhere else."""
    return {
        key: value
        for key, value in os.environ.items()
        if key not in ("STATE_DIRECTORY", "NOTIFY_SOCKET", "JOURNAL_STREAM", "WATCHDOG_USEC", "RUST_LOG")
    }


def remove(folder: pathlib.Path) -> None:
    """Removes a server's folder."""
    shutil.rmtree(folder, ignore_errors=True)
