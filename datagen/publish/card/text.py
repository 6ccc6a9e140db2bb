"""The text of the dataset card, made anew from the data each time it is published.

The surprising fact: there is no template to fill in and no field to write prose into, except the
notes of the lineage. What is said of the data is either counted from it or true of all data that
this pipeline makes.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import polars as pl

from datagen.publish.card.code import about_code
from datagen.publish.card.facts import facts
from datagen.publish.card.further import further
from datagen.publish.card.markdown import bullets, code, line, section, table
from datagen.publish.card.quality import contamination, label_quality, left_out
from datagen.publish.card.statistics import longest_rows
from datagen.publish.card.usage import loading, training
from datagen.publish.configs import CONFIGS
from datagen.publish.curation import Curation
from datagen.publish.lineage import Lineage
from datagen.publish.manifest import ConfigFiles, Manifest
from datagen.publish.review import Review
from schemas import SPLITS

CARD: Final = "README.md"

DEFAULT_TITLE: Final = "Verified, step-labelled reasoning"

MARK: Final = "<!-- Written by datagen: edits are lost when the data is published again. -->"
"""Stands in every card, and tells a folder that may be replaced from one that may not."""

_WHAT: Final = """\
Reasoning traces grown from human-written chains of thought. Human thoughts were cut off after \
some of their steps, a model went on from there many times, and every final answer was compared \
with the gold answer. Right and wrong endings are both kept."""

_CODE: Final = """\
Thoughts that lead to programs, written back from the programs: each is of a question whose \
code was known, and every value that it names was compared with a run of that code. Those that \
failed are kept, with the reason."""

_LABELS: Final = """\
Steps are labelled by where their trace most probably went wrong first, given how often the model, \
going on from each step, still reached the right answer, and how improbable it found the step. \
Steps before that are good; that step and all behind it are wrong."""

_REVIEWED: Final = "Of the traces that people reviewed, the first error is the one that they named."

_PROVENANCE: Final = """\
In `traces`, `step_provenance` says who wrote a step and `step_source` where it came from. A \
human step has `seed_id#step_idx`, the 0-based step of the human thought that it is. A model's \
step has the key of its completion in the journal of the run: a hash of the engine's \
fingerprint, the prompt with its prefix, the sampling settings and the sample's index. The `id` \
of `sft`, `sft_plain`, `prm`, `prm_verified`, `advantages` and `kto` is a `trace_id`, so each of \
their rows leads back to the human thought, or to the program, that it grew from. One that is not \
in `traces` is in `corrections`, or is the `rollout_id` of a row of `rollouts`. In `preference` it \
is two of them, right and wrong, with a colon between; in `critique` it begins with one."""

_LIMITS: Final = (
    "A trace counts as right if its answer is: a right answer may follow from a wrong thought.",
    "Step scores are estimates from a limited number of rollouts of the model named above; a "
    "stronger model recovers from more errors.",
    "Answers that could not be verified, and traces that ran out of tokens, count as nothing, "
    "never as wrong.",
    "Replies are in the words of the model named above, with its habits and its errors.",
)


def card(
    tables: Mapping[str, pl.DataFrame],
    *,
    manifest: Manifest,
    lineage: Lineage,
    questions: pl.DataFrame,
    curation: Curation | None,
    empty: Iterable[str] = (),
    title: str = DEFAULT_TITLE,
    repo_id: str | None = None,
    longest_tokens: Mapping[str, int] | None = None,
    pictures: Iterable[str] = (),
) -> str:
    """The card as Markdown, without its YAML.

    Args:
        tables: config → table with rows, in the order of the card.
        manifest: the files that were written, and what they are to be compared by.
        lineage: where the data came from.
        questions: table ``questions``.
        curation: what was left out, and what the data was compared with; ``None``: it was not
            curated.
        empty: configs that were left out because they had no row.
        title: the dataset's name for people.
        repo_id: ``owner/name`` on the Hub, if known.
        longest_tokens: config → tokens of its longest row, where somebody counted them.
        pictures: paths of the pictures, relative to the card.
    """
    configs, repo, tokens = manifest.configs, repo_id or "OWNER/NAME", longest_tokens or {}
    sections = (
        MARK,
        f"# {line(title)}",
        *(f"> **Note:** {' '.join(note.split())}" for note in lineage.notes),
        _what(tables, manifest.review),
        _configs(tables, configs, tuple(empty), tokens),
        further(configs),
        loading(configs, repo),
        training(configs, repo, tokens),
        facts(tables, questions=questions, pictures=pictures),
        about_code(tables),
        label_quality(curation, manifest.review, tables),
        left_out(curation),
        contamination(manifest),
        _lineage(lineage, manifest),
        section("Where each step comes from", _PROVENANCE) if "traces" in tables else "",
        section("Known limits", bullets(_LIMITS)),
        _license(lineage, manifest.license),
    )
    return "\n" + "\n\n".join(filter(None, sections)) + "\n"


def _what(tables: Mapping[str, pl.DataFrame], review: Review | None) -> str:
    """What the data is; where there are only thoughts about code, nothing of human ones."""
    has_code = "code_thoughts" in tables
    words = not has_code or "rollouts" in tables
    labels = (f" {_LABELS}" + (f" {_REVIEWED}" if review else "")) if "prm" in tables else ""
    return "\n\n".join(([f"{_WHAT}{labels}"] if words else []) + ([_CODE] if has_code else []))


def _configs(
    tables: Mapping[str, pl.DataFrame],
    configs: Mapping[str, ConfigFiles],
    empty: tuple[str, ...],
    longest_tokens: Mapping[str, int],
) -> str:
    n_chars = longest_rows(tables)
    rows = [
        (
            code(name),
            *(f"{_rows(config, split):,}" for split in SPLITS),
            f"{n_chars[name]:,}",
            *([_tokens(longest_tokens.get(name))] if longest_tokens else ()),
            CONFIGS[name].purpose,
        )
        for name, config in configs.items()
    ]
    tokens = ("tokens",) if longest_tokens else ()
    missing = ", ".join(map(code, empty))
    return section(
        "Configs",
        table(("config", *SPLITS, "longest row: characters", *tokens, "for"), rows),
        "Tokens are those of the model named below." if longest_tokens else "",
        f"Left out, because this run gave them no row: {missing}." if missing else "",
    )


def _tokens(n: int | None) -> str:
    return "n/a" if n is None else f"{n:,}"


def _rows(config: ConfigFiles, split: str) -> int:
    return config.splits[split].rows if split in config.splits else 0


def _lineage(lineage: Lineage, manifest: Manifest) -> str:
    made = [
        ("model", code(lineage.model)),
        ("engine fingerprint", code(lineage.engine)),
        *([("prompts", code(lineage.prompts))] if lineage.prompts else ()),
        ("code version", code(lineage.code_version)),
        *([("taxonomy of thought factors", code(lineage.taxonomy))] if lineage.taxonomy else ()),
        *([("created", line(lineage.created))] if lineage.created else ()),
        ("SHA-256 of the data", code(manifest.digest)),
        *((f"setting {code(name)}", code(str(value))) for name, value in lineage.settings.items()),
    ]
    seeds = [(line(s.name), line(s.license), f"{s.n_seeds:,}") for s in lineage.sources]
    return section(
        "Lineage",
        table(("what", "value"), made),
        table(("source of seeds", "licence", "seeds"), seeds) if seeds else "",
    )


def _license(lineage: Lineage, stated: str | None) -> str:
    counts = ", ".join(f"{line(name) or 'unnamed'} ({n:,})" for name, n in lineage.licenses.items())
    return section(
        "Licence",
        f"The whole is published under: {line(stated)}." if stated else "",
        f"The seeds, by licence: {counts}." if counts else "No licence of seeds was recorded.",
        "The terms of the model that wrote the other steps may add to that.",
    )
