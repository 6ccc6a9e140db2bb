"""What the command imports before it knows what it is asked for: nothing that takes seconds."""

import json
import subprocess
import sys

import pytest
from conftest import REPO

HEAVY = (
    *("torch", "transformers", "sklearn", "scipy", "pandas", "datasets", "matplotlib"),
    *("krippendorff", "math_verify", "py3langid", "vllm", "ray", "argilla"),
)
# What a module may not import, beside what the modules before it may not.
MODULES = {
    "schemas": {*HEAVY, "dagster", "datagen", "assets"},
    "datagen.curate": {*HEAVY, "dagster", "assets"},
    "datagen.review.ask.queue": {*HEAVY, "dagster", "assets"},
    "datagen.review.decide.quality": {*HEAVY, "dagster", "assets"},
    "datagen.review.decide.recalibrate": {*HEAVY, "dagster", "assets"},
    "datagen.config": {*HEAVY, "dagster", "assets"},
    "datagen.show": {*HEAVY, "dagster", "assets"},
    "assets.cli": {*HEAVY, "dagster"},
    # `datagen show` and `datagen review status`
    "assets.commands.console": {*HEAVY},
    "assets.commands.review_summary": {*HEAVY},
}
PROGRAM = """
import importlib, json, sys
found = {}
for name in sys.argv[1:]:
    importlib.import_module(name)
    found[name] = sorted({module.partition(".")[0] for module in sys.modules})
print(json.dumps(found))
"""


@pytest.mark.slow
def test_no_module_that_a_command_begins_with_imports_what_is_slow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *MODULES],
        capture_output=True, text=True, cwd=REPO, timeout=120, check=True,
    )  # fmt: skip
    loaded = json.loads(done.stdout)
    assert {name: sorted(heavy & set(loaded[name])) for name, heavy in MODULES.items()} == {
        name: [] for name in MODULES
    }
