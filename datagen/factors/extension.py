"""A taxonomy of the user's own: a TOML file that adds factors to the built-in ones or drops some.

It is named by an environment variable and read once, while the enum is made, because a process
that has begun with one action space must not go on with another. Whatever starts a process of a run
(Dagster, Ray on each node) must therefore set the variable; an absolute path means the same file to
all of them.
"""

import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from datagen.errors import ConfigError

VARIABLE: Final = "DATAGEN_TAXONOMY"
"""Environment variable that names the file."""

_NAME: Final = re.compile(r"[A-Za-z]{3,40}")
_TAKEN: Final = frozenset({"think", "formalize", "hypothesize", "finalanswer"})
"""Names that the readers of models' replies understand as something else, in lower case."""

_KEYS: Final = frozenset({"version", "use", "factor"})
_TEXTS: Final = ("definition", "example", "counter_example", "counter_factor")
_FACTOR_KEYS: Final = frozenset({"name", "maps_to", *_TEXTS})


@dataclass(frozen=True, slots=True)
class OwnFactor:
    """A factor that the file adds.

    Attributes:
        name: used in markup.
        definition: one line.
        example: a step that performs it.
        counter_example: a step that looks like it and performs ``counter_factor``.
        counter_factor: see there.
        maps_to: published taxonomy → label, where there is a counterpart.
    """

    name: str
    definition: str
    example: str
    counter_example: str
    counter_factor: str
    maps_to: Mapping[str, str]

    @property
    def member(self) -> str:
        """Name of its member of the enum: ``DRAW_FIGURE`` for ``DrawFigure``."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name).upper()


@dataclass(frozen=True, slots=True)
class Extension:
    """What the file says.

    Attributes:
        version: of the whole taxonomy, the built-in factors included.
        use: names of the built-in factors that stay legal; ``None`` for all.
        factors: own factors, in order.
    """

    version: str
    use: frozenset[str] | None
    factors: tuple[OwnFactor, ...]


def extension_in_force(
    *,
    known: Collection[str],
    version: str,
    labels: Mapping[str, Sequence[str]],
    env: Mapping[str, str] = os.environ,
) -> Extension | None:
    """Read the file that the environment names; ``None`` if it names none.

    Args:
        known: names of the built-in factors.
        version: of the built-in taxonomy.
        labels: published taxonomy → its labels.
        env: environment variables.

    Raises:
        ConfigError: if the file cannot be read, or anything in it is not as it should be.
    """
    path = env.get(VARIABLE)
    return _Reader(Path(path), known, labels).read(version) if path else None


class _Reader:
    """Reads one file; every complaint names the file, the value and the fix."""

    def __init__(
        self, path: Path, known: Collection[str], labels: Mapping[str, Sequence[str]]
    ) -> None:
        self._path = path
        self._known = known
        self._labels = labels

    def read(self, built_in: str) -> Extension:
        content = self._content()
        self._only(content, _KEYS, "the file")
        version = self._text(content, "version", "the file")
        if version == built_in or not version.isprintable():
            self._refuse(
                f"version={version!r} is that of the built-in taxonomy or cannot be printed; "
                'choose one of your own, such as "mylab-1"'
            )
        use: object = content.get("use")
        if use is not None:
            if not self._is_list(use, str):
                self._refuse(f'use={use!r} is not a list of names, such as ["Plan", "Compute"]')
            for name in cast(list[str], use):
                if name not in self._known:
                    self._refuse(
                        f"use names the unknown factor {name!r}; it chooses among the built-in "
                        f"ones: {', '.join(self._known)}"
                    )
        tables: object = content.get("factor", [])
        if not self._is_list(tables, dict):
            self._refuse(f"factor={tables!r} is not a list of tables; begin each by [[factor]]")
        factors = [self._factor(table) for table in cast(list[dict[str, Any]], tables)]
        self._no_clashes(factors)
        return Extension(
            version,
            None if use is None else frozenset(cast(list[str], use)),
            tuple(factors),
        )

    def _content(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._path.read_text(encoding="utf-8"))
        except OSError as error:
            reason = error.strerror or error
            self._refuse(f"cannot be read: {reason}. Give an absolute path, or unset {VARIABLE}")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            self._refuse(f"is not valid TOML: {error}")

    def _factor(self, table: dict[str, Any]) -> OwnFactor:
        name = self._text(table, "name", "a factor")
        if not _NAME.fullmatch(name):
            self._refuse(
                f"the factor name {name!r} would not survive as a tag; "
                "use 3 to 40 letters from A to Z and a to z, such as 'DrawFigure'"
            )
        where = f"the factor {name!r}"
        self._only(table, _FACTOR_KEYS, where)
        texts = {key: self._text(table, key, where) for key in _TEXTS}
        if "\n" in texts["definition"]:
            self._refuse(f"the definition of {where} spans several lines; say it in one")
        maps_to: object = table.get("maps_to", {})
        if not isinstance(maps_to, dict):
            self._refuse(f"maps_to={maps_to!r} of {where} is no table; write [factor.maps_to]")
        for taxonomy, label in cast(dict[str, object], maps_to).items():
            if taxonomy not in self._labels:
                self._refuse(
                    f"{where} maps to the unknown taxonomy {taxonomy!r}; "
                    f"use one of {', '.join(self._labels)}"
                )
            if label not in self._labels[taxonomy]:
                self._refuse(
                    f"{where} maps to {label!r}, which is no label of {taxonomy}; "
                    f"use one of {', '.join(self._labels[taxonomy])}"
                )
        return OwnFactor(name, **texts, maps_to=cast(dict[str, str], maps_to))

    def _no_clashes(self, factors: Sequence[OwnFactor]) -> None:
        """Tags are read without regard to case."""
        taken = {name.lower() for name in self._known} | _TAKEN
        for factor in factors:
            if factor.name.lower() in taken:
                self._refuse(
                    f"the factor name {factor.name!r} is taken, be it in other letter case; "
                    "choose another"
                )
            taken.add(factor.name.lower())
        names = {*self._known, *(factor.name for factor in factors)}
        for factor in factors:
            if factor.counter_factor not in names or factor.counter_factor == factor.name:
                self._refuse(
                    f"counter_factor={factor.counter_factor!r} of the factor {factor.name!r} must "
                    "name another factor, built in or of this file"
                )

    def _text(self, table: Mapping[str, object], key: str, where: str) -> str:
        text = table.get(key)
        if not isinstance(text, str) or not text.strip():
            self._refuse(f"{where} has {key}={text!r}; add {key} as a text that is not empty")
        return text.strip()

    def _only(self, table: Mapping[str, object], keys: Collection[str], where: str) -> None:
        for key in table:
            if key not in keys:
                self._refuse(f"{where} has the unknown key {key!r}; use {', '.join(sorted(keys))}")

    @staticmethod
    def _is_list(value: object, item: type) -> bool:
        return isinstance(value, list) and all(
            isinstance(entry, item) for entry in cast(list[object], value)
        )

    def _refuse(self, complaint: str) -> NoReturn:
        raise ConfigError(f"{VARIABLE}={str(self._path)!r}: {complaint}")
