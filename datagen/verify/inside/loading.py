"""Executes the text of a solution, and describes what it raises by built-in types alone."""

# pyright: basic

import builtins
import sys
import types

_MESSAGE_CHARS = 300
_SOURCE = "<solution>"


def define(*sources: str) -> types.ModuleType:
    """A module called ``solution`` after these texts were executed in it."""
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    for source in sources:
        exec(compile(source, _SOURCE, "exec", dont_inherit=True), module.__dict__)
    return module


def describe(error: BaseException) -> list[str]:
    """The nearest built-in type of an exception, and its message."""
    kind = "RuntimeError"
    for cls in type(error).__mro__:
        if cls is getattr(builtins, cls.__name__, None):
            if cls is type(error) or cls not in (Exception, BaseException):
                kind = cls.__name__
            break
    try:
        message = str(error)[:_MESSAGE_CHARS]
    except BaseException:
        message = ""
    if kind == "RuntimeError" and type(error) is not RuntimeError:
        message = f"{type(error).__name__}: {message}"
    return [kind, message]


def line_of(error: BaseException) -> int | None:
    """The solution's line at which it was raised."""
    if isinstance(error, SyntaxError):
        return error.lineno
    at, line = error.__traceback__, None
    while at is not None:
        if at.tb_frame.f_code.co_filename == _SOURCE:
            line = at.tb_lineno
        at = at.tb_next
    return line
