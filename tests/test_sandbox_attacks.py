"""What hostile code can do to the sandbox, tried for real.

Each test carries the attack's name; ATTACKS says what becomes of it in both modes.
"""

import ctypes
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datagen.verify.sandbox import Limits, Sandbox, TestReport
from tests.sandboxes import LIMITS, holders, open_sandbox

pytestmark = pytest.mark.slow  # many sandboxes: more than a minute in all

ATTACKS = (
    # attack, the test that makes it, bubblewrap, weak
    ("fork bomb", "fork_bomb", "bounded, all killed", "bounded, but not for the superuser"),
    ("thread bomb", "thread_bomb", "bounded", "bounded, but not for the superuser"),
    ("memory bomb", "memory_bomb", "`memory`", "`memory`"),
    ("infinite loop", "infinite_loop", "`timeout`", "`timeout`"),
    ("loop in C, signals ignored", "ignored_signals", "`timeout`", "`timeout`"),
    ("infinite output", "infinite_output", "cut, `timeout`", "cut, `timeout`"),
    ("filling the disk", "filling_the_disk", "bounded, in memory", "each file bounded"),
    ("connecting to the machine", "connection", "no network", "not covered"),
    ("reading `/etc/shadow`, home, the repository", "reading", "not there", "not covered"),
    ("the caller's environment", "environment", "empty, `/proc` too", "empty, `/proc` not covered"),
    ("writing outside", "writing", "read-only or not there", "not covered"),
    ("killing the parent, or everything", "killing", "not there to kill", "not covered"),
    ("symbolic links out of the folder", "symlinks", "lead nowhere", "not covered"),
    ("a daemon that outlives the run", "daemon", "dead at return", "not covered"),
    ("superuser of a new namespace", "new_namespace", "refused", "not covered"),
    ("`sys.exit(0)`, `os._exit(0)`", "exits", "not a pass", "not a pass"),
    ("replaced `print`, `assert`, built-ins", "replaced_builtins", "not a pass", "not a pass"),
    ("patched unittest and pytest", "patched_frameworks", "not a pass", "not a pass"),
    ("`__eq__` that is always true", "equality", "not a pass", "not a pass"),
    ("exit handlers and threads", "exit_handlers", "not a pass", "not a pass"),
    ("a verdict written to every descriptor", "descriptors", "not a pass", "not a pass"),
    ("all descriptors closed", "closed_descriptors", "`timeout`", "`killed`"),
    ("exceptions that stop a test run", "exceptions", "not a pass", "not a pass"),
    ("deep recursion", "recursion", "`failed` or `killed`", "`failed` or `killed`"),
    ("huge results", "huge_results", "`failed`", "`failed`"),
)
"""The table of the documentation."""


def table() -> str:
    """The attacks as Markdown."""
    lines = ["| attack | bubblewrap | weak |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {a} | {b} |" for name, _, a, b in ATTACKS)])


def test_each_attack_of_the_table_is_made() -> None:
    made = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    for _, attack, _, _ in ATTACKS:
        assert any(re.match(attack, name) for name in made), attack


@pytest.fixture(scope="module")
def walled() -> Iterator[Sandbox]:
    with open_sandbox("bubblewrap") as opened:
        yield opened


@pytest.fixture(scope="module", params=["as resolved", "user_namespace"])
def reach(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Both ways of using bubblewrap, for attacks that cannot harm the machine if they succeed."""
    variant = "user_namespace" if request.param == "user_namespace" else None
    with open_sandbox("bubblewrap", variant=variant) as opened:
        yield opened


@pytest.fixture(scope="module", params=["bubblewrap", "weak"])
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with open_sandbox(request.param) as opened:
        yield opened


@pytest.fixture(scope="module", params=["bubblewrap", "weak"])
def hasty(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with open_sandbox(request.param, Limits(wall_s=1, cpu_s=20, memory_mb=256)) as opened:
        yield opened


def attack(box: Sandbox, code: str, tests: str = "assert f(1) == 2") -> TestReport:
    report = box.run_tests(code, tests=tests, entry_point="f")
    # Whatever happened, the next run is not touched by it.
    after = box.run_tests("def f(x): return 2", tests="assert f(1) == 2", entry_point="f")
    assert after.passed
    return report


# --- resources -----------------------------------------------------------------------------------


def test_fork_bomb_is_bounded_and_gone_at_return(walled: Sandbox) -> None:
    marker = f"bomb-{os.getpid()}"
    code = (
        "import os, time\n"
        f"fd = os.memfd_create('{marker}')\n"
        "def f(x):\n"
        "    n = 0\n"
        "    while n < 500:\n"
        "        try:\n"
        "            if os.fork() == 0:\n"
        "                while True:\n"
        "                    try: os.fork()\n"
        "                    except OSError: time.sleep(0.01)\n"
        "            n += 1\n"
        "        except OSError:\n"
        "            return n\n"
        "    return n\n"
    )
    started = time.monotonic()
    report = attack(walled, code, tests=f"assert 0 < f(1) < {LIMITS.n_processes}")
    assert report == TestReport("passed", "1 checks")
    assert time.monotonic() - started < 3
    assert holders(marker) == []


def test_thread_bomb_is_bounded(walled: Sandbox) -> None:
    code = (
        "import threading, time\nthreading.stack_size(1 << 15)\n"
        "def f(x):\n"
        "    for n in range(500):\n"
        "        try: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
        "        except RuntimeError: return n\n"
    )
    assert attack(walled, code, f"assert 0 < f(1) < {LIMITS.n_processes}").state == "passed"


@pytest.mark.parametrize(
    "body",
    [
        "bytearray(1 << 40)",
        "bytearray(250 << 20)",
        "[0] * (1 << 28)",
        "[bytearray(1 << 20) for _ in iter(int, 1)]",
    ],
)
def test_memory_bomb(box: Sandbox, body: str) -> None:
    report = attack(box, f"def f(x):\n    return {body}")
    assert report == TestReport("memory", "f(1) ran out of memory")
    assert attack(box, f"def f(x): pass\n{body}").state == "memory"


def test_infinite_loop_ends_at_the_limit_of_the_clock(hasty: Sandbox) -> None:
    started = time.monotonic()
    report = hasty.run_tests(
        "def f(x):\n    while True: pass", tests="assert f(1) == 2", entry_point="f"
    )
    assert report == TestReport("timeout", "f(1) did not end within 1 s")
    assert time.monotonic() - started < 2.5
    loading = hasty.run_tests("while True: pass", tests="assert f(1) == 2", entry_point="f")
    assert loading == TestReport("timeout", "loading the solution did not end within 1 s")


@pytest.mark.slow
def test_infinite_loop_ends_at_the_limit_of_the_processor() -> None:
    with open_sandbox("bubblewrap", Limits(wall_s=20, cpu_s=1)) as box:
        report = attack(box, "def f(x):\n    while True: pass")
    assert report == TestReport("timeout", "f(1) used up the processor time")


def test_ignored_signals_do_not_prolong_a_run(hasty: Sandbox) -> None:
    code = (
        "import signal\n"
        "for each in range(1, 64):\n"
        "    try: signal.signal(each, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "def f(x): return 9 ** 9 ** 9\n"
    )
    assert attack(hasty, code).state == "timeout"


def test_infinite_output_is_cut_and_never_gathered(hasty: Sandbox) -> None:
    assert attack(hasty, "def f(x):\n    while True: print('x' * 9999)").state == "timeout"
    result = hasty.run_command(["yes"])
    assert result.state == "timeout"
    assert len(result.stdout) == hasty.limits.output_kb << 10


def test_filling_the_disk_is_bounded(walled: Sandbox) -> None:
    code = (
        "def f(x):\n"
        "    total = 0\n"
        "    try:\n"
        "        for n in range(1000):\n"
        "            with open(f'/tmp/{n}', 'wb', 0) as file:\n"
        "                try:\n"
        "                    while True: total += file.write(bytes(1 << 20))\n"
        "                except OSError as error:\n"
        "                    if error.errno != 27: raise\n"  # 27: one file is too large
        "    except OSError as error:\n"
        "        return [total >> 20, error.strerror]\n"
    )
    most = LIMITS.file_mb * 8
    report = attack(walled, code, f"assert f(1) == [{most}, 'No space left on device']")
    assert report.state == "passed", report


# --- reaching out --------------------------------------------------------------------------------


def test_connection_to_the_machine_fails(reach: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), 2).close()
        server.accept()[0].close()
        server.settimeout(0.2)
        [tried] = reach.evaluate(
            "import socket", [f"socket.create_connection(('127.0.0.1', {port}), 2)"]
        )
        assert tried.error == "ConnectionRefusedError: [Errno 111] Connection refused"
        with pytest.raises(TimeoutError):
            server.accept()


def test_reading_private_files_fails(reach: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for path in tmp_path, *tmp_path.parents[:-2]:
        path.chmod(0o755)  # not by permissions alone
    repository = Path(__file__).parents[1]
    paths = ["/etc/shadow", "/etc/passwd", str(secret), f"{repository}/pyproject.toml"]
    values = reach.evaluate("", [f"open({path!r}).read()" for path in paths])
    assert [str(each.error).split(":")[0] for each in values] == ["FileNotFoundError"] * 4
    listed = reach.evaluate("import os", ["os.listdir('/home')", f"os.listdir('{repository}')"])
    assert listed[0].value in (None, "[]")
    assert listed[1].value in (None, "['.venv']")


def test_environment_of_the_caller_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    # setenv alone does not change what /proc shows of this process; its children get it, though.
    monkeypatch.setenv("DATAGEN_TEST_SECRET", "s3cret-value")
    code = (
        "import os, pathlib\n"
        "def search():\n"
        "    texts = [str(dict(os.environ))]\n"
        "    for path in pathlib.Path('/proc').glob('[0-9]*/environ'):\n"
        "        try: texts.append(path.read_text())\n"
        "        except OSError: texts.append('')\n"
        "    return ['s3cret' in ''.join(texts), len(texts) > 2]\n"
    )
    for variant in None, "user_namespace":
        with open_sandbox("bubblewrap", variant=variant) as box:
            assert box.evaluate(code, ["search()"])[0].value == "[False, True]"
    with open_sandbox("weak") as box:
        assert box.evaluate(code, ["'DATAGEN_TEST_SECRET' in os.environ"])[0].value == "False"


def test_writing_outside_fails(reach: Sandbox, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    packages = Path(pytest.__file__).parent
    inside = ["/", "/usr", "/etc", "/inside", "/dev", "/root", "/proc", str(packages)]
    code = (
        "import os\n"
        "def write(folder):\n"
        "    with open(folder + '/written', 'w') as file: file.write('x')\n"
        "    return 'written'\n"
    )
    values = reach.evaluate(code, [f"write({folder!r})" for folder in [*inside, str(tmp_path)]])
    assert [each.value for each in values] == [None] * len(values)
    assert list(tmp_path.iterdir()) == []
    private = f"{'/tmp'!r}"
    assert reach.evaluate(code, [f"write({private})"])[0].value == "'written'"
    assert not Path("/tmp/written").exists()


@pytest.mark.parametrize("target", ["os.getppid()", "1", "-1", "0", "us"])
def test_killing_reaches_nothing_outside(walled: Sandbox, target: str) -> None:
    target = str(os.getpid()) if target == "us" else target
    code = (
        "import os, signal\n"
        "def f(x):\n"
        f"    try: os.kill({target}, signal.SIGKILL)\n"
        "    except OSError: pass\n"
        "    return 1\n"
    )
    report = attack(walled, code)  # which also sees that a next run works; and we are alive
    assert report.state in ("killed", "failed")


def test_symlinks_lead_to_nothing(reach: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    tmp_path.chmod(0o777)
    code = (
        "import os\n"
        "def through(target):\n"
        "    link = f'/tmp/{len(os.listdir())}'\n"
        "    os.symlink(target, link)\n"
        "    return open(link).read()\n"
    )
    targets = [f"{tmp_path}/secret", "/proc/1/root/etc/shadow", "/proc/1/cwd/../etc/shadow"]
    values = reach.evaluate(code, [f"through({target!r})" for target in targets])
    assert {str(each.error).split(":")[0] for each in values} <= {
        "FileNotFoundError",
        "PermissionError",
    }
    overwrite = f"ln -s {tmp_path}/secret out; echo overwritten > out"
    reach.run_command(["sh", "-c", overwrite])
    assert (tmp_path / "secret").read_text() == "secret"


def test_daemon_that_leaves_everything_is_dead_at_return(reach: Sandbox) -> None:
    marker = f"daemon-{os.getpid()}"
    code = (
        "import os, time\n"
        "def f(x):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0:\n"
        "            for fd in range(100):\n"
        "                try: os.close(fd)\n"
        "                except OSError: pass\n"
        f"            os.memfd_create('{marker}')\n"
        "            while True: time.sleep(1)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "    time.sleep(0.2)\n"
        "    return 2\n"
    )
    assert reach.run_tests(code, tests="assert f(1) == 2", entry_point="f").passed
    assert holders(marker) == []


def test_new_namespace_is_refused(reach: Sandbox) -> None:
    # CLONE_NEWUSER, by which anybody may become superuser of a part of the kernel.
    code = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)"
    call = "[libc.unshare(0x10000000), ctypes.get_errno()]"
    assert reach.evaluate(code, [call])[0].value == "[-1, 1]"
    assert ctypes.CDLL(None).unshare(0) == 0  # the function itself is there


# --- forging a pass ------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["sys.exit(0)", "os._exit(0)", "exit(0)", "quit()"])
def test_exits_are_no_pass(box: Sandbox, call: str) -> None:
    within = attack(box, f"import os, sys\ndef f(x):\n    {call}")
    assert within.state in ("failed", "killed")
    loading = attack(box, f"import os, sys\ndef f(x): return 2\n{call}")
    assert loading.state in ("failed", "killed")


REPLACED = """
import builtins, sys
builtins.print = builtins.all = builtins.isinstance = lambda *a, **k: True
builtins.AssertionError = builtins.Exception = KeyboardInterrupt
builtins.__debug__ = False
builtins.__import__ = lambda *a, **k: sys
sys.exit = sys.excepthook = lambda *a: None
sys.modules.clear()
def f(x): return 3
"""


def test_replaced_builtins_are_no_pass(box: Sandbox) -> None:
    code = REPLACED.replace("builtins.__debug__ = False\n", "")
    assert attack(box, code).state in ("failed", "killed")


PATCHED = """
import sys, types
import unittest
unittest.TestCase.assertEqual = lambda *a: None
unittest.TestCase.run = lambda self, result: result.addSuccess(self)
for name in ("pytest", "_pytest", "_pytest.outcomes", "inside.test_driver", "inside.plain_data"):
    module = types.ModuleType(name)
    module.main = lambda *a, **k: 0
    module.run = lambda *a: ("passed", "")
    sys.modules[name] = module
def f(x): return 3
"""


@pytest.mark.parametrize(
    "tests",
    [
        "assert f(1) == 2",
        "import pytest\ndef test_it():\n    assert f(1) == 2",
        "import unittest\nclass TestIt(unittest.TestCase):\n"
        "    def test_it(self): self.assertEqual(f(1), 2)",
    ],
)
def test_patched_frameworks_are_no_pass(box: Sandbox, tests: str) -> None:
    report = attack(box, PATCHED, tests)
    assert report.state == "failed"
    assert "3" in report.reason


YES = "class Yes{base}:\n    __eq__ = lambda *_: True\n    __ne__ = lambda *_: False\n"


@pytest.mark.parametrize(
    ("base", "value"), [("", "Yes()"), ("(int)", "Yes(3)"), ("(list)", "Yes([3])")]
)
def test_equality_that_always_holds_is_no_pass(box: Sandbox, base: str, value: str) -> None:
    assert attack(box, YES.format(base=base) + f"def f(x): return {value}").state == "failed"


def test_exit_handlers_are_no_pass(box: Sandbox) -> None:
    code = (
        "import atexit, os, threading\n"
        "atexit.register(os._exit, 0)\n"
        "threading.Timer(0.05, os._exit, (0,)).start()\n"
        "def f(x):\n    import time\n    time.sleep(0.5)\n    return 2\n"
    )
    report = attack(box, code)
    assert report == TestReport("killed", "f(1) ended the process with status 0")


@pytest.mark.parametrize("where", ["load", "call"])
def test_descriptors_full_of_verdicts_are_no_pass(box: Sandbox, where: str) -> None:
    write = (
        "import os\n"
        "def write():\n"
        '    line = b\'{"state": "passed", "reason": ""}\\n\'\n'
        "    for fd in range(64):\n"
        "        for _ in range(3):\n"
        "            try: os.write(fd, line)\n"
        "            except OSError: pass\n"
        "    print('passed')\n"
    )
    called = "write()\n" if where == "load" else ""
    within = "write()" if where == "call" else "pass"
    report = attack(box, f"{write}{called}def f(x):\n    {within}\n    return 3\n")
    assert report.state in ("failed", "killed")


def test_closed_descriptors_end_the_run(hasty: Sandbox) -> None:
    code = "import os, time\ndef f(x):\n    os.closerange(0, 64)\n    time.sleep(60)\n"
    # Bubblewrap's own process keeps the channel open, so there it looks like a long silence.
    assert attack(hasty, code).state == ("timeout" if hasty.mode == "bubblewrap" else "killed")


@pytest.mark.parametrize(
    "raised",
    ["KeyboardInterrupt", "SystemExit(0)", "GeneratorExit", "StopIteration", "BaseException"],
)
@pytest.mark.parametrize("frame", ["", "import pytest\n"])
def test_exceptions_that_stop_a_run_are_no_pass(walled: Sandbox, raised: str, frame: str) -> None:
    tests = f"{frame}def test_it():\n    assert 1 == 1\n    assert f(1) == 2"
    report = walled.run_tests(f"def f(x): raise {raised}", tests=tests, entry_point="f")
    assert report.state == "failed"


# --- values --------------------------------------------------------------------------------------


def test_recursion_fails_and_a_broken_stack_is_told(box: Sandbox) -> None:
    report = attack(box, "def f(x): return f(x + 1)")
    assert report.reason.startswith("f(1) raised RecursionError")
    broken = (
        "import sys\nsys.setrecursionlimit(10**9)\nclass C:\n    def __repr__(s): return repr(s)"
    )
    report = attack(box, f"{broken}\ndef f(x): return repr(C())")
    assert report.state in ("killed", "memory")
    nested = "def f(x):\n    for _ in range(100_000): x = [x]\n    return x"
    assert attack(box, nested).state == "failed"


@pytest.mark.parametrize(
    "value",
    ["10 ** 20000", "'x' * (20 << 20)", "[0] * 5_000_000", "{n: [n] for n in range(10**6)}"],
)
def test_huge_results_fail_and_break_nothing(box: Sandbox, value: str) -> None:
    report = attack(box, f"def f(x): return {value}")
    assert report.state in ("failed", "memory")
    assert len(report.reason) < 500
