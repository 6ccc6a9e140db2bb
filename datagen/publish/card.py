"""The text of the dataset card, made anew from the data each time it is published.

The surprising fact: there is no template to fill in and no field to write prose into, except the
notes of the lineage. What is said of the data is either counted from it or true of all data that
this pipeline makes.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import polars as pl

from datagen.publish.code import about_code
from datagen.publish.configs import CONFIGS
from datagen.publish.figures import figures
from datagen.publish.lineage import Lineage
from datagen.publish.markdown import bullets, code, line, section, table
from datagen.publish.statistics import longest_rows

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

_TRUNCATION: Final = """\
TRL's SFT and DPO trainers default to `max_length=1024` tokens and cut longer rows without a \
word, from the end: the answer goes first. The longest rows have"""

_MARKUP: Final = """\
In `sft` every step stands between `<ACT_x-Start>` and `<ACT_x-End>`, x being its thought factor; \
add these tags to the tokenizer, or each costs a dozen tokens."""

_THINK: Final = """\
Some chat templates cut `<think>…</think>` out of assistant messages: look at a rendered row of \
`sft_plain` before training on it."""

_STEPS: Final = """\
In `prm` put one separator after each completion (TRL's `step_separator`, a newline) and the label \
on the last token of the step. `labels` are booleans, because trainers truncate soft labels; the \
soft ones are in `step_scores`. A row ends before the first step that could not be labelled."""

_GOLD: Final = """\
In `rl` the answer is `solution` for rewards that use math-verify, \
`reward_model.ground_truth` for verl and `answer` for all others."""

_CORRECTIONS: Final = """\
`sft` and `sft_plain` hold traces that go wrong, notice it and mend it: those whose `id` is a \
`trace_id` of `corrections`, where `step_roles` says what each step is there for. Mask the loss on \
steps whose role is `wrong` if the model shall learn the repair and not the error."""

_PAIRS: Final = """\
In `preference` the steps that both replies share stand in both: their terms cancel in DPO, but \
not in losses that divide by the length, for which there is `step_preference`."""

_CUT: Final = """\
In `preference` and `kto` wrong replies may end at the step that spoilt them. TRL puts an \
end-of-text token behind these too; it is the easiest token to push down, and teaches nothing. \
Mask it, or make the data with `export.wrong_ends_at = "answer"`."""

_STEP_PAIRS: Final = """\
In `step_preference` the texts are read as they stand, without a chat template or an end of text. \
`n_chosen` and `n_rejected` count the evidence: pairs that rest on one rollout a side are noisy."""

_ADVANTAGES: Final = """\
In `advantages` a null is not a zero: leave the step out of the loss. The values are those of the \
model named below; for another one they are off-policy."""

_POLICY_VALUE: Final = """\
In `policy_value` the target of the policy is `pi`, one entry for each of `legal_factors`; give \
all other factors no probability. The target of the value is `value`, not `outcome`, which is how \
one trace ended. States with few `n_visits` are noisy, and states of one tree share their steps: \
split by `seed_id`."""

_CRITIQUE: Final = """\
In `critique` the verdict is checked and the analysis is not: it was kept because it comes to the \
trusted label. The score after each step comes from the labels."""

_RUBRICS: Final = """\
In `rubric_rewards` a reward is a model's opinion. Never mix these with verified rewards such as \
those of `rl`, and compare them within one question only."""

_PROVENANCE: Final = """\
In `traces`, `step_provenance` says who wrote a step and `step_source` where it came from. A \
human step has `seed_id#step_idx`, the 0-based step of the human thought that it is. A model's \
step has the key of its completion in the journal of the run: a hash of the engine's \
fingerprint, the prompt with its prefix, the sampling settings and the sample's index. The `id` \
of `sft`, `sft_plain`, `prm`, `prm_verified`, `advantages` and `kto` is a `trace_id`, so each of \
their rows leads back to the human thought, or to the program, that it grew from. One that is not \
in `traces` is in `corrections`, or is the `rollout_id` of a row of `rollouts`. In `preference` it \
is two of them, right and wrong, with a colon between; in `critique` it begins with one."""

_ADVICE: Final = (
    ({"sft"}, _MARKUP),
    ({"sft_plain"}, _THINK),
    ({"corrections"}, _CORRECTIONS),
    ({"prm"}, _STEPS),
    ({"rl"}, _GOLD),
    ({"preference"}, _PAIRS),
    ({"preference", "kto"}, _CUT),
    ({"step_preference"}, _STEP_PAIRS),
    ({"advantages"}, _ADVANTAGES),
    ({"policy_value"}, _POLICY_VALUE),
    ({"critique"}, _CRITIQUE),
    ({"rubric_rewards"}, _RUBRICS),
)
"""What trainers of some configs must know, with these configs."""

_LIMITS: Final = (
    "A trace counts as right if its answer is: a right answer may follow from a wrong thought.",
    "Step scores are estimates from a limited number of rollouts of the model named above; a "
    "stronger model recovers from more errors.",
    "Answers that could not be verified, and traces that ran out of tokens, count as nothing, "
    "never as wrong.",
    "There is one split, `train`. Nothing is known of overlap with public test sets unless a note "
    "above says so: check before you evaluate.",
)


def card(
    tables: Mapping[str, pl.DataFrame],
    *,
    lineage: Lineage,
    empty: Iterable[str] = (),
    title: str = DEFAULT_TITLE,
    repo_id: str | None = None,
    longest_tokens: Mapping[str, int] | None = None,
) -> str:
    """The card as Markdown, without its YAML.

    Args:
        tables: config → table with rows, in the order of the card.
        lineage: where the data came from.
        empty: configs that were left out because they had no row.
        title: the dataset's name for people.
        repo_id: ``owner/name`` on the Hub, if known.
        longest_tokens: config → tokens of its longest row, where somebody counted them.
    """
    sections = (
        MARK,
        f"# {line(title)}",
        *(f"> **Note:** {' '.join(note.split())}" for note in lineage.notes),
        _what(tables),
        _configs(tables, tuple(empty)),
        _loading(tuple(tables), repo_id or "OWNER/NAME"),
        _training(tables, longest_tokens or {}),
        figures(tables),
        about_code(tables),
        _lineage(lineage),
        section("Where each step comes from", _PROVENANCE) if "traces" in tables else "",
        section("Known limits", bullets(_LIMITS)),
        _license(lineage),
    )
    return "\n" + "\n\n".join(filter(None, sections)) + "\n"


def _what(tables: Mapping[str, pl.DataFrame]) -> str:
    """What the data is; where there are only thoughts about code, nothing of human ones."""
    has_code = "code_thoughts" in tables
    words = not has_code or "rollouts" in tables
    labels = f" {_LABELS}" if "prm" in tables else ""
    return "\n\n".join(([f"{_WHAT}{labels}"] if words else []) + ([_CODE] if has_code else []))


def _configs(tables: Mapping[str, pl.DataFrame], empty: tuple[str, ...]) -> str:
    rows = [(code(name), f"{df.height:,}", CONFIGS[name].purpose) for name, df in tables.items()]
    missing = ", ".join(map(code, empty))
    return section(
        "Configs",
        table(("config", "rows", "for"), rows),
        f"Left out, because this run gave them no row: {missing}." if missing else "",
    )


def _loading(names: tuple[str, ...], repo: str) -> str:
    def load(name: str, more: str = "") -> str:
        return f'load_dataset("{repo}", "{name}", split="train"{more})'

    lines = (
        "```python",
        "from datasets import load_dataset",
        "",
        *(f"{name} = {load(name)}" for name in names),
        "",
        f"for row in {load(names[-1], ', streaming=True')}:",
        "    ...",
        "```",
    )
    return section(
        "Loading",
        "\n".join(lines),
        f"The path of a local copy does in place of `{repo}`. Without a config's name "
        f"`load_dataset` takes `{names[0]}`.",
    )


def _training(tables: Mapping[str, pl.DataFrame], longest_tokens: Mapping[str, int]) -> str:
    lengths = ", ".join(
        f"{n_chars:,} characters"
        + (f" or {longest_tokens[name]:,} tokens" if name in longest_tokens else "")
        + f" (`{name}`)"
        for name, n_chars in longest_rows(tables).items()
    )
    chat = next((name for name in ("sft", "sft_plain") if name in tables), None)
    example = (
        "```python",
        "from trl import SFTConfig, SFTTrainer",
        "",
        "# None cuts nothing; else give the length in tokens that your longest row needs.",
        f"SFTTrainer(model, args=SFTConfig(max_length=None), train_dataset={chat}).train()",
        "```",
    )
    return section(
        "Training",
        f"{_TRUNCATION} {lengths}.",
        "\n".join(example) if chat else "",
        bullets(text for names, text in _ADVICE if tables.keys() & names),
    )


def _lineage(lineage: Lineage) -> str:
    made = [
        ("model", code(lineage.model)),
        ("engine fingerprint", code(lineage.engine)),
        ("code version", code(lineage.code_version)),
        *([("taxonomy of thought factors", code(lineage.taxonomy))] if lineage.taxonomy else ()),
        *([("created", line(lineage.created))] if lineage.created else ()),
        *((f"setting {code(name)}", code(str(value))) for name, value in lineage.settings.items()),
    ]
    seeds = [(line(s.name), line(s.license), f"{s.n_seeds:,}") for s in lineage.sources]
    return section(
        "Lineage",
        table(("what", "value"), made),
        table(("source of seeds", "licence", "seeds"), seeds) if seeds else "",
    )


def _license(lineage: Lineage) -> str:
    n_seeds = {
        name: sum(source.n_seeds for source in lineage.sources if source.license == name)
        for name in lineage.licenses
    }
    counts = ", ".join(f"{line(name) or 'unnamed'} ({n:,})" for name, n in n_seeds.items())
    return section(
        "Licence",
        f"The seeds, by licence: {counts}." if counts else "No licence of seeds was recorded.",
        "The terms of the model that wrote the other steps may add to that.",
    )
