"""Dino on the desktop (see desktop.py)."""

from stage.desktop import Desktop, answer


class Dino(Desktop):
    """Dino 0.4: it takes its account from its database, with the password in it."""

    ACCOUNTS = DATABASE = "data/dino/dino.db"

    def command(self):
        return ["dino-im", "--print-xmpp=all"]

    def is_made(self):
        return bool(answer(self.accounts, "SELECT name FROM sqlite_master WHERE name = 'settings'"))

    def set_up(self, database):
        database.execute(
            "INSERT INTO account (bare_jid, resourcepart, password, alias, enabled, roster_version, mam_earliest_synced)"
            " VALUES (?, 'dino', ?, ?, 1, '', 0)",
            (f"{self.name}@{self.stage.domain}", self.password, self.name.title()),
        )

    def avatar(self, digest: str) -> bytes | None:
        """The picture that it keeps under this hash."""
        file = self.home / "data" / "dino" / "avatars" / digest
        return file.read_bytes() if file.exists() else None
