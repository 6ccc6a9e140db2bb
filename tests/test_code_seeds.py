"""Code seeds: every source gives the same table, and only functions whose tests test get in."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import polars as pl
import pytest

from datagen.errors import ConfigError, SeedError
from datagen.seeds.code import CodeSeedBatch, read_code_seeds
from datagen.seeds.code.calls import calls_of
from datagen.verify.sandbox import Limits, Sandbox
from schemas import MAX_CALL_CHARS, MAX_CALLS, CodeSeed, Quarantine

pytestmark = pytest.mark.slow  # many sandboxes: more than a minute in all

MODE: Any = "auto" if shutil.which("bwrap") else "weak"

GOOD: dict[str, Any] = {
    "question": "Double a number: double(2) is 4.",
    "code": "def double(x):\n    return 2 * x\n",
    "entry_point": "double",
    "tests": "assert double(3) == 6\nassert double(-1) == -2",
}
HUMANEVAL: dict[str, Any] = {
    "task_id": "Test/7",
    "prompt": 'import math\n\ndef half(x: int) -> int:\n    """ Half, rounded down.\n'
    '    >>> half(9)\n    4\n    """\n',
    "entry_point": "half",
    "canonical_solution": "    return math.floor(x / 2)\n",
    "test": "\nMETADATA = {}\n\ndef check(candidate):\n    assert candidate(7) == 3\n"
    "    assert candidate(x=8) == 4\n",
}
MBPP: dict[str, Any] = {
    "task_id": 11,
    "text": "Write a function to remove the first occurrence of a letter.",
    "code": "def helper(s, c):\r\n  return s.replace(c, '', 1)\r\n"
    "def drop(s, c):\r\n  return helper(s, c)",
    "test_list": ['assert len(drop("hello", "l")) == 4', 'assert len(drop("abc", "a")) == 2'],
    "test_setup_code": "LETTER = 'p'",
    "challenge_test_list": ['assert drop("apple", LETTER) == "aple"'],
}

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(mode=MODE) as opened:
        yield opened


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows (dicts, or raw bytes for a line as it is) to a JSON Lines file."""

    def write(*rows: dict[str, Any] | bytes, name: str = "functions.jsonl") -> Path:
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path = tmp_path / name
        path.write_bytes(b"\n".join(lines) + b"\n")
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Writes modules into a folder named ``library``."""

    def folder(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "library" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return tmp_path / "library"

    return folder


def first(batch: CodeSeedBatch) -> dict[str, Any]:
    return batch.code_seeds.row(0, named=True)


def only_refusal(batch: CodeSeedBatch) -> dict[str, Any]:
    assert batch.quarantine.height == 1
    return batch.quarantine.row(0, named=True)


# --- our own fields ---------------------------------------------------------------------------


def test_a_row_with_the_four_required_fields_becomes_a_code_seed(write: Write, sandbox: Sandbox):
    batch = read_code_seeds(write(GOOD), sandbox=sandbox)
    seed = first(batch)
    assert len(seed.pop("seed_id")) == 16
    assert seed == {
        **GOOD,
        "source": "functions.jsonl",
        "license": "unknown",
        "prelude": GOOD["code"],
        "calls": ["double(2)", "double(3)", "double(-1)"],
        "meta": "{}",
    }
    assert CodeSeed.validate(batch.code_seeds).equals(batch.code_seeds)
    assert Quarantine.validate(batch.quarantine).is_empty()


def test_optional_fields_are_taken_as_given_and_further_ones_go_into_meta(
    write: Write, sandbox: Sandbox
):
    own = {"seed_id": "d", "source": "mine", "license": "MIT", "prelude": "", "level": "easy"}
    row = {**GOOD, **own, "calls": ["double( 5 )", "double(x=[0])"], "meta": {"a": 1}}
    seed = first(read_code_seeds(write(row), source="s", license="CC0-1.0", sandbox=sandbox))
    assert seed.items() >= {k: v for k, v in own.items() if k != "level"}.items()
    assert seed["calls"] == ["double(5)", "double(x=[0])"]
    assert json.loads(seed["meta"]) == {"a": 1, "level": "easy"}


def test_tests_may_be_a_list_of_asserts(write: Write, sandbox: Sandbox):
    tests = ["assert double(3) == 6", "assert double(4) == 8"]
    seed = first(read_code_seeds(write({**GOOD, "tests": tests}), sandbox=sandbox))
    assert seed["tests"] == "\n".join(tests)


def test_tests_may_use_what_the_prelude_defines(write: Write, sandbox: Sandbox):
    row = {**GOOD, "prelude": "SIX = 6", "tests": "assert double(3) == SIX"}
    assert first(read_code_seeds(write(row), sandbox=sandbox))["prelude"] == "SIX = 6"


@pytest.mark.parametrize(
    "tests",
    [
        "from solution import double as d\nassert d(3) == 6",
        "import solution as s\nassert s.double(3) == 6",
    ],
)
def test_tests_may_import_the_function_from_a_module_of_any_name(
    write: Write, sandbox: Sandbox, tests: str
):
    assert read_code_seeds(write({**GOOD, "tests": tests}), sandbox=sandbox).quarantine.is_empty()


def test_parquet_reads_like_json_lines_and_a_code_seeds_table_reads_back(
    tmp_path: Path, write: Write, sandbox: Sandbox
):
    seeds = read_code_seeds(write(GOOD, HUMANEVAL | {"seed_id": "x"}), sandbox=sandbox).code_seeds
    seeds.write_parquet(tmp_path / "seeds.parquet")
    again = read_code_seeds(tmp_path / "seeds.parquet", sandbox=sandbox)
    assert again.code_seeds.equals(seeds)


def test_a_dataset_folder_is_read_by_mapping(tmp_path: Path, sandbox: Sandbox):
    folder = tmp_path / "data"
    folder.mkdir()
    row = {"problem": GOOD["question"], **{k: v for k, v in GOOD.items() if k != "question"}}
    pl.DataFrame([row]).write_parquet(folder / "train.parquet")
    batch = read_code_seeds(folder, mapping={"question": "problem"}, sandbox=sandbox)
    assert (first(batch)["question"], first(batch)["source"]) == (GOOD["question"], "data")
    with pytest.raises(SeedError, match=r"no column 'question' \(its columns: problem, code"):
        read_code_seeds(folder, sandbox=sandbox)


def test_limit_counts_usable_rows(write: Write, sandbox: Sandbox):
    bad = {**GOOD, "code": "def"}
    rows = [{**GOOD, "code": GOOD["code"] + f"a = {i}\n", "seed_id": i} for i in range(3)]
    batch = read_code_seeds(write(rows[0], bad, rows[1], rows[2], bad), limit=2, sandbox=sandbox)
    assert batch.code_seeds["seed_id"].to_list() == ["0", "1"]
    assert batch.quarantine["row_idx"].to_list() == [1]


# --- what is refused --------------------------------------------------------------------------

REFUSALS: list[tuple[str, dict[str, Any], str, str]] = [
    ("no code", {"code": None}, "code", "code is missing (the row has: "),
    ("empty question", {"question": " "}, "question", "question is ' '; write it"),
    ("no Python", {"code": "def double(x)\n    return"}, "code", "no Python (line 1: expected ':'"),
    ("NUL", {"code": "a = 1\0"}, "code", "the control character U+0000"),
    ("deep source", {"code": GOOD["code"] + "a = " + "-" * 3000 + "1"}, "code", "recursion depth"),
    ("deep tree", {"code": GOOD["code"] + "a = 1" + "+1" * 900}, "", "nested too deeply to read"),
    (
        "deep tests",
        {"tests": GOOD["tests"] + "+1" * 2000},
        "",
        "nested too deeply to read; flatten",
    ),
    ("name", {"entry_point": "a.b"}, "entry_point", "entry_point is 'a.b'; write the function's"),
    ("undefined", {"entry_point": "triple"}, "entry_point", "'triple' is not defined in code"),
    (
        "async",
        {"code": "async def double(x):\n    return 2 * x"},
        "entry_point",
        "'double' is an async function; make it a plain one",
    ),
    ("class", {"code": "class double: pass"}, "entry_point", "'double' is a class; name a func"),
    (
        "redefined",
        {"code": GOOD["code"] + "if True:\n    double = lambda x: 2 * x"},
        "entry_point",
        "'double' is assigned, not defined by def",
    ),
    ("no tests", {"tests": []}, "tests", "tests is missing"),
    ("tests type", {"tests": ["a", 1]}, "tests", "tests is ['a', 1]; write it as text, or as a li"),
    ("tests syntax", {"tests": "assert double(3) = 6"}, "tests", "tests is no Python (line 1: "),
    ("no check", {"tests": "double(3)"}, "tests", "tests hold no assert"),
    ("doctest without a check", {"tests": ">>> double(3);"}, "tests", "tests hold no assert"),
    ("failing", {"tests": "assert double(3) == 7"}, "tests", "do not pass (failed: double(3) ret"),
    ("raising", {"code": "def double(x):\n    return 2 / 0"}, "tests", "ZeroDivisionError"),
    (
        "nothing tested",
        {"tests": "assert double(3) is None or True"},
        "tests",
        "tests do not test: a function that always returns None passes them as well; assert",
    ),
    (
        "module for the tests",
        {"tests": "import hypothesi.strategies as st\n" + GOOD["tests"]},
        "tests",
        "tests imports 'hypothesi.strategies', which the sandbox does not have",
    ),
    (
        "name of a module for the tests",
        {"tests": "from hypothesi import given\n" + GOOD["tests"]},
        "tests",
        "tests imports 'hypothesi', which the sandbox does not have",
    ),
    (
        "module for the code",
        {"code": "import no_such_module\n" + GOOD["code"]},
        "code",
        "code imports 'no_such_module', which the sandbox does not have",
    ),
    (
        "no call",
        {"question": "Double.", "tests": "for i in range(9):\n    assert double(i) == i + i"},
        "calls",
        "neither question nor tests call double with literal arguments; list some in calls",
    ),
    ("call", {"calls": ["double(y)"]}, "calls", "calls has 'double(y)'; write double(…) with lit"),
    ("other call", {"calls": ["triple(1)"]}, "calls", "calls has 'triple(1)'; write double(…)"),
    ("long call", {"calls": [f"double({'1' * 300})"]}, "calls", "at most 300 characters"),
    ("call twice", {"calls": ["double(1)", "double( 1)"]}, "calls", "'double(1)' twice; drop one"),
    ("calls", {"calls": [f"double({i})" for i in range(13)]}, "calls", "has 13; keep the best 12"),
    ("licence type", {"license": 4}, "license", "license is 4, of type int; write it as text"),
]


@pytest.mark.parametrize(
    ("fields", "field", "reason"), [case[1:] for case in REFUSALS], ids=[c[0] for c in REFUSALS]
)
def test_a_row_that_cannot_be_used_is_refused_with_field_reason_and_fix(
    write: Write, sandbox: Sandbox, fields: dict[str, Any], field: str, reason: str
):
    row = {**GOOD, "seed_id": "bad", **fields}
    batch = read_code_seeds(write(GOOD, row), sandbox=sandbox)
    refusal = only_refusal(batch)
    assert reason in refusal["reason"]
    assert (refusal["field"], refusal["row_idx"], refusal["seed_id"]) == (field, 1, "bad")
    assert batch.code_seeds.height == 1


def test_tests_that_do_not_end_are_refused_with_the_limit(write: Write):
    endless = {**GOOD, "code": "def double(x):\n    while True:\n        pass"}
    with (
        Sandbox(mode=MODE, limits=Limits(wall_s=1.0)) as sandbox,
        pytest.raises(SeedError, match=r"its own tests do not pass \(timeout: .*within 1 s"),
    ):
        read_code_seeds(write(endless), sandbox=sandbox)


def test_the_same_code_in_another_layout_is_refused_as_a_duplicate(write: Write, sandbox: Sandbox):
    commented = 'def double(x):\n    """Twice."""\n    return (2*x)  # again'
    row = {**GOOD, "seed_id": "b", "question": "Twice?", "code": commented}
    refusal = only_refusal(read_code_seeds(write(GOOD, row), sandbox=sandbox))
    assert (refusal["field"], refusal["seed_id"]) == ("code", "b")
    assert refusal["reason"].startswith("code is that of row 0 but for comments and layout; drop")


def test_a_repeated_seed_id_is_refused_but_not_after_a_refused_row(write: Write, sandbox: Sandbox):
    failing = {**GOOD, "tests": "assert double(3) == 7"}
    other = {**GOOD, "code": "def double(x):\n    return x + x"}
    batch = read_code_seeds(write(failing, GOOD, other), sandbox=sandbox)
    assert batch.code_seeds["code"].to_list() == [GOOD["code"]]
    assert batch.quarantine["field"].to_list() == ["tests", "seed_id"]
    assert "was used by row 1 already" in batch.quarantine["reason"][1]


def test_a_broken_line_is_refused_alone(write: Write, sandbox: Sandbox):
    refusal = only_refusal(read_code_seeds(write(b"{", GOOD), sandbox=sandbox))
    assert (refusal["field"], refusal["row_idx"], refusal["seed_id"]) == ("", 0, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "gsm8k"}, "format='gsm8k' is unknown; use one of auto, jsonl, humaneval, mbpp"),
        ({"mapping": {"answer": "a"}}, "mapping names 'answer', which is no code seed field; use"),
        ({"limit": 0}, "limit=0 must be at least 1"),
        ({"hf_split": "test"}, "hf_split='test' is for Hugging Face datasets"),
    ],
)
def test_an_option_out_of_range_is_named(
    write: Write, sandbox: Sandbox, options: dict[str, Any], message: str
):
    with pytest.raises(ConfigError, match=message):
        read_code_seeds(write(GOOD), sandbox=sandbox, **options)


@pytest.mark.parametrize(
    ("ref", "format", "message"),
    [
        ("nothing", "auto", "'nothing' does not exist"),
        ("nothing", "functions", "'nothing' does not exist; give a folder of Python modules"),
        (".", "functions", r"holds no \.py file"),
        ("data.csv", "auto", r"the suffix '\.csv' does not say what it is; pass format= one of js"),
    ],
)
def test_a_source_that_cannot_be_read_is_named_with_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sandbox: Sandbox,
    ref: str,
    format: Any,
    message: str,
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("a,b")
    with pytest.raises(SeedError, match=message):
        read_code_seeds(ref, format=format, sandbox=sandbox)


# --- calls ------------------------------------------------------------------------------------


RAISING = "f(0)\nTraceback (most recent call last):\n    ...\nE: 0\n"


@pytest.mark.parametrize(
    ("question", "tests", "calls"),
    [
        ("f([1, 2]) ➞ 3; f(')') and f(n) too", "", ["f([1, 2])", "f(')')"]),
        ("def f(a=1): ...\nself.f(1), xf(2), f(3)", "", ["f(3)"]),
        ("a doctest:\n\n>>> g(f(1,\n...     2))\n3\n", "", ["f(1, 2)"]),
        ("", "assert f(1, b=-2) == candidate('a\\n')", ["f(1, b=-2)", "f('a\\n')"]),
        ("", "assert f(f(1)) == f(*[1]) == f(**{'a': 1}) == f(x)", ["f(1)"]),
        ("f(2)", "assert f(1) == f(2) == f(1)", ["f(2)", "f(1)"]),
        ("", "with pytest.raises(E):\n    f(0)\nassert f({1: (2, None)})", ["f({1: (2, None)})"]),
        (f">>> {RAISING}", ">>> f(3)\n1\n", ["f(3)"]),
    ],
)
def test_calls_with_literal_arguments_are_found_in_order(
    question: str, tests: str, calls: list[str]
):
    assert calls_of(question, tests, "f") == calls


def test_calls_are_few_and_short():
    tests = f"assert f('{'x' * (MAX_CALL_CHARS - 4)}')\n" + "assert f('xx')\n" * 2
    tests += "\n".join(f"assert f({i})" for i in range(20))
    assert calls_of("", tests, "f") == ["f('xx')", *(f"f({i})" for i in range(MAX_CALLS - 1))]
    fits = f"f('{'x' * (MAX_CALL_CHARS - 5)}')"
    assert calls_of("", f"assert {fits}", "f") == [fits]


# --- HumanEval and MBPP -----------------------------------------------------------------------


@pytest.mark.parametrize("format", ["auto", "humaneval"])
def test_a_humaneval_row_becomes_a_code_seed(write: Write, sandbox: Sandbox, format: Any):
    seed = first(read_code_seeds(write(HUMANEVAL), format=format, sandbox=sandbox))
    code = HUMANEVAL["prompt"] + HUMANEVAL["canonical_solution"]
    assert seed == {
        "seed_id": "Test/7",
        "source": "functions.jsonl",
        "license": "MIT",
        "question": HUMANEVAL["prompt"],
        "code": code,
        "entry_point": "half",
        "tests": HUMANEVAL["test"],
        "prelude": code,
        "calls": ["half(9)", "half(7)", "half(x=8)"],
        "meta": "{}",
    }


def test_humaneval_tests_may_call_helpers_of_the_prompt(write: Write, sandbox: Sandbox):
    prompt = "def twice(x):\n    return 2 * x\n\n" + HUMANEVAL["prompt"]
    test = HUMANEVAL["test"] + "    assert candidate(twice(3)) == 3\n"
    batch = read_code_seeds(write({**HUMANEVAL, "prompt": prompt, "test": test}), sandbox=sandbox)
    assert batch.quarantine.is_empty()


def test_all_real_humaneval_rows_that_show_a_call_are_read(sandbox: Sandbox):
    path = Path(__file__).parents[2] / "shared" / "data" / "humaneval_60.jsonl"
    if not path.exists():
        pytest.skip("the HumanEval sample is not part of the repository")
    batch = read_code_seeds(path, sandbox=sandbox)
    assert batch.code_seeds.height == 58
    # The tests of these two call them with random strings, and their questions have no example.
    assert batch.quarantine["seed_id"].to_list() == ["HumanEval/38", "HumanEval/50"]
    assert batch.quarantine["field"].unique().to_list() == ["calls"]


@pytest.mark.parametrize("format", ["auto", "mbpp"])
def test_an_mbpp_row_becomes_a_code_seed(write: Write, sandbox: Sandbox, format: Any):
    seed = first(read_code_seeds(write(MBPP), format=format, sandbox=sandbox))
    assert seed == {
        "seed_id": "MBPP/11",
        "source": "functions.jsonl",
        "license": "CC-BY-4.0",
        "question": MBPP["text"] + '\nIt must pass: assert len(drop("hello", "l")) == 4',
        "code": MBPP["code"].replace("\r\n", "\n"),
        "entry_point": "drop",
        "tests": "\n".join(
            [MBPP["test_setup_code"], *MBPP["test_list"], *MBPP["challenge_test_list"]]
        ),
        "prelude": MBPP["code"].replace("\r\n", "\n"),
        "calls": ["drop('hello', 'l')", "drop('abc', 'a')"],
        "meta": "{}",
    }


def test_a_sanitized_mbpp_row_is_read_from_parquet(tmp_path: Path, sandbox: Sandbox):
    row = {k: v for k, v in MBPP.items() if k in ("task_id", "code", "test_list")}
    row |= {"prompt": "Drop it.", "test_imports": ["import math"], "source_file": "x"}
    pl.DataFrame([row]).write_parquet(tmp_path / "mbpp.parquet")
    seed = first(read_code_seeds(tmp_path / "mbpp.parquet", sandbox=sandbox))
    assert seed["question"].startswith("Drop it.\nIt must pass: assert")
    assert seed["tests"].split("\n")[0] == "import math"
    assert (seed["license"], seed["meta"]) == ("CC-BY-4.0", '{"source_file": "x"}')


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"test_list": []}, "test_list", "test_list is empty; write at least one assert"),
        ({"test_list": ["assert other(1)"]}, "test_list", "calls other, the code defines drop, he"),
        ({"code": "def"}, "code", "code is no Python"),
        ({"text": None}, "text", "text is missing"),
    ],
)
def test_mbpp_rows_of_another_shape_are_refused(
    write: Write, sandbox: Sandbox, change: dict[str, Any], field: str, reason: str
):
    refusal = only_refusal(read_code_seeds(write(MBPP, {**MBPP, **change}), sandbox=sandbox))
    assert refusal["field"] == field
    assert reason in refusal["reason"]


# --- a folder of functions --------------------------------------------------------------------

GCD = '''
    """Number theory."""
    import math

    ZERO = 0


    def gcd(a: int, b: int = 0) -> int:
        """Return the greatest common divisor.

        >>> gcd(12, 8)
        4
        """
        return _gcd(a, b)


    def _gcd(a, b):
        return a if b == ZERO else _gcd(b, a % b)


    if __name__ == "__main__":
        print(gcd(1, 2))
'''


def test_a_function_with_doctests_becomes_a_code_seed(folder: Any, sandbox: Sandbox):
    batch = read_code_seeds(folder({"pkg/numbers.py": GCD}), sandbox=sandbox)
    docstring = "Return the greatest common divisor.\n\n>>> gcd(12, 8)\n4"
    code = dedent(GCD).lstrip("\n").partition("\n\nif __name__")[0].rstrip() + "\n"
    assert batch.code_seeds.to_dicts() == [
        {
            "seed_id": "pkg/numbers.py::gcd",
            "source": "library",
            "license": "unknown",
            "question": f"Write a function `gcd(a: int, b: int=0) -> int`. {docstring}",
            "code": code,
            "entry_point": "gcd",
            "tests": docstring,
            "prelude": code,
            "calls": ["gcd(12, 8)"],
            "meta": "{}",
        }
    ]
    assert batch.quarantine.is_empty()


def test_a_single_module_is_read_like_a_folder(folder: Any, sandbox: Sandbox):
    path = folder({"gcd.py": GCD}) / "gcd.py"
    assert first(read_code_seeds(path, sandbox=sandbox))["seed_id"] == "gcd.py::gcd"


PLAIN = '''
    def area(w, h):
        """Area of a rectangle."""
        return _check(w) * h

    def side(w):
        """Half of a width."""
        return w // 2

    def _check(w):
        return w
'''


@pytest.mark.parametrize(
    ("name", "imports", "area"),
    [
        ("test_rect.py", "from rect import area, side\n", "area"),
        ("rect_test.py", "from .rect import area as a\n", "a"),
        ("test_rect.py", "import pkg.rect\n", "pkg.rect.area"),
        ("test_all.py", "import os, rect as r\n", "r.area"),
        ("test_rect.py", "É = 'é'; from pkg import rect  # é\n", "rect.area"),
    ],
)
def test_a_test_module_beside_the_module_tests_its_functions(
    folder: Any, sandbox: Sandbox, name: str, imports: str, area: str
):
    tests = (
        f"{imports}\ndef test_it():\n    é = [{area}(2, 3), {area}(1, 1)]\n    assert é[0] == 6\n"
    )
    batch = read_code_seeds(folder({"rect.py": PLAIN, name: tests}), sandbox=sandbox)
    seed = first(batch)
    assert (seed["seed_id"], seed["calls"]) == ("rect.py::area", ["area(2, 3)", "area(1, 1)"])
    assert "rect" not in seed["tests"]
    assert "    é = [area(2, 3), area(1, 1)]\n" in seed["tests"]
    refusal = only_refusal(batch)
    assert refusal["preview"] == "rect.py::side"
    assert "rect.py::side has no doctests, and no test_*.py or *_test.py" in refusal["reason"]


def test_an_import_inside_a_test_is_taken_out_too(folder: Any, sandbox: Sandbox):
    tests = "def test_it():\n    from rect import area\n    assert area(2, 3) == 6\n"
    seed = first(read_code_seeds(folder({"rect.py": PLAIN, "test_r.py": tests}), sandbox=sandbox))
    assert seed["tests"] == "def test_it():\n    pass\n    assert area(2, 3) == 6\n"


def test_pytest_features_work_in_test_modules(folder: Any, sandbox: Sandbox):
    tests = """
        import pytest
        import rect

        @pytest.mark.parametrize("h", [3, 4])
        def test_it(h):
            assert rect.area(2, h) == 2 * h

        def test_error():
            with pytest.raises(TypeError):
                rect.area(None, None)
            assert rect.area(1, 1) == 1
    """
    seed = first(
        read_code_seeds(folder({"rect.py": PLAIN, "test_rect.py": tests}), sandbox=sandbox)
    )
    assert seed["calls"] == ["area(1, 1)"]


def test_functions_that_cannot_be_seeds_are_refused_and_private_ones_are_passed_over(
    folder: Any, sandbox: Sandbox
):
    files = {
        "a.py": "def f(x):\n    return x\n\ndef _g(x):\n    return x\n\nclass C:\n    pass\n",
        "b.py": "def f(:\n",
        "c.py": 'async def f(x):\n    """A.\n\n    >>> f(1)\n    1\n    """\n',
        "d.py": GCD,
        "conftest.py": "def f(x): ...",
        ".hidden/e.py": "def f(x): ...",
    }
    batch = read_code_seeds(folder(files), sandbox=sandbox)
    assert batch.code_seeds["seed_id"].to_list() == ["d.py::gcd"]
    reasons = batch.quarantine["reason"].to_list()
    assert reasons[0] == "a.py::f has no docstring; say there what it does"
    assert reasons[1].startswith("b.py: code is no Python (line 1: ")
    assert reasons[2] == "entry_point 'f' is an async function; make it a plain one"
    assert batch.quarantine["row_idx"].to_list() == [0, 1, 2]


def test_reading_a_folder_does_not_run_its_modules(folder: Any, sandbox: Sandbox, tmp_path: Path):
    marker = tmp_path / "ran"
    module = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n"
    with pytest.raises(SeedError):
        read_code_seeds(folder({"a.py": module + "def f(x): ..."}), sandbox=sandbox)
    assert not marker.exists()
