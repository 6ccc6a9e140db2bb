"""The solution as the tests see it: functions that send their arguments to another sandbox."""

# pyright: basic

import builtins
import os
import reprlib

from . import plain_data


class UnsendableError(Exception):
    """A test passes something that is not plain data: the test's fault, not the solution's."""


_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 8


def shown(value) -> str:
    """A short ``repr`` in one line, of anything."""
    try:
        return " ".join(_short.repr(value).split())
    except Exception:  # an integer of too many digits, say
        return f"<{type(value).__name__}>"


class Solution:
    """The other side: makes proxies, and remembers the last call for a reason."""

    def __init__(self, ask) -> None:
        """Talk through ``ask(what is asked in words, frame) -> frame``."""
        self._ask = ask
        self.last = ("", None)
        self.n_raised = 0
        self.raised: BaseException | None = None

    def proxy(self, name: str):
        """A function that calls the solution's function of this name."""

        def call(*args, **kwargs):
            told = [shown(value) for value in args]
            told += [f"{key}={shown(value)}" for key, value in kwargs.items()]
            text = f"{name}({', '.join(told)})"
            reply = self._reply(text, [name, list(args), kwargs])
            passed = [*args, *kwargs.values()]
            for idx, now in (reply.get("changed") or {}).items():
                plain_data.overwrite(passed[idx], now)
            value = passed[reply["is_argument"]] if "is_argument" in reply else reply["value"]
            self.last = (text, value)
            return value

        call.__name__ = call.__qualname__ = name
        return call

    def _reply(self, text: str, request: list):
        try:
            frame = plain_data.dump(["call", *request] if request[0] != "next" else request)
        except (plain_data.NotPlainError, RecursionError) as error:
            raise UnsendableError(f"{text}: the argument cannot be sent: {error}") from None
        line = self._ask(text, frame)
        if not line:
            os._exit(1)  # the parent has ended the run
        self.last = (text, None)
        try:
            reply: dict = plain_data.load(line, fetch=self._iterator)  # type: ignore
            if "raise" not in reply:
                return reply
            kind, message = reply["raise"]
            kind, message = str(kind), str(message)
        except (ValueError, TypeError):
            kind, message = "RuntimeError", "the reply of the solution cannot be read"
        cls = getattr(builtins, kind, None)
        if not (isinstance(cls, type) and issubclass(cls, BaseException)):
            cls, message = RuntimeError, f"{kind}: {message}"
        self.n_raised += cls is not StopIteration
        try:
            self.raised = cls(message)
        except TypeError:  # UnicodeDecodeError and its like take five arguments
            self.raised = (ValueError if issubclass(cls, ValueError) else RuntimeError)(message)
        raise self.raised

    def _iterator(self, number: int):
        while True:
            try:
                reply = self._reply("next(…)", ["next", number])
            except StopIteration:
                return
            yield reply.get("value")
