"""The process in a sandbox: sets its own limits, waits for one job, does it, and is thrown away.

It is started by path before there is a job, so that a job need not wait for an interpreter. There
is no second job: whatever the code of the first one changed dies with the process.

Its argument is a JSON object of limits. It writes ``ready``, reads one line of JSON (the job) and
answers in lines, except for the job ``command``, where it becomes the program.
"""

# pyright: basic, reportMissingImports=false
# (the neighbours are found by path, because this package is not there inside)

import builtins
import io
import json
import os
import resource
import sys
import types

import plain_data

_MESSAGE_CHARS = 300


def main() -> None:
    """Become one sandboxed job."""
    del sys.path[0]  # by which this module and its neighbour were found
    limits = json.loads(sys.argv[1])
    _drop(limits["uid"])
    _limit(limits)
    os.write(1, b"ready\n")
    # The channel stands apart from the standard descriptors, and no program inherits it.
    reader = open(os.dup(0), "rb")  # noqa: SIM115
    line = reader.readline()
    if line:  # else the parent closed, or died
        job = json.loads(line)
        _JOBS[job["kind"]](job, reader)


def _drop(uid: int | None) -> None:
    """Take an unprivileged identity, if the sandbox was opened by the superuser.

    The kernel does not count the processes of the superuser, whatever number a user namespace
    shows, so only this makes the limit on processes hold.
    """
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _limit(limits: dict) -> None:
    megabyte = 1 << 20
    for which, soft, hard in (
        # The first limit ends a program by a signal that names the cause; the second one cannot
        # be ignored.
        (resource.RLIMIT_CPU, limits["cpu_s"], limits["cpu_s"] + 1),
        (resource.RLIMIT_AS, limits["memory_mb"] * megabyte, None),
        (resource.RLIMIT_NPROC, limits["n_processes"], None),
        (resource.RLIMIT_FSIZE, limits["file_mb"] * megabyte, None),
        (resource.RLIMIT_NOFILE, 128, None),
        (resource.RLIMIT_CORE, 0, None),
    ):
        ceiling = resource.getrlimit(which)[1]
        wanted = [soft, soft if hard is None else hard]
        if ceiling != resource.RLIM_INFINITY:
            wanted = [min(value, ceiling) for value in wanted]
        resource.setrlimit(which, (wanted[0], wanted[1]))


def _silence() -> int:
    """Lead the standard descriptors nowhere; the descriptor to answer on."""
    sink = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    return sink


def _write(sink: int, line: bytes) -> None:
    view = memoryview(line + b"\n")
    while view:
        view = view[os.write(sink, view) :]


def _describe(error: BaseException) -> list[str]:
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


def _define(*sources: str) -> types.ModuleType:
    """A module called ``solution`` after these texts were executed in it."""
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    for source in sources:
        exec(compile(source, "<solution>", "exec", dont_inherit=True), module.__dict__)
    return module


def _line_of(error: BaseException) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    at, line = error.__traceback__, None
    while at is not None:
        if at.tb_frame.f_code.co_filename == "<solution>":
            line = at.tb_lineno
        at = at.tb_next
    return line


# --- the solution: answers calls with plain data --------------------------------------------------


def _solution(job: dict, reader: io.BufferedReader) -> None:
    sink = _silence()
    try:
        module = _define(job["prelude"], job["code"])
        loaded = {"names": [n for n, v in module.__dict__.items() if callable(v)][:1000]}
    except BaseException as error:
        _write(sink, json.dumps({"raise": _describe(error), "line": _line_of(error)}).encode())
        return
    _write(sink, json.dumps(loaded).encode())
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
            answer = plain_data.dump({"raise": _describe(error)})
        _write(sink, answer)


def _pass_over(_iterator) -> int:
    return 0


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


# --- the tests: hold a proxy of the solution ------------------------------------------------------


def _tests(job: dict, reader: io.BufferedReader) -> None:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import test_driver

    del sys.path[0]
    sink = _silence()

    def ask(told: str, frame: bytes) -> bytes:
        if len(frame) > plain_data.MAX_FRAME_BYTES:
            raise OverflowError(f"the arguments take {len(frame)} bytes")
        _write(sink, json.dumps(told).encode() + b"\t" + frame)
        return reader.readline()

    state, reason = test_driver.run(job, ask)
    # JSON has no bare tab, so a line without one is the verdict.
    _write(sink, json.dumps({"state": state, "reason": reason}).encode())
    os._exit(0)  # the tests' own exit handlers and threads have no say


# --- values of expressions ------------------------------------------------------------------------


def _evaluate(job: dict, reader: io.BufferedReader) -> None:
    sink = _silence()

    def tell(idx: int, **reply) -> None:
        _write(sink, json.dumps({"idx": idx, **reply}).encode())

    try:
        module = _define(job["code"])
    except BaseException as error:
        return tell(-1, error=": ".join(_describe(error)).rstrip(": "))
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
                kind, message = _describe(error)
                tell(idx, error=f"{kind}: {message}" if message else kind)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            tell(idx, exit=os.waitstatus_to_exitcode(status))
    os._exit(0)


# --- our own scripts and any program --------------------------------------------------------------


def _script(job: dict, reader: io.BufferedReader) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 2)
    sys.stdin = io.TextIOWrapper(io.BytesIO(json.dumps(job["request"]).encode()), "utf-8")
    sys.argv = [job["name"]]
    sys.path.extend(job["packages"])
    module = types.ModuleType("__main__")
    module.__file__ = job["name"]
    sys.modules["__main__"] = module
    exec(compile(job["source"], job["name"], "exec", dont_inherit=True), module.__dict__)


def _command(job: dict, reader: io.BufferedReader) -> None:
    import shutil
    import signal

    try:
        for name, text in {**job["files"], ".stdin": job["stdin"]}.items():
            folder = os.path.dirname(name)
            if folder:
                os.makedirs(folder, exist_ok=True)
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
        entrance = os.open(".stdin", os.O_RDONLY)
        os.unlink(".stdin")
    except OSError as error:
        return _write(1, json.dumps({"refused": f"{error.filename or name}: {error}"}).encode())
    program = shutil.which(job["argv"][0])
    if program is None:
        return _write(1, json.dumps({"missing": job["argv"][0]}).encode())
    _write(1, b"{}")
    os.dup2(entrance, 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python's own setting would be inherited
    try:
        os.execv(program, job["argv"])
    except OSError as error:
        sys.exit(f"{program}: {error.strerror}")


_JOBS = {
    "solution": _solution,
    "tests": _tests,
    "evaluate": _evaluate,
    "script": _script,
    "command": _command,
}
