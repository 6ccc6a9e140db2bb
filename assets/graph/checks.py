"""The checks of a shard: each belongs to a table of it, and an error stops what grows from there.

The surprising fact: the checks read from the shard's folder, and of each table only the columns
that they need. A table that came in as a parameter would be read whole, and held to its contract
once more, for every check of it.

A blocking check only stops the run that it is part of. So whatever accepts a shard asks
:func:`flaws` itself, and a run of later stages alone cannot accept what an earlier run has failed.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.parquet_io import CONTRACT_OF, table_path
from assets.refusals import note_refusal
from assets.shards import SHARD_TABLES, SHARDS
from assets.workspace import Workspace
from datagen.checks import (
    CHECKS,
    LABEL_LINKS,
    LAST_LINKS,
    TRACE_LINKS,
    CheckName,
    Finding,
    Incoming,
    Links,
    agreement,
    budget,
    calibration,
    columns_of,
    contamination,
    contracts,
    cut_short,
    duplicates,
    licensing,
    outcome_balance,
    provenance,
    question_keys,
    refused,
    repeats,
    truncated,
    unverifiable,
)
from datagen.errors import CheckError
from datagen.report import WORK
from datagen.report.work import read_work
from datagen.shards import accepted_paths

_SEEDS: Final = ("seed_id", "license", "question")
_LABELS: Final = ("seed_id", "first_error_mass", "agrees")


@dataclass(frozen=True, slots=True)
class _Station:
    """Checks that are made at one place of the graph.

    Attributes:
        assets: whose checks they are, and who must pass them before anything is made of it.
        names: the checks, in the order in which ``find`` gives them.
        find: makes them.
        deps: assets that must have been made before, if they are in the same run.
    """

    assets: Sequence[str]
    names: Sequence[CheckName]
    find: Callable[[Workspace], Iterator[Finding]]
    deps: Sequence[str] = ()


def _at_seeds(workspace: Workspace) -> Iterator[Finding]:
    limits, folder = workspace.settings.checks, workspace.folder
    incoming = Incoming(
        seeds=_read(folder, "seeds", *_SEEDS, "thought"),
        code_seeds=_read(folder, "code_seeds", *_SEEDS, "code"),
        quarantine=_read(folder, "quarantine"),
        rejected=_read(folder, "rejected_questions"),
        benchmark_checks=_read(folder, "benchmark_checks"),
    )
    elsewhere = question_keys(_accepted(workspace, "seeds"), _accepted(workspace, "code_seeds"))
    yield refused(incoming, max_share=limits.max_refused_share)
    yield contamination(
        incoming,
        max_share=limits.max_contaminated_share,
        required=workspace.settings.publish.require_benchmarks,
    )
    yield duplicates(incoming, elsewhere, max_share=limits.max_duplicate_share)
    yield licensing(incoming, allowed=limits.licenses, require_known=limits.require_license)


def _at_rollouts(workspace: Workspace) -> Iterator[Finding]:
    limits = workspace.settings.checks
    rollouts = _read(workspace.folder, "rollouts", "seed_id", "verifier", "outcome")
    yield outcome_balance(
        rollouts, min_pass_rate=limits.min_pass_rate, max_pass_rate=limits.max_pass_rate
    )
    yield unverifiable(rollouts, max_share=limits.max_unverifiable_share)
    yield truncated(rollouts, max_share=limits.max_truncated_share)
    yield _budget(workspace)


def _at_traces(workspace: Workspace) -> Iterator[Finding]:
    yield _provenance(workspace, TRACE_LINKS)


def _at_rejected_traces(workspace: Workspace) -> Iterator[Finding]:
    yield repeats(
        _read(workspace.folder, "traces", "trace_id", "seed_id", "provenance"),
        _read(workspace.folder, "rejected_traces", "id", "rule"),
        max_share=workspace.settings.checks.max_repeated_share,
    )


def _at_labels(workspace: Workspace) -> Iterator[Finding]:
    limits = workspace.settings.checks
    labels = _read(workspace.folder, "trace_labels", *_LABELS, "outcome")
    accepted = _accepted(workspace, "trace_labels").select(_LABELS).collect()
    yield agreement(labels, min_share=limits.min_agreement)
    yield calibration(labels, accepted, max_drift=limits.max_drift)
    yield _provenance(workspace, LABEL_LINKS)


def _at_the_end(workspace: Workspace) -> Iterator[Finding]:
    paths = {name: table_path(workspace.folder, name) for name in SHARD_TABLES}
    yield contracts(paths, CONTRACT_OF)
    yield _provenance(workspace, LAST_LINKS)
    yield _budget(workspace)
    yield cut_short(read_work(workspace.folder / WORK))


def _budget(workspace: Workspace) -> Finding:
    limits = workspace.settings.checks
    return budget(
        read_work(workspace.folder / WORK),
        max_tokens=limits.max_tokens,
        max_cost=limits.max_cost,
        max_seconds=limits.max_seconds,
    )


def _provenance(workspace: Workspace, links: Links) -> Finding:
    tables = {
        name: _read(workspace.folder, name, *columns) for name, columns in columns_of(links).items()
    }
    return provenance(tables, links)


STATIONS: Final = (
    _Station(
        ("seeds", "code_seeds"),
        ("refused", "contamination", "duplicates", "license"),
        _at_seeds,
    ),
    _Station(
        ("rollouts",),
        ("outcomes", "unverifiable", "truncated", "budget"),
        _at_rollouts,
    ),
    _Station(("traces",), ("provenance",), _at_traces),
    _Station(("rejected_traces",), ("repeats",), _at_rejected_traces),
    _Station(("trace_labels",), ("agreement", "calibration", "provenance"), _at_labels),
    _Station(
        ("summaries",),
        ("contracts", "provenance", "budget", "cut_short"),
        _at_the_end,
        deps=[name for name in SHARD_TABLES if name != "summaries"],
    ),
)
"""Where a shard is checked, in the order of the data."""


def _checks_at(station: _Station) -> dg.AssetChecksDefinition:
    """The checks of a station as one step, which reads each table once."""
    with warnings.catch_warnings():
        # Partitions of checks are a preview in Dagster 1.13; a test holds that they work.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        specs = [
            dg.AssetCheckSpec(
                name,
                asset=asset,
                description=CHECKS[name].asks,
                blocking=CHECKS[name].severity == "error",
                additional_deps=station.deps,
                partitions_def=SHARDS,
            )
            for asset in station.assets
            for name in station.names
        ]

    @dg.multi_asset_check(name=f"checks_of_{station.assets[0]}", specs=specs)
    def checks(workspace: Workspace) -> Iterator[dg.AssetCheckResult]:
        findings = list(station.find(workspace))
        _note(workspace, findings)
        for finding in findings:
            for asset in station.assets:
                yield _result(asset, finding)

    return checks


def _note(workspace: Workspace, findings: Iterable[Finding]) -> None:
    if reasons := {finding.name: finding.detail for finding in findings if finding.stops}:
        note_refusal(workspace, reasons)


def _result(asset: str, finding: Finding) -> dg.AssetCheckResult:
    grave = finding.severity == "error"
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=finding.name,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN,
        description=finding.detail,
        metadata=finding.figures,
    )


SHARD_CHECKS: Final = [_checks_at(station) for station in STATIONS]
"""All checks of a shard."""


def flaws(workspace: Workspace) -> tuple[Finding, ...]:
    """What keeps the shard of this run from being accepted, by its tables as they are on disk."""
    found = (finding for station in STATIONS for finding in station.find(workspace))
    return tuple(finding for finding in found if finding.stops)


def refuse_flawed(workspace: Workspace) -> None:
    """Let a shard pass only if no check stops it.

    Raises:
        CheckError: if one does; says which, and what to do.
    """
    if found := flaws(workspace):
        _note(workspace, found)
        lines = [f"  {finding.name}: {finding.detail}" for finding in found]
        raise CheckError("\n".join(("the shard is not accepted:", *lines)))


def failed_checks(instance: dg.DagsterInstance, run_id: str) -> str:
    """What stopped a run, for people; empty if no check did.

    Args:
        instance: that the run is recorded in.
        run_id: of the run.
    """
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    lines: dict[str, None] = {}
    shards: dict[str, None] = {}
    for entry in entries:
        found: Any = entry.get_dagster_event().event_specific_data
        assert isinstance(found, dg.AssetCheckEvaluation)
        if found.blocking and not found.passed and found.severity == dg.AssetCheckSeverity.ERROR:
            lines[f"  {found.check_name}: {found.description}"] = None
            shards[found.partition or ""] = None
    if not lines:
        return ""
    which = ", ".join(map(repr, shards))
    return "\n".join((f"shard {which} was stopped by its checks:", *lines))


def _read(folder: Path, table: str, *columns: str) -> pl.DataFrame:
    """Columns of a table, all if none is named; no rows if it is not there."""
    path = table_path(folder, table)
    if not path.exists():
        empty = CONTRACT_OF[table].empty()
        return empty.select(columns) if columns else empty
    try:
        return pl.read_parquet(path, columns=list(columns) or None)
    except pl.exceptions.ColumnNotFoundError as error:
        raise CheckError(
            f"{str(path)!r} was written by another version: {str(error).splitlines()[0]}; "
            f"materialise {table} again"
        ) from error


def _accepted(workspace: Workspace, table: str) -> pl.LazyFrame:
    """A table of the other shards that are accepted, one after the other."""
    found = accepted_paths(workspace.root, table, but=workspace.shard)
    return pl.scan_parquet(found) if found else CONTRACT_OF[table].empty().lazy()
