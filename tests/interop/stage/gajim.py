"""Gajim on the desktop (see desktop.py)."""

import json
import shutil

from stage.desktop import Desktop, answer

# It will not run as root. Here root is nobody outside of its namespaces, and has only what the scenario made.
NOT_AS_ROOT = "import os; os.geteuid = lambda: 1; from gajim.gajim import main; main()"


class Gajim(Desktop):
    """Gajim 1.7: its settings are JSON in a database, the password too if it shall not ask a keyring."""

    ACCOUNTS = "config/gajim/settings.sqlite"
    DATABASE = "data/gajim/logs.db"

    def command(self):
        return ["/usr/bin/python3", "-c", NOT_AS_ROOT, "--verbose", "--loglevel", "nbxmpp=DEBUG"]

    def is_made(self):
        return bool(answer(self.accounts, "SELECT name FROM settings WHERE name = 'workspaces'"))

    def set_up(self, database):
        # Its first end came without warning: its other databases may be half made.
        shutil.rmtree(self.home / "data" / "gajim", ignore_errors=True)
        shutil.rmtree(self.home / "cache" / "gajim", ignore_errors=True)
        (settings,) = database.execute("SELECT settings FROM settings WHERE name = 'app'").fetchone()
        settings = json.loads(settings) | {"use_keyring": False, "check_for_update": False, "ask_online_status": False}
        database.execute("UPDATE settings SET settings = ? WHERE name = 'app'", (json.dumps(settings),))
        account = {
            "account_label": self.name.title(),
            "name": self.name,
            "hostname": self.stage.domain,
            "password": self.password,
            "savepass": True,
            "active": True,
            "autoconnect": True,
            "resource": "gajim",
        }
        row = (self.name, json.dumps({"account": account, "contact": {}, "group_chat": {}}))
        database.execute("INSERT INTO account_settings (account, settings) VALUES (?, ?)", row)

    def avatar(self, digest: str) -> bytes | None:
        """The picture that it keeps under this hash."""
        file = self.home / "cache" / "gajim" / "avatars" / digest
        return file.read_bytes() if file.exists() else None
