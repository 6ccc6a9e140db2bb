"""The job ``evaluate``: the values of expressions, each in a copy of the process."""

# pyright: basic

import io
import json
import os

from .loading import define, describe
from .wire import take_output, write


def evaluate(job: dict, reader: io.BufferedReader) -> None:
    """Tell that the code is loaded, or what it raised; then of each expression what it gave."""
    sink = take_output()

    def tell(idx: int, **reply) -> None:
        write(sink, json.dumps({"idx": idx, **reply}).encode())

    try:
        module = define(job["code"])
    except BaseException as error:
        return tell(-1, error=": ".join(describe(error)).rstrip(": "))
    tell(-1)
    for idx, expression in enumerate(job["calls"]):
        # In a copy of the process: a call sees what the code defined and no other call.
        try:
            child = os.fork()
        except OSError as error:
            tell(idx, error=f"the code left no process for the call ({error.strerror})")
            continue
        if child == 0:
            try:
                value = repr(eval(compile(expression, "<call>", "eval"), module.__dict__))
                if len(value) > job["max_chars"]:
                    tell(idx, error=f"the value is {len(value)} characters long")
                else:
                    tell(idx, value=value)
            except MemoryError:
                tell(idx, error="MemoryError")
            except BaseException as error:
                kind, message = describe(error)
                tell(idx, error=f"{kind}: {message}" if message else kind)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            tell(idx, exit=os.waitstatus_to_exitcode(status))
    os._exit(0)
