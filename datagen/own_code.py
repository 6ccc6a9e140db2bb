"""Code of the user's own, named in the settings as ``"module:name"``: engines, verifiers, exports.

It is imported, and not read from a file, because every process of a run must find the same: a
worker on another machine, a step that Dagster starts. The name travels with the settings; that it
can be imported there is up to whoever starts the process (an installed package, or ``PYTHONPATH``).
Data never names code, or a row from the Hub could run anything.
"""

import inspect
from functools import reduce
from importlib import import_module
from typing import Any

from datagen.errors import ConfigError

_MAX_NAMES = 12


def load_own(setting: str, reference: str, *, of: type | None = None) -> Any:
    """Import what a setting names.

    Args:
        setting: name of the setting, for errors.
        reference: ``"package.module:name"``.
        of: the type that it must have.

    Raises:
        ConfigError: if it cannot be imported, is not there, or is of another type.
    """
    where = f"{setting}={reference!r}"
    module, _, name = reference.partition(":")
    try:
        found = import_module(module)
    except Exception as error:  # whatever the user's own module raises
        raise ConfigError(f"{where}: {_why_not(module, error)}") from error
    try:
        value = reduce(getattr, name.split("."), found)
    except AttributeError:
        names = [known for known in vars(found) if not known.startswith("_")][:_MAX_NAMES]
        raise ConfigError(
            f"{where}: the module {module!r} has no {name!r}; it has {', '.join(names) or 'none'}"
        ) from None
    if of is not None and not isinstance(value, of):
        raise ConfigError(
            f"{where} is of type {type(value).__name__!r}; name one of type "
            f"{of.__module__}.{of.__qualname__}"
        )
    return value


def load_own_function(setting: str, reference: str, *arguments: str) -> Any:
    """Import a function, or anything else that can be called, that a setting names.

    Args:
        setting: name of the setting, for errors.
        reference: ``"package.module:name"``.
        arguments: what it will be called with, by position; the words are for errors.

    Raises:
        ConfigError: as :func:`load_own`, and if it cannot be called so.
    """
    function = load_own(setting, reference)
    call = f"{reference.partition(':')[2]}({', '.join(arguments)})"
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise ConfigError(
            f"{setting}={reference!r} cannot be called as {call}: {error}; give it that signature"
        ) from error
    except ValueError:  # one that is written in C need not tell
        pass
    return function


def _why_not(module: str, error: Exception) -> str:
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        what = " ".join(str(error).split())
        return f"importing {module!r} fails with {type(error).__name__}: {what}"
    if module == error.name or module.startswith(f"{error.name}."):
        return (
            f"there is no module {error.name!r}; install its package, or put the folder of its "
            "file on PYTHONPATH, for every process of the run"
        )
    return f"{module!r} imports {error.name!r}, which is not there; install that as well"
