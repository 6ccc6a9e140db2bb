"""The configs of a published dataset: one per consumer, each with its contract.

The surprising fact: no config has a column that its consumer does not read, but for ``id`` and
``seed_id``. Trainers look at every column, and one too many breaks them loudly or, worse, silently.
What people want besides is in ``traces``, to be joined by id.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from datagen.errors import ConfigError
from datagen.export.further import Export, load_export
from schemas import (
    CONTRACTS,
    Advantage,
    CodeThought,
    Contract,
    Correction,
    CritiqueSft,
    Kto,
    Orm,
    PolicyValue,
    Preference,
    Prm,
    ProcessBench,
    RawRollout,
    Rl,
    RubricReward,
    Sft,
    StepPreference,
    Tag,
    Trace,
)


def _seed_id() -> pl.Expr:
    return pl.col("seed_id")


@dataclass(frozen=True, slots=True)
class Config:
    """One config.

    Attributes:
        contract: what its table holds.
        purpose: what it is for, as the card says it.
        n_chars: expression for the characters of a row that a model would read.
        seed: expression for the seed or task whose question a row is of, a ``question_id`` or a
            ``seed_id`` of table ``questions``.
    """

    contract: type[Contract]
    purpose: str
    n_chars: Callable[[], pl.Expr]
    seed: Callable[[], pl.Expr] = _seed_id


def _chat(column: str) -> Callable[[], pl.Expr]:
    content = pl.element().struct.field("content")
    return lambda: pl.col(column).list.eval(content.str.len_chars()).list.sum()


_CONVERSATION: Final = Sft.polars_schema()["messages"]


def _stepwise() -> pl.Expr:
    # One separator stands after each step.
    steps = pl.col("completions").list.eval(pl.element().str.len_chars() + 1).list.sum()
    return pl.col("prompt").str.len_chars() + steps


def _texts(*columns: str) -> Callable[[], pl.Expr]:
    return lambda: pl.sum_horizontal(pl.col(column).str.len_chars() for column in columns)


def _longest(
    shared: Callable[[], pl.Expr], *either: Callable[[], pl.Expr]
) -> Callable[[], pl.Expr]:
    return lambda: shared() + pl.max_horizontal(part() for part in either)


def _both(*parts: Callable[[], pl.Expr]) -> Callable[[], pl.Expr]:
    return lambda: pl.sum_horizontal(part() for part in parts)


def _whole() -> pl.Expr:
    return pl.col("question").str.len_chars() + pl.col("markup").str.len_chars()


def _all_steps() -> pl.Expr:
    steps = pl.col("steps").list.eval(pl.element().str.len_chars()).list.sum()
    return pl.col("question").str.len_chars() + steps + pl.col("tail").str.len_chars()


def _problem() -> pl.Expr:
    steps = pl.col("steps").list.eval(pl.element().str.len_chars() + 1).list.sum()
    return pl.col("problem").str.len_chars() + steps


def _asked() -> pl.Expr:
    return pl.col("extra_info").struct.field("seed_id")


def _code() -> pl.Expr:
    steps = pl.col("steps").list.eval(pl.element().str.len_chars() + 1).list.sum()
    return pl.col("question").str.len_chars() + steps + pl.col("code").str.len_chars()


CONFIGS: Final[dict[str, Config]] = {
    "sft": Config(
        Sft,
        "supervised fine-tuning; each step of the thought stands in thought-factor tags",
        _chat("messages"),
    ),
    "sft_plain": Config(
        Sft,
        "supervised fine-tuning; the thought is prose between `<think>` and `</think>`",
        _chat("messages"),
    ),
    "prm": Config(
        Prm,
        "process reward models; a label and a score for each step, of right and wrong traces",
        _stepwise,
    ),
    "prm_verified": Config(
        Prm,
        "process reward models; only traces whose first error judges, a run or people confirm",
        _stepwise,
    ),
    "orm": Config(
        Orm,
        "outcome reward models; whole replies of the policy, verified right or wrong; shuffled",
        _texts("prompt", "completion"),
    ),
    "processbench": Config(
        ProcessBench,
        "measuring process reward models; traces whose first wrong step is known, as ProcessBench",
        _problem,
    ),
    "rl": Config(
        Rl,
        "reinforcement learning; questions with a gold answer or unit tests, and their pass rate",
        _chat("prompt"),
        seed=_asked,
    ),
    "preference": Config(
        Preference,
        "preference training (DPO); a right reply and a wrong one, cut behind its first wrong step",
        _longest(_chat("prompt"), _chat("chosen"), _chat("rejected")),
    ),
    "step_preference": Config(
        StepPreference,
        "step-level preferences; two next steps from one state, and the difference of their Q",
        _longest(_texts("prompt"), _texts("chosen"), _texts("rejected")),
    ),
    "kto": Config(
        Kto,
        "training on single replies, each marked as desirable or not; shuffled",
        _both(_chat("prompt"), _chat("completion")),
    ),
    "advantages": Config(
        Advantage,
        "policy gradients with per-step advantages; right and wrong traces and their first pit",
        _stepwise,
    ),
    "policy_value": Config(
        PolicyValue,
        "policy and value heads over thought factors; visits, priors, Q and V of search states",
        _texts("prompt", "segment"),
    ),
    "critique": Config(
        CritiqueSft,
        "generative reward models; critiques step by step whose verdict the labels confirm",
        _chat("messages"),
    ),
    "rubric_rewards": Config(
        RubricReward,
        "answers that cannot be verified, scored by written criteria; never mixed with the rest",
        _texts("prompt", "completion"),
    ),
    "traces": Config(
        Trace,
        "analysis; whole traces, right and wrong, in which each step says where it came from",
        _whole,
    ),
    "corrections": Config(
        Correction,
        "analysis; the self-correcting traces of `sft`, with labels and roles of each step",
        _whole,
    ),
    "tags": Config(
        Tag,
        "analysis; the thought factor of each step, how sure it is, and what the step builds on",
        _texts("text"),
    ),
    "rollouts": Config(
        RawRollout,
        "analysis; every verified completion as it was drawn, with its outcome, before any choice",
        _all_steps,
    ),
    "code_thoughts": Config(
        CodeThought,
        "analysis; thoughts that lead to programs, each claim with what a run says of it",
        _code,
    ),
}
"""Every config by name, in the order of the card; the first one that has rows is the default.

Those of the user's own, which :func:`use_exports` was given, are the last.
"""

_TAKEN: Final = frozenset({*CONFIGS, *CONTRACTS, "figures"})
"""Configs, tables, and the folder of pictures."""


def use_exports(own: Mapping[str, str]) -> dict[str, Export]:
    """Make configs of the user's own known to this process, in place of earlier ones.

    Args:
        own: name → ``"module:name"`` of an :class:`~datagen.export.Export`.

    Returns:
        What was named.

    Raises:
        ConfigError: if one cannot be imported or published, or its name is taken.
    """
    if taken := [name for name in own if name in _TAKEN]:
        raise ConfigError(f"export.further names {taken[0]!r}, which is taken; choose another name")
    exports = {name: load_export(f"export.further.{name}", ref) for name, ref in own.items()}
    for name in own_configs():
        del CONFIGS[name]
    for name, export in exports.items():
        purpose = " ".join(export.purpose.split())
        CONFIGS[name] = Config(export.contract, purpose, _all_texts(export.contract))
    return exports


def own_configs() -> list[str]:
    """Names of the configs of the user's own."""
    return [name for name in CONFIGS if name not in _TAKEN]


def _all_texts(contract: type[Contract]) -> Callable[[], pl.Expr]:
    """All texts of a row, the contents of conversations and those in lists too, but for ids."""
    length = pl.element().str.len_chars()
    ids = {"seed_id", *contract.primary_key()}
    parts = [pl.lit(0)]
    for name, dtype in contract.polars_schema().items():
        if dtype == pl.String and name not in ids:
            parts.append(pl.col(name).str.len_chars())
        elif dtype == pl.List(pl.String):
            parts.append(pl.col(name).list.eval(length).list.sum())
        elif dtype == _CONVERSATION:
            parts.append(_chat(name)())
    return lambda: pl.sum_horizontal(parts)
