"""Passwords and keys of the people who use the server, in ``credentials.json`` of its home.

The file is written before the server starts, and the server's database is made to agree with it,
so a start that was interrupted leaves nobody with a login that nobody knows. Whoever may read the
file is the owner of the server; its mode is 0600.
"""

import json
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

from datagen.errors import ReviewError

OWNER: Final = "owner"
"""Name of the user who makes datasets and reads all responses."""

_FILE: Final = "credentials.json"
_NAME: Final = re.compile(r"[\w.@+-]+")

Role = Literal["owner", "annotator"]


@dataclass(frozen=True, slots=True)
class User:
    """One login: name and password for the page, key for programs."""

    username: str
    role: Role
    password: str = field(repr=False)
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everybody's, in the order in which they were added; the owner first."""

    secret_key: str = field(repr=False)
    """Signs the page's sessions, which so outlive a restart."""
    users: tuple[User, ...]

    @property
    def owner(self) -> User:
        """The one who makes datasets and reads all responses."""
        return self.users[0]

    @property
    def annotators(self) -> dict[str, User]:
        """Those who review, by name."""
        return {user.username: user for user in self.users[1:]}


def credentials_file(home: Path) -> Path:
    """Where those of a home are."""
    return home / _FILE


def read_credentials(home: Path) -> Credentials | None:
    """Those of a home; ``None`` if it has none yet.

    Raises:
        ReviewError: if the file cannot be read.
    """
    path = credentials_file(home)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReviewError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    try:
        content = json.loads(text)
        return Credentials(content["secret_key"], tuple(User(**user) for user in content["users"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ReviewError(
            f"{str(path)!r} is damaged ({error}); delete it, and the next start gives everybody "
            "new passwords and keys"
        ) from error


def add_annotators(home: Path, names: Iterable[str]) -> tuple[Credentials, tuple[User, ...]]:
    """Credentials of a home with these annotators among them, and who of them is new.

    Whoever is there already keeps password and key. The file is written if anything changes.

    Raises:
        ReviewError: if a name cannot be a username, or the file cannot be read or written.
    """
    before = read_credentials(home)
    credentials = before or Credentials(secrets.token_urlsafe(32), (_new(OWNER, "owner"),))
    known = {user.username for user in credentials.users}
    added: list[User] = []
    for name in dict.fromkeys(names):
        if not _NAME.fullmatch(name):
            raise ReviewError(
                f"{name!r} cannot be a username; take letters, digits and the signs . _ @ + -"
            )
        if name == OWNER:
            raise ReviewError(f"{name!r} is there in any case; name annotators only")
        if name not in known:
            added.append(_new(name, "annotator"))
    after = Credentials(credentials.secret_key, (*credentials.users, *added))
    if after != before:
        _write(home, after)
    return after, tuple(added) if before else after.users


def _new(name: str, role: Role) -> User:
    return User(name, role, secrets.token_urlsafe(12), secrets.token_urlsafe(32))


def _write(home: Path, credentials: Credentials) -> None:
    path = credentials_file(home)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    # Never readable by others, not even while it is written.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(credentials), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
