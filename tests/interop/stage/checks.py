"""What a Python scenario and the harness say to each other: checks that print a line, requests over the control socket, skipping."""

import json
import os
import socket


class Failure(Exception):
    """A check that did not hold; the text is `what: expected …; came …`."""


class Skip(Exception):
    """The control server cannot do what this scenario is about. Against snug the harness counts it as a failure."""


class Checks:
    """The part of a stage that every Python player shares."""

    def __init__(self):
        told = json.loads(os.environ["INTEROP_STAGE"])
        self.domain: str = told["domain"]
        self.address: str = told["address"]
        self.c2s: int = told["c2s"]
        self.c2s_tls: int = told["c2s_tls"]
        # Host, port and secret of the component that the server knows.
        self.component: tuple[str, int, str] = tuple(told["component"])
        self.ca: str = told["ca"]
        self.server: str = told["server"]
        self.output: str = told["output"]
        self.control_path: str = told["control"]

    def equal(self, what: str, expected, came) -> None:
        """Fails unless both are equal."""
        if expected != came:
            raise Failure(f"{what}: expected {shown(expected)}; came {shown(came)}")
        print(f"ok {what}: {shown(came)}")

    def true(self, what: str, holds: bool, came="") -> None:
        """Fails unless `holds`; `came` is what was looked at."""
        if not holds:
            raise Failure(f"expected {what}; came {shown(came)}")
        print(f"ok {what}")

    def ask(self, request: dict) -> None:
        """Asks the harness about the server: add (user, password), admin (user), stop, kill, start. Blocks until done."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.control_path)
            with connection.makefile("rw") as lines:
                lines.write(json.dumps(request) + "\n")
                lines.flush()
                answer = json.loads(lines.readline() or '{"ok": false, "error": "the harness closed the connection"}')
        if not answer["ok"]:
            raise Failure(f"expected the harness to {request['do']}; came {answer['error']}")


def shown(value) -> str:
    """A value for people: one line of bounded length."""
    text = repr(value)
    return text if len(text) <= 700 else f"{text[:400]} … {text[-200:]} ({len(text)} characters)"


def verdict(error: BaseException | None) -> int:
    """Prints how the scenario ended, for the harness, and returns the exit code."""
    if error is None:
        return 0
    if isinstance(error, Skip):
        print(f"SKIP {error}")
        return 77
    text = str(error) if isinstance(error, Failure) else f"expected no exception; came {type(error).__name__}: {error}"
    print("FAIL " + " ".join(text.split()))
    return 1
