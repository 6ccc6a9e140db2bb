"""The job ``solution``: loads a solution and answers calls of its functions with plain data."""

# pyright: basic

import io
import json

from . import plain_data
from .loading import define, describe, line_of
from .wire import take_output, write


def answer_calls(job: dict, reader: io.BufferedReader) -> None:
    """Tell the names that the solution defines, or what it raised; then answer line by line."""
    sink = take_output()
    try:
        module = define(job["prelude"], job["code"])
        loaded = {"names": [n for n, v in module.__dict__.items() if callable(v)][:1000]}
    except BaseException as error:
        write(sink, json.dumps({"raise": describe(error), "line": line_of(error)}).encode())
        return
    write(sink, json.dumps(loaded).encode())
    iterators: list = []

    def keep(iterator) -> int:
        iterators.append(iterator)
        return len(iterators) - 1

    while line := reader.readline():
        try:
            answer = _answer(plain_data.load(line), module.__dict__, iterators, keep)
            if len(answer) > plain_data.MAX_FRAME_BYTES:
                answer = plain_data.dump(
                    {"raise": ["OverflowError", f"the result takes {len(answer)} bytes"]}
                )
        except MemoryError:
            answer = b'{"t":"dict","v":[["raise",["MemoryError",""]]]}'
        except BaseException as error:
            answer = plain_data.dump({"raise": describe(error)})
        write(sink, answer)


def _answer(request, namespace, iterators, keep) -> bytes:
    kind, *content = request
    if kind == "next":
        return plain_data.dump({"value": next(iterators[content[0]])}, keep=keep)
    name, args, kwargs = content
    passed = [*args, *kwargs.values()]
    before = [plain_data.dump(value, keep=_pass_over) for value in passed]
    value = namespace[name](*args, **kwargs)
    reply = {}
    for idx, (text, now) in enumerate(zip(before, passed, strict=True)):
        if now is value and isinstance(now, list | dict | set):
            reply["is_argument"] = idx
        if plain_data.dump(now, keep=_pass_over) != text:
            reply.setdefault("changed", {})[idx] = now
    reply["value"] = None if "is_argument" in reply else value
    return plain_data.dump(reply, keep=keep)


def _pass_over(_iterator) -> int:
    return 0
