"""The card's section of facts: says in words, tables and pictures what ``statistics`` counted."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final

import polars as pl

from datagen.publish.card.markdown import bullets, line, section, share, table
from datagen.publish.card.statistics import (
    counts,
    label_statistics,
    question_statistics,
    trace_statistics,
)
from datagen.traces.markup import THINK_END
from schemas import DIFFICULTIES, SPLITS, Difficulty

_TOP_FACTORS: Final = 12

_ALT: Final = {
    "factors": "Bars: how many steps perform each thought factor, in right and in wrong traces",
    "difficulty": "Bars: how many questions there are in each bin of the pass rate, by split",
}


def facts(
    tables: Mapping[str, pl.DataFrame],
    *,
    questions: pl.DataFrame | None = None,
    pictures: Iterable[str] = (),
) -> str:
    """The section, from whichever tables there are that have any; it may be empty.

    Args:
        tables: config → table with rows.
        questions: table ``questions``, for how hard they are.
        pictures: paths of the pictures, relative to the card.
    """
    shown = {path.rpartition("/")[2].removesuffix(".png"): path for path in pictures}
    parts = [describe(tables[name]) for name, describe in _PARTS.items() if name in tables]
    if questions is not None and questions.height:
        parts.append(_difficulty(questions))
    told = [tell(tables[name]) for name, tell in _FACTS.items() if name in tables]
    images = [f"![{_ALT[name]}]({path})" for name, path in shown.items()]
    return section("Statistics", *parts, bullets(told), *images) if parts or told else ""


def _traces(traces: pl.DataFrame) -> str:
    found = trace_statistics(traces)
    n_generated = sum(found.outcomes.values())
    n_wrong = found.outcomes.get("wrong", 0)
    n_steps = sum(found.factors.values())
    facts = [
        f"{n_generated:,} generated and {found.n_human:,} human traces"
        + (f", {found.n_built:,} put together step by step by a search" if found.n_built else "")
        + (f", and {found.n_code:,} about code" if found.n_code else ""),
        f"Steps per trace: median {found.median_steps:g}, at most {found.max_steps:,}",
    ]
    if n_generated:
        facts += [
            f"Pass rate of generated traces: {share(found.n_correct, found.n_decided)} of the "
            f"{found.n_decided:,} that could be decided (those that go on from human steps "
            "included)",
            f"Wrong traces: {share(n_wrong, n_generated)} of the generated ones",
        ]
    outcomes = [(name, f"{n:,}", share(n, n_generated)) for name, n in found.outcomes.items()]
    factors = [
        (line(name), f"{n:,}", share(n, n_steps))
        for name, n in islice(found.factors.items(), _TOP_FACTORS)
    ]
    n_rest = len(found.factors) - len(factors)
    return "\n\n".join(
        (
            bullets(facts),
            *([table(("outcome", "generated traces", "share"), outcomes)] if outcomes else ()),
            *([table(("thought factor", "steps", "share"), factors)] if factors else ()),
            *([f"{n_rest} more thought factors are rarer."] if n_rest else ()),
        )
    )


def _labels(prm: pl.DataFrame) -> str:
    found = label_statistics(prm)
    facts = [
        f"Labelled steps (`prm`): {found.n_steps:,} in {found.n_rows:,} traces, "
        f"{share(found.n_wrong_steps, found.n_steps)} of them wrong",
        f"Labelled traces that hold a wrong step: {share(found.n_rows_with_error, found.n_rows)}",
    ]
    if found.n_rows_past_error:
        facts.append(
            "Labelled traces that go on after their first wrong step: "
            f"{found.n_rows_past_error:,}; cut there if your trainer should learn nothing from "
            "what follows an error"
        )
    return bullets(facts)


def _questions(rl: pl.DataFrame) -> str:
    found = question_statistics(rl)
    facts = [f"Questions with a verifiable answer (`rl`): {found.n_questions:,}"]
    if found.mean_pass_rate is not None:
        facts.append(
            f"Mean pass rate from the bare question: {100 * found.mean_pass_rate:.1f} % "
            f"({found.n_rollouts:,} rollouts of {found.n_tried:,} questions; "
            f"{found.n_never_solved:,} never solved, {found.n_always_solved:,} always)"
        )
    return bullets(facts)


def _difficulty(questions: pl.DataFrame) -> str:
    counted = {
        (difficulty, split): n
        for difficulty, split, n in questions.group_by("difficulty", "split")
        .agg(pl.len())
        .iter_rows()
    }
    rows = [
        (_DIFFICULTY[name], *(f"{counted.get((name, split), 0):,}" for split in SPLITS))
        for name in DIFFICULTIES
        if any((name, split) in counted for split in SPLITS)
    ]
    return table(("pass rate from the bare question", *SPLITS), rows)


def _corrections(corrections: pl.DataFrame) -> str:
    attempts = sorted(counts(corrections["n_attempts"]).items())
    return (
        f"Traces that mend an error (`corrections`): {_told(counts(corrections['kind']))}; by "
        f"wrong attempts in them: {', '.join(f'{n:,} with {k}' for k, n in attempts)}"
    )


def _tags(tags: pl.DataFrame) -> str:
    return (
        f"Tagged steps (`tags`), by who named the factor: {_told(counts(tags['tagger']))}; "
        f"{share(int(tags['needs_review'].sum()), tags.height)} are too unsure to be used unseen"
    )


def _preference(preference: pl.DataFrame) -> str:
    reply = preference["rejected"].list.last().struct.field("content")
    n_cut = preference.height - int(reply.str.contains(THINK_END, literal=True).sum())
    return (
        f"Pairs of replies (`preference`): {preference.height:,}; "
        f"{share(n_cut, preference.height)} of the wrong replies end at the step that spoilt them"
    )


def _step_preference(step_preference: pl.DataFrame) -> str:
    return f"Pairs of steps (`step_preference`), by kind: {_told(counts(step_preference['kind']))}"


def _kto(kto: pl.DataFrame) -> str:
    return (
        f"Desirable replies (`kto`): {share(int(kto['label'].sum()), kto.height)} of {kto.height:,}"
    )


def _advantages(advantages: pl.DataFrame) -> str:
    return (
        f"Traces with a value for each step (`advantages`): {advantages.height:,}, by what their "
        f"labels rest on (`label_source`): {_told(counts(advantages['label_source']))}"
    )


def _policy_value(policy_value: pl.DataFrame) -> str:
    visits = policy_value["n_visits"]
    return (
        f"Search states (`policy_value`): {policy_value.height:,}; visits of each: median "
        f"{visits.median():g}, at most {visits.max():,}"
    )


def _critique(critique: pl.DataFrame) -> str:
    n_wrong = int((critique["label"] >= 0).sum())
    return (
        f"Critiques (`critique`): {critique.height:,}, of which {share(n_wrong, critique.height)} "
        "find an error"
    )


def _told(found: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in found.items())


_DIFFICULTY: Final[dict[Difficulty, str]] = {
    "unknown": "not measured",
    "unsolved": "unsolved: 0",
    "hard": "hard: below 0.3",
    "medium": "medium: 0.3 to 0.7",
    "easy": "easy: above 0.7",
    "solved": "solved: 1",
}
_PARTS: Final[dict[str, Callable[[pl.DataFrame], str]]] = {
    "traces": _traces,
    "prm": _labels,
    "rl": _questions,
}
_FACTS: Final[dict[str, Callable[[pl.DataFrame], str]]] = {
    "preference": _preference,
    "step_preference": _step_preference,
    "kto": _kto,
    "advantages": _advantages,
    "policy_value": _policy_value,
    "critique": _critique,
    "corrections": _corrections,
    "tags": _tags,
}
