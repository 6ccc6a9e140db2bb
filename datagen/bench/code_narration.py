"""The narrator on other people's programs: how many can be traced, and is what it says true?

No rows are shipped; the file is HumanEval's own or one of its format. Each program is walked
through on a call that its question or tests show.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from datagen.bench.code_checks import FreshRuns, claim_counts, share
from datagen.code.check import ThoughtCheck
from datagen.code.narrator import narrate
from datagen.seeds.code import read_code_seeds
from datagen.verify.sandbox import Sandbox

_MAX_SHOWN: Final = 10


def bench_narrator(path: Path, sandbox: Sandbox) -> dict[str, Any]:
    """Narrate every solution of a file and check each claim against a run of its own.

    Args:
        path: JSON Lines, Parquet or JSON with HumanEval's fields.
        sandbox: where the programs run.

    Returns:
        ``n_rows``; ``traced``: rows of which a call came to its end under the tracer, which a row
        refused as a seed does not; ``claims_ok``: share of all claims that hold, as
        :func:`~datagen.bench.code_checks.share`; ``claims``: their counts; and what went wrong.

    Raises:
        SeedError: if the file cannot be read or has no usable row.
    """
    batch = read_code_seeds(path, format="humaneval", sandbox=sandbox)
    seeds, runs = batch.code_seeds, FreshRuns(batch.code_seeds, sandbox)
    refused = batch.quarantine.unique("row_idx", keep="first", maintain_order=True)
    traced = [
        program.seed_id
        for program in runs.programs.values()
        if any(e.returned is not None for e in program.executions)
    ]
    checks: list[ThoughtCheck] = []
    for program in runs.programs.values():
        steps = narrate(program.question, program.executions, entry_point=program.entry_point)
        checks.append(runs.check(program.seed_id, steps))
    counts = claim_counts(checks)
    n_claims = counts["checked"] + counts["uncheckable"]
    return {
        "n_rows": seeds.height + refused.height,
        "traced": len(traced),
        "claims_ok": share(counts["checked"] - counts["contradicted"], n_claims),
        "claims": counts,
        "untraced": [seed_id for seed_id in seeds["seed_id"] if seed_id not in traced],
        "refused": refused["reason"].head(_MAX_SHOWN).to_list(),
        "contradicted": _contradicted(list(runs.programs), checks),
    }


def _contradicted(seed_ids: Sequence[str], checks: Sequence[ThoughtCheck]) -> list[str]:
    return [
        f"{seed_id}: {claim.claim.text}, but {claim.actual}"
        for seed_id, check in zip(seed_ids, checks, strict=True)
        for claim in check.claims
        if claim.verdict == "contradicted"
    ][:_MAX_SHOWN]
