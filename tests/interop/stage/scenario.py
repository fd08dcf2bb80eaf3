"""One scenario: a server of its own, a process that plays the file under a hard time limit, and the verdict.

The player reaches the harness over a Unix socket (one JSON line asks, one answers) to add accounts and to stop, start, restart or kill the
server. It prints a line for each check and ends with 0 (all held), SKIP_CODE (this control server cannot do it) or anything else.
"""

import dataclasses
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time
import traceback

from . import server as servers

SKIP_CODE = 77
LOG_TAIL_LINES = 25
SCENARIO_TAIL_LINES = 25
TERMINATE_SECONDS = 3
RUNNING: set[subprocess.Popen] = set()


@dataclasses.dataclass
class Result:
    """What became of a scenario: `outcome` is PASS, FAIL or SKIPPED; `text` says what was expected and what came."""

    name: str
    outcome: str
    text: str
    seconds: float = 0.0
    details: list[str] = dataclasses.field(default_factory=list)

    def line(self) -> str:
        """The one line for people."""
        if self.outcome == "SKIPPED":
            return f"SKIPPED: {self.name}: {self.text}"
        return f"{self.outcome} {self.name} ({self.seconds:.1f} s): {self.text}"


def play(client, path: pathlib.Path, server_class, output: pathlib.Path, keep: bool) -> Result:
    """Plays one scenario file from start to verdict; never raises for what the server or the scenario does."""
    name = f"{client.name}/{path.name}"
    out = output / client.name / path.stem
    servers.remove(out)
    out.mkdir(parents=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="interop-"))
    started = time.monotonic()
    server = None
    try:
        server = server_class(folder, out / "server.log")
        server.start()
        with Control(server, folder / "control") as control:
            outcome, text, said = watch(client, path, stage_of(server, control, out), out)
        trouble = server.died() or ends_badly(server)
        if trouble and outcome != "FAIL":
            outcome, text = "FAIL", f"expected a server that runs to the end and stops when asked; came: {trouble}"
    except servers.ServerFailed as error:
        outcome, text, said = "FAIL", f"expected a server to play against; came: {error}", []
    except Exception as error:  # one scenario's accident must not hide the others' results
        outcome, text, said = (
            "FAIL",
            f"expected the harness to work; came {type(error).__name__}: {error}",
            traceback.format_exc().splitlines(),
        )
    finally:
        if server is not None:
            server.kill()
    if outcome == "SKIPPED" and server_class is servers.Snug:
        outcome, text = "FAIL", f"expected snug to have what this needs; came: {text}"
    result = Result(name, outcome, text, time.monotonic() - started)
    if outcome == "FAIL":
        result.details = [f"  scenario: {line}" for line in said[-SCENARIO_TAIL_LINES:]]
        result.details += [f"  server:   {line}" for line in (server.log_tail(LOG_TAIL_LINES) if server else [])]
    if keep:
        result.details.append(f"  kept:     {folder} (server), {out} (logs and screens)")
    else:
        servers.remove(folder)
    return result


def stage_of(server, control, out: pathlib.Path) -> dict:
    """What a scenario process is told, as the JSON in $INTEROP_STAGE."""
    return {
        "domain": servers.DOMAIN,
        "address": servers.ADDRESS,
        "c2s": server.c2s,
        "c2s_tls": server.c2s_tls,
        "component": [servers.COMPONENT, server.component, servers.COMPONENT_SECRET],
        "ca": str(server.ca),
        "server": server.name,
        "control": str(control.path),
        "output": str(out),
    }


def watch(client, path: pathlib.Path, stage: dict, out: pathlib.Path) -> tuple[str, str, list[str]]:
    """Runs the player to its end or its limit; returns outcome, text and all that it printed."""
    environment = dict(
        os.environ,
        INTEROP_STAGE=json.dumps(stage),
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONUNBUFFERED="1",
        NODE_EXTRA_CA_CERTS=stage["ca"],
        LC_ALL="C.UTF-8",
    )
    log = out / "scenario.log"
    with open(log, "wb") as file:
        process = subprocess.Popen(
            client.command(path), stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, start_new_session=True
        )
        RUNNING.add(process)
        try:
            code = process.wait(client.limit_seconds)
        except subprocess.TimeoutExpired:
            code = None
        RUNNING.discard(process)
        end_group(process)
    said = log.read_text(errors="replace").splitlines()
    title = next((line[2:] for line in said if line.startswith("# ")), path.stem)
    checks = sum(line.startswith("ok ") for line in said)
    failed = next((line for line in reversed(said) if line.startswith("FAIL ")), None)
    if code == 0 and failed is None and checks > 0:
        return "PASS", f"{title} ({checks} checks, all came as expected)", said
    if code == SKIP_CODE:
        return "SKIPPED", next((line[5:] for line in reversed(said) if line.startswith("SKIP ")), "no reason given"), said
    if failed is not None:
        return "FAIL", failed[5:], said
    if code is None:
        last = next((line for line in reversed(said) if line.startswith("ok ")), "nothing")
        return "FAIL", f"expected an end within {client.limit_seconds} s; came none, the last check was: {last}", said
    return "FAIL", f"expected checks and exit code 0; came {checks} checks and code {code}: {said[-1] if said else 'no output'}", said


def abandon() -> None:
    """Ends every player that runs now: their scenarios fail, and `play` ends their servers and removes their folders."""
    for process in list(RUNNING):
        end_group(process)


def end_group(process: subprocess.Popen) -> None:
    """Ends what the player left behind in its process group: asks first, so that it can end what left the group (tmux)."""
    for sign in (signal.SIGTERM, signal.SIGKILL) if process.poll() is None else (signal.SIGKILL,):
        try:
            os.killpg(process.pid, sign)
            process.wait(TERMINATE_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def ends_badly(server) -> str:
    """Stops the server as an operator would and returns what is wrong with the way it ended."""
    try:
        code = server.stop()
    except servers.ServerFailed as error:
        return str(error)
    return "" if code == 0 else f"{server.name} ended SIGTERM with code {code}, expected 0"


class Control:
    """Serves the scenario's requests about its server until the scenario is over."""

    def __init__(self, server, path: pathlib.Path):
        self.server = server
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        # shutdown wakes accept(), close alone would not
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(servers.COMMAND_SECONDS)

    def serve(self) -> None:
        """One connection a request."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rw") as lines:
                line = lines.readline()
                try:
                    self.act(json.loads(line))
                    answer = {"ok": True}
                except (servers.ServerFailed, ValueError, KeyError) as error:
                    answer = {"ok": False, "error": str(error)}
                try:
                    lines.write(json.dumps(answer) + "\n")
                    lines.flush()
                except OSError:
                    pass  # the scenario ended meanwhile

    def act(self, request: dict) -> None:
        """Does what is asked for, or raises."""
        match request["do"]:
            case "add":
                self.server.add_user(request["user"], request["password"])
            case "admin":
                self.server.make_admin(request["user"])
            case "stop":
                code = self.server.stop()
                if code != 0:
                    raise servers.ServerFailed(f"{self.server.name} ended SIGTERM with code {code}, expected 0")
            case "kill":
                self.server.kill()
            case "start":
                self.server.start()
            case other:
                raise ValueError(f"no such request: {other}")
