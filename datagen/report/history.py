"""The figures of earlier runs, one line of JSON each, for the report to compare with.

The surprising fact: the line is of the data, and not of the attempt. The same data published again
keeps its line and its date, so that its report does not change either; figures that are not of the
data, such as the length of the review queue, are brought up to date in place.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, cast

from datagen.report.figures import Figures
from datagen.report.work import Work

RUNS: Final = "runs.jsonl"
"""Name of the file, in the output folder of a run."""

Unit = Literal["count", "share", "seconds", "money"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure that is compared from run to run.

    Attributes:
        key: its name in the file.
        name: its name for people.
        unit: how it is written.
        better: the direction in which it is good news; ``None`` if neither is.
    """

    key: str
    name: str
    unit: Unit
    better: Literal["up", "down"] | None = None


METRICS: Final = (
    Metric("seeds", "Seeds", "count"),
    Metric("code_seeds", "Programs", "count"),
    Metric("rollouts", "Rollouts", "count"),
    Metric("solved_share", "Rollouts that end right", "share"),
    Metric("unverifiable_share", "Rollouts nobody can judge", "share", "down"),
    Metric("truncated_share", "Rollouts cut off", "share", "down"),
    Metric("mean_pass_rate", "Mean pass rate of questions", "share"),
    Metric("traces_kept", "Traces kept", "count"),
    Metric("measured", "Traces measured", "count"),
    Metric("agreed_share", "Judges agree with rollouts", "share", "up"),
    Metric("verified_share", "Measured traces verified", "share", "up"),
    Metric("code_verified_share", "Thoughts about code verified", "share", "up"),
    Metric("queued", "Traces that await people", "count"),
    Metric("decided", "Traces people decided", "count"),
    Metric("label_error", "Wrong first errors, by people", "share", "down"),
    Metric("published_rows", "Published rows", "count"),
    Metric("tokens", "Tokens generated", "count"),
    Metric("seconds", "Engine time", "seconds"),
    Metric("cost", "Cost", "money"),
)
"""What is compared, in the order in which it is shown."""


@dataclass(frozen=True, slots=True)
class Run:
    """One published run.

    Attributes:
        date: when its data was first published, as ISO 8601 in UTC.
        digest: of the data.
        figures: key → figure; those that were not known are absent.
    """

    date: str
    digest: str
    figures: Mapping[str, float]


def headline(found: Figures, work: Mapping[str, Work]) -> dict[str, float]:
    """The figures of :data:`METRICS`, as far as they are known."""
    n_rollouts = sum(found.outcomes.values())
    n_thoughts = found.n_of("Thoughts")
    total = Work.total(work.values()) if work else None
    known: dict[str, float | None] = {
        "seeds": found.n_of("Seeds"),
        "code_seeds": found.n_of("Programs"),
        "rollouts": n_rollouts,
        "solved_share": found.solved_share,
        "unverifiable_share": _share(found.outcomes["unverifiable"], n_rollouts),
        "truncated_share": _share(found.outcomes["truncated"], n_rollouts),
        "mean_pass_rate": found.pass_rates.mean,
        "traces_kept": found.n_of("Traces kept"),
        "measured": found.labels.n_measured,
        "agreed_share": found.labels.agreed_share,
        "verified_share": found.labels.verified_share,
        "code_verified_share": _share(found.n_of("Verified thoughts"), n_thoughts),
        "queued": found.reviews.n_queued,
        "decided": found.reviews.n_decided,
        "label_error": found.reviews.label_error[0] if found.reviews.label_error else None,
        "published_rows": found.n_published,
        "tokens": total.n_tokens if total else None,
        "seconds": total.seconds if total else None,
        "cost": total.cost if total else None,
    }
    return {key: round(value, 6) for key, value in known.items() if value is not None}


def read_runs(path: Path) -> tuple[Run, ...]:
    """The runs of a file, oldest first; lines that cannot be read are passed over."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(run for line in lines if (run := _run(line)) is not None)


def earlier(runs: Sequence[Run], digest: str) -> tuple[Run, ...]:
    """The runs before the version with this data, oldest first."""
    return tuple(runs[:-1] if _is_last(runs, digest) else runs)


def date_of(runs: Sequence[Run], digest: str, *, now: datetime) -> str:
    """When this version was first published, as ISO 8601 in UTC: now, unless it is the last one."""
    known = _is_last(runs, digest)
    return runs[-1].date if known else now.astimezone(UTC).isoformat(timespec="seconds")


def _is_last(runs: Sequence[Run], digest: str) -> bool:
    return bool(runs) and runs[-1].digest == digest


def remember(path: Path, run: Run) -> None:
    """Add a run, or bring the line of the same data up to date.

    Data that another version followed, and that is published once more, is a new line: it is then
    the last version again.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    line = json.dumps({"date": run.date, "digest": run.digest, "figures": dict(run.figures)})
    last = _run(lines[-1]) if lines else None
    if last and last.digest == run.digest:
        lines.pop()
    text = "\n".join((*lines, line)) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _run(line: str) -> Run | None:
    try:
        found: Any = json.loads(line)
        figures = cast(Mapping[str, Any], found["figures"])
        known = {str(key): float(value) for key, value in figures.items()}
        return Run(datetime.fromisoformat(found["date"]).isoformat(), str(found["digest"]), known)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _share(n: int, of: int) -> float | None:
    return n / of if of else None
