"""The jobs ``script`` and ``command``: this process becomes a script of ours, or any program."""

# pyright: basic

import io
import json
import os
import sys
import types

from .wire import silence, write


def run_script(job: dict, reader: io.BufferedReader) -> None:
    """Execute a script whose standard input is the request; it answers on standard output."""
    silence(0, 2)
    sys.stdin = io.TextIOWrapper(io.BytesIO(json.dumps(job["request"]).encode()), "utf-8")
    sys.argv = [job["name"]]
    sys.path.extend(job["packages"])
    module = types.ModuleType("__main__")
    module.__file__ = job["name"]
    sys.modules["__main__"] = module
    exec(compile(job["source"], job["name"], "exec", dont_inherit=True), module.__dict__)


def run_command(job: dict, reader: io.BufferedReader) -> None:
    """Tell in one line whether the program can be started, and become it."""
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
        return write(1, json.dumps({"refused": f"{error.filename or name}: {error}"}).encode())
    program = shutil.which(job["argv"][0])
    if program is None:
        return write(1, json.dumps({"missing": job["argv"][0]}).encode())
    write(1, b"{}")
    os.dup2(entrance, 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python's own setting would be inherited
    try:
        os.execv(program, job["argv"])
    except OSError as error:
        sys.exit(f"{program}: {error.strerror}")
