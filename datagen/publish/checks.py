"""Checks of a published folder, made before it goes anywhere: is it whole, true, and free to go?

The surprising fact: they read the files and believe nobody who wrote them. Between publishing to a
folder and publishing to the world a file may be lost, edited, or left over from another version.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from datagen.publish.card import CARD
from datagen.publish.configs import CONFIGS
from datagen.publish.manifest import MANIFEST, Manifest, read_manifest
from datagen.publish.parquet import sha256_of
from datagen.publish.review import Review, review_flaws
from schemas import ContractError, Prm, Sft

_UNKNOWN: Final = frozenset({"unknown"})
_MAX_EXAMPLES: Final = 3
_MAX_CHARS: Final = 400


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes:
        name: the check, a word or two joined by underscores.
        passed: whether all is well.
        detail: what was found, in a sentence; if it failed, with what to do about it.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class _Shard:
    """What is kept of one file after it was read; the last three are empty if it cannot be."""

    path: str
    config: str
    split: str
    n_rows: int
    flaw: str = ""
    """Why it does not keep the contract."""
    ids: pl.DataFrame = field(default_factory=pl.DataFrame)
    seeds: pl.Series = field(default_factory=pl.Series)
    step_labels: frozenset[bool] = frozenset()
    n_without_reply: int = 0
    """Conversations that do not end with the assistant's message."""


def check_repository(
    folder: Path,
    *,
    require_benchmarks: Iterable[str] = (),
    license: str | None = None,
    require_license: bool = False,
    min_reviewed_share: float = 0.0,
    min_alpha: float | None = None,
) -> tuple[Check, ...]:
    """Check a folder that :func:`datagen.publish.write_repository` wrote.

    Files are read one after the other, so memory holds one of them and the ids of all.

    Args:
        folder: the folder.
        require_benchmarks: names of benchmarks that all questions must have been compared with.
        license: the licence of the whole, which the card must state.
        require_license: whether a licence that nobody knows is refused.
        min_reviewed_share: least share of the step-labelled traces that people must have decided,
            0 to 1; 0: none need be.
        min_alpha: least agreement of the reviewers, as Krippendorff's alpha; ``None``: any.

    Returns:
        All checks, in a fixed order. Those that did not apply are left out.

    Raises:
        PublishError: if the folder was not published by this pipeline, or its manifest is damaged
            or of another format.
    """
    manifest = read_manifest(folder)
    shards = [
        _read(folder, file.path, config, split)
        for config, own in manifest.configs.items()
        for split, files in own.splits.items()
        for file in files.files
    ]
    checks = [
        _files(folder, manifest),
        _card(folder, manifest),
        _rows(manifest, shards),
        _contracts(shards),
        _ids(shards),
        _splits(shards),
        *([_labels(shards)] if any(map(_has_step_labels, manifest.configs)) else ()),
        *([_messages(shards)] if any(map(_has_messages, manifest.configs)) else ()),
        _benchmarks(manifest, tuple(require_benchmarks)),
        _license(manifest, license, required=require_license),
        *(
            [_review(manifest.review, min_reviewed_share, min_alpha)]
            if min_reviewed_share > 0 or min_alpha is not None
            else ()
        ),
    ]
    return tuple(checks)


def _files(folder: Path, manifest: Manifest) -> Check:
    wanted = {file.path: file.sha256 for file in (*manifest.data_files, *manifest.documents)}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    missing, extra = sorted(wanted.keys() - found), sorted(found - wanted.keys() - {MANIFEST})
    changed = [
        path
        for path, sha256 in wanted.items()
        if path in found and path != CARD and sha256_of(folder / path) != sha256
    ]
    problems = [
        f"{what}: {_some(paths)}"
        for what, paths in (("missing", missing), ("changed", changed), ("not of it", extra))
        if paths
    ]
    good = f"{len(wanted)} files are as they were written"
    return _check("files", problems, good, fix="publish the dataset again")


def _card(folder: Path, manifest: Manifest) -> Check:
    written = {file.path: file.sha256 for file in manifest.documents}
    problems: list[str] = []
    path = folder / CARD
    if not path.is_file():
        problems.append(f"there is no {CARD}")
    elif manifest.digest not in path.read_text(encoding="utf-8", errors="replace"):
        problems.append(f"{CARD} is of other data than this")
    elif written.get(CARD) != sha256_of(path):
        problems.append(f"{CARD} was changed after it was written")
    return _check("card", problems, "it is of this data", fix="publish the dataset again")


def _rows(manifest: Manifest, shards: Iterable[_Shard]) -> Check:
    found = Counter[tuple[str, str]]()
    for shard in shards:
        found[shard.config, shard.split] += shard.n_rows
    problems = [
        f"{config}/{split} has {found[config, split]} rows, not {files.rows}"
        for config, own in manifest.configs.items()
        for split, files in own.splits.items()
        if found[config, split] != files.rows or not files.rows
    ]
    problems += [f"{name} has no rows" for name, own in manifest.configs.items() if not own.rows]
    if not manifest.configs:
        problems.append("there is no config")
    good = f"{manifest.rows:,} rows in {len(manifest.configs)} configs"
    return _check("rows", problems, good, fix="publish the dataset again")


def _contracts(shards: Iterable[_Shard]) -> Check:
    problems = [f"{shard.path}: {shard.flaw}" for shard in shards if shard.flaw]
    return _check("contracts", problems, "every row keeps its contract", fix="make the data anew")


def _ids(shards: Iterable[_Shard]) -> Check:
    by_config: dict[str, list[pl.DataFrame]] = {}
    for shard in shards:
        if shard.ids.height:
            by_config.setdefault(shard.config, []).append(shard.ids)
    problems: list[str] = []
    for config, parts in by_config.items():
        ids = pl.concat(parts)
        twice = ids.filter(ids.is_duplicated()).unique(maintain_order=True)
        if twice.height:
            shown = _some(":".join(map(str, row)) for row in twice.iter_rows())
            problems.append(f"{config} has several rows of {shown}")
    return _check("ids", problems, "no two rows of a config share an id", fix="make the data anew")


def _splits(shards: Iterable[_Shard]) -> Check:
    seen = [
        pl.DataFrame({"seed": shard.seeds, "split": [shard.split] * len(shard.seeds)})
        for shard in shards
        if len(shard.seeds)
    ]
    problems: list[str] = []
    if seen:
        several = pl.concat(seen).group_by("seed").agg(pl.col("split").n_unique())
        torn = several.filter(pl.col("split") > 1)["seed"].sort()
        problems = [f"in both: {_some(torn)}"] if len(torn) else []
    good = "no question is in two splits"
    return _check("splits", problems, good, fix="make the data anew, with one table questions")


def _labels(shards: Sequence[_Shard]) -> Check:
    unread = {shard.config for shard in shards if shard.flaw}
    kinds: dict[str, frozenset[bool]] = {}
    for shard in shards:
        if _has_step_labels(shard.config) and shard.config not in unread:
            kinds[shard.config] = kinds.get(shard.config, frozenset()) | shard.step_labels
    problems = [
        f"{config} has no {'good' if is_good else 'wrong'} step"
        for config, seen in kinds.items()
        for is_good in (True, False)
        if is_good not in seen
    ]
    return _check(
        "step_labels",
        problems,
        "there are good and wrong steps",
        fix="nothing is learnt from one kind of label: run more seeds",
    )


def _messages(shards: Iterable[_Shard]) -> Check:
    problems = [
        f"{shard.path} has {shard.n_without_reply} that do not"
        for shard in shards
        if shard.n_without_reply
    ]
    good = "every conversation ends with the assistant's message"
    return _check("messages", problems, good, fix="there is nothing to learn in those rows")


def _benchmarks(manifest: Manifest, required: tuple[str, ...]) -> Check:
    checked = {benchmark.name for benchmark in manifest.benchmarks}
    missing = [name for name in required if name not in checked]
    problems = [f"the questions were not compared with {_some(missing)}"] if missing else []
    good = f"compared with {_some(sorted(checked))}" if checked else "none is required"
    fix = "name them in curation.benchmarks and run again"
    return _check("benchmarks", problems, good, fix=fix)


def _license(manifest: Manifest, license: str | None, *, required: bool) -> Check:
    stated = manifest.license
    names = [name or "unknown" for name in manifest.licenses]
    problems: list[str] = []
    if license and license != stated:
        problems.append(f"the card says {stated or ', '.join(names)!r}, not {license!r}")
        fix = "publish the dataset again"
    else:
        fix = "state the licence of the whole in publish.license, if its terms allow one"
    if not stated and not license:
        if len(set(names)) > 1:
            problems.append(f"mixed licences: {_some(sorted(set(names)))}")
        elif required and {name.lower() for name in names} <= _UNKNOWN:
            problems.append("the licence of the seeds is unknown")
    good = f"{stated}, stated for the whole" if stated else f"{_some(names) or 'none was recorded'}"
    return _check("license", problems, good, fix=fix)


def _review(review: Review | None, min_share: float, min_alpha: float | None) -> Check:
    flaws = review_flaws(review, min_reviewed_share=min_share, min_alpha=min_alpha)
    share, alpha = (review.reviewed_share, review.alpha) if review else (None, None)
    found = [] if share is None else [f"people decided {share:.4g} of the step-labelled traces"]
    found += [] if alpha is None else [f"their alpha is {alpha:.4g}"]
    return Check("review", not flaws, "; ".join(flaws or found))


def _read(folder: Path, path: str, config: str, split: str) -> _Shard:
    """Read one file; whatever is wrong with it is a flaw, and no error."""
    if config not in CONFIGS:
        flaw = f"no such config: {config!r}; if it is your own, give the settings that name it"
        return _Shard(path, config, split, 0, flaw)
    contract = CONFIGS[config].contract
    try:
        rows = pl.read_parquet(folder / path)
    except (OSError, pl.exceptions.PolarsError) as error:
        return _Shard(path, config, split, 0, f"cannot be read ({_short(error)})")
    try:
        rows = contract.from_published(rows)
    except (ContractError, pl.exceptions.PolarsError) as error:
        return _Shard(path, config, split, rows.height, _short(error))
    seeds = rows.select(seed=CONFIGS[config].seed())["seed"]
    key = contract.primary_key()
    labels: frozenset[bool] = frozenset()
    if _has_step_labels(config):
        labels = frozenset(rows["labels"].explode().drop_nulls().unique())
    n_without_reply = 0
    if _has_messages(config):
        last = rows["messages"].list.last().struct.field("role")
        n_without_reply = int((last != "assistant").sum())
    # A question has one row where rows have no id of their own.
    ids = rows.select(key) if key else seeds.to_frame()
    return _Shard(path, config, split, rows.height, "", ids, seeds, labels, n_without_reply)


def _has_step_labels(config: str) -> bool:
    return config in CONFIGS and CONFIGS[config].contract is Prm


def _has_messages(config: str) -> bool:
    chats = Sft.polars_schema()["messages"]
    return config in CONFIGS and CONFIGS[config].contract.polars_schema().get("messages") == chats


def _check(name: str, problems: list[str], good: str, *, fix: str) -> Check:
    return Check(name, not problems, f"{'; '.join(problems)}; {fix}" if problems else good)


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    rest = f" and {len(shown) - _MAX_EXAMPLES} more" if len(shown) > _MAX_EXAMPLES else ""
    return ", ".join(shown[:_MAX_EXAMPLES]) + rest


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"
