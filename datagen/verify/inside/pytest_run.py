"""Runs a module of tests with the real pytest, if it is installed beside this program.

Our own counting of checks replaces pytest's rewriting of assertions, so that the reasons are ours.
"""

# pyright: basic, reportMissingImports=false

import ast
import os
import sys
import types

from .checks import COUNTER, Checks, Counted
from .proxies import UnsendableError


def run_module(job: dict, tree: ast.Module, proxy, checks: Checks) -> tuple[str, str]:
    """State and reason; ``tree`` is the tests, without the prelude."""
    try:
        import pytest
    except ImportError:
        return "error", "the tests need pytest, which is not installed beside this program"
    other_checks = any(
        isinstance(node, ast.Attribute)
        and (node.attr.startswith(("assert", "fail")) or node.attr in ("raises", "warns"))
        for node in ast.walk(tree)
    )
    prelude = ast.parse(job["prelude"])
    assign = f"from __proxy__ import {job['entry_point']}, {COUNTER}\n"
    holder = types.ModuleType("__proxy__")
    setattr(holder, job["entry_point"], proxy)
    setattr(holder, COUNTER, checks)
    sys.modules["__proxy__"] = holder
    # Our own counting replaces pytest's rewriting; imports of __future__ must stay in front.
    body = [*prelude.body, *ast.parse(assign).body, *Counted().visit(tree).body]
    future = [n for n in body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    whole = ast.Module([*future, *(n for n in body if n not in future)], [])
    with open("test_seed.py", "w", encoding="utf-8") as file:
        file.write(ast.unparse(ast.fix_missing_locations(whole)))

    class Watch:
        n_passed = 0
        first = ""
        gone = None

        @pytest.hookimpl
        def pytest_runtest_logreport(self, report) -> None:
            if report.failed and not self.first:
                crash = getattr(report.longrepr, "reprcrash", None)
                told = crash.message if crash else str(report.longrepr).strip().split("\n")[-1]
                told = (told.startswith("AssertionError") and checks.reason) or told
                self.first = f"{report.nodeid.partition('::')[2]}: {told}"
            elif report.passed and report.when == "call":
                self.n_passed += 1

        @pytest.hookimpl
        def pytest_collectreport(self, report) -> None:
            if report.failed and not self.first:
                self.first = str(report.longrepr).strip().split("\n")[-1]

        @pytest.hookimpl
        def pytest_exception_interact(self, call) -> None:
            if isinstance(call.excinfo.value, UnsendableError | MemoryError):
                self.gone = self.gone or call.excinfo.value

    watch = Watch()
    options = ["-q", "--assert=plain", "-p", "no:cacheprovider", "--rootdir=.", "-c", os.devnull]
    status = pytest.main([*options, "-x", "test_seed.py"], plugins=[watch])
    if watch.gone is not None:
        raise watch.gone
    if watch.first or status not in (0, 5):
        reason = " ".join(watch.first.split())[:300]
        return "failed", reason or f"pytest ended with status {int(status)}"
    if not (checks.n or (other_checks and watch.n_passed)):
        return "error", "the tests executed no check"
    return "passed", f"{watch.n_passed} tests"
