"""The card's sections on how far the data can be trusted: labels, benchmarks, what was left out.

The surprising fact: these sections stand on the card even where there is nothing to tell. That
nothing was compared with a benchmark, and that no person has looked, is what a reader must know.
"""

from collections.abc import Collection
from typing import Final

from datagen.publish.card.markdown import bullets, code, line, section, share, table
from datagen.publish.card.people import about_people
from datagen.publish.curation import Curation, LabelAgreement
from datagen.publish.manifest import Manifest
from datagen.publish.review import Review

_NOT_COMPARED: Final = """\
**The questions were compared with no benchmark.** Nothing is known of their overlap with public \
test sets: compare them before you evaluate on one. The pipeline does it for the benchmarks that \
are named in its setting `curation.benchmarks`."""

_COMPARED: Final = """\
Every question was compared, word by word, with those of these benchmarks before anything was made \
of it. What was found in one is left out; a reworded question is not found that way."""

_NOT_MEASURED: Final = "No trace of this run was measured, so nothing can be said of its labels."

_JUDGED: Final = """\
Judges are a checker of arithmetic and the model's own critiques, and neither sees the gold \
answer. They are a second opinion and no gold label: two that err alike agree."""

_CLAIMS: Final = """\
The probability that rollouts give to the first error that they name, against the share of traces \
of which the judges name the same:"""

_WHY: Final = {
    "gold": "a gold answer that no verifier can read",
    "length": "too short or too long",
    "language": "another language than those asked for",
    "contaminated": "found in a benchmark",
    "duplicate": "the same, word for word, as another",
    "conflicting_golds": "one question with several gold answers",
    "near_duplicate": "almost the same as another",
    "difficulty": "too easy or too hard (left out of `rl` only)",
}


def label_quality(
    curation: Curation | None, review: Review | None, configs: Collection[str]
) -> str:
    """What rollouts, judges and people say of the labels.

    Args:
        curation: what rollouts and judges say; ``None``: the data was not curated.
        review: what people say; ``None``: nobody has looked.
        configs: the configs that have rows.
    """
    labels = curation.labels if curation else None
    return section(
        "Label quality",
        *(_labels(labels) if labels else (_NOT_MEASURED,)),
        *about_people(review, configs),
    )


def contamination(manifest: Manifest) -> str:
    """Which benchmarks the questions were compared with, and what was found."""
    rows = [
        (line(b.name), line(b.source), f"{b.n_rows:,}", f"{b.n_checked:,}", f"{b.n_rejected:,}")
        for b in manifest.benchmarks
    ]
    header = ("benchmark", "read from", "its questions", "compared", "left out")
    return section(
        "Contamination",
        *((_COMPARED, table(header, rows)) if rows else (_NOT_COMPARED,)),
    )


def left_out(curation: Curation | None) -> str:
    """What the rules of curation rejected; what broke several rules counts for each."""
    if curation is None:
        return section("Curation", "The data was not curated: it may hold duplicates.")
    if not curation.rejections:
        return section("Curation", "No question and no trace was left out by a rule of curation.")
    rows = [
        (f"{count.kind}s", code(count.rule), _WHY.get(count.rule, ""), f"{count.n:,}")
        for count in curation.rejections
    ]
    totals = " and ".join(f"{count.n:,} {count.kind}s" for count in curation.n_rejected)
    return section(
        "Curation",
        f"Left out, each with its reason, which the run keeps: {totals}. What breaks several "
        "rules counts for each.",
        table(("what", "rule", "why", "left out"), rows),
    )


def _labels(labels: LabelAgreement) -> tuple[str, ...]:
    people = f", or because people decided ({labels.n_decided:,})" if labels.n_decided else ""
    facts = [
        f"Traces whose first error rollouts have measured: {labels.n_measured:,}",
        f"Of these the judges came to a verdict: {share(labels.n_judged, labels.n_measured)}",
        "Of those with a verdict, rollouts and judges name the same first error, or both none: "
        f"{share(labels.n_agreed, labels.n_judged)}",
        f"Verified, because both agree and the rollouts are sure enough{people}: "
        f"{share(labels.n_verified, labels.n_measured)} of all measured (`prm_verified`)",
    ]
    rows = [
        (f"{part.n:,}", f"{part.mean_claimed:.2f}", f"{part.share_agreed:.2f}")
        for part in labels.bins
    ]
    calibration = (
        _CLAIMS,
        table(("traces", "mean probability claimed", "share agreed"), rows),
        f"Mean gap of the two: {labels.mean_gap:.2f}.",
    )
    return bullets(facts), *(calibration if labels.n_judged else ()), _JUDGED
