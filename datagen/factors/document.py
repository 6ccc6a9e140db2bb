"""``python -m datagen.factors.document [FILE]`` writes ``docs/factors.md`` from the taxonomy.

The page is of the taxonomy in force: with a file of one's own it documents that one, own factors
included, which is what the FILE argument is for.
"""

import sys
from pathlib import Path
from typing import Final

from datagen.factors.extension import VARIABLE
from datagen.factors.published import PUBLISHED, factors_of
from datagen.factors.taxonomy import ACTIONS, BUILT_IN_VERSION, EXTENSION, TAXONOMY_VERSION, Factor
from datagen.factors.vocabularies import LABELS, MEANINGS, SOURCES, TAXONOMIES, TITLES, Taxonomy
from datagen.publish.card.markdown import bullets, code, line, section, table

PAGE: Final = Path(__file__).parents[2] / "docs" / "factors.md"

SAMPLE: Final = """\
version = "mylab-1"

# Built-in factors that stay legal, besides Answer and Other; without this line all of them do.
use = ["ExtractGivens", "Plan", "RecallFact", "Deduce", "Compute", "CheckResult", "CorrectError"]

[[factor]]
name = "DrawFigure"
definition = "describe a figure, or add a line or point to it"
example = "Draw the height from C and call its foot H."
counter_example = "In the figure, AB and CD are parallel."
counter_factor = "ExtractGivens"

[factor.maps_to]
schoenfeld = "Analyze"
thought_anchors = "problem_setup"

[[factor]]
name = "ExploitSymmetry"
definition = "use a symmetry to leave out part of the work"
example = "Swapping x and y changes nothing, so it is enough to look at x ≤ y."
counter_example = "Either x ≤ y or x > y; take x ≤ y first."
counter_factor = "CaseSplit"
"""
"""A whole file; a test runs a search with it."""

_INTRODUCTION: Final = """\
# Thought factors

This page is written by `python -m datagen.factors.document`; do not edit it.

A thought factor is what a step of reasoning *does*: restate the goal, calculate, check, give up a
line. Every step of every trace performs exactly one. The factors are the action space of
reinforcement learning over thoughts: a policy chooses the next factor, the language model writes
the step under it, and a value judges the state that results. A few dozen named actions can be
searched, counted and weighed; all texts cannot.

In markup a factor is a pair of tags around its step:

```
<Think_Start>
<ACT_RestateGoal-Start> find how many apples Tom has <ACT_RestateGoal-End>
<ACT_Compute-Start> 3 * 6 = 18 <ACT_Compute-End>
<Think_End>
18
```

Models that follow instructions write `[RestateGoal] find how many …`, one step after the other.
Both forms are escaped so that a step may hold anything, tags included."""

_VERSIONS: Final = """\
The order of the actions is the order of a policy's outputs. Members are appended, never reordered
or renamed, and any change raises the version, also one of the words below, since they stand in
prompts. `datagen.factors.taxonomy` has `TAXONOMY_VERSION` (the version in force) and `ACTIONS` (the
factors that may be chosen, in order); `datagen doctor` tells the version. A policy trained under
one version says nothing about actions of another."""

_EXTENDING: Final = f"""\
Write a TOML file and name it, by an absolute path, in the environment variable `{VARIABLE}`:

```toml
{SAMPLE}```

```
export {VARIABLE}=/data/mylab.toml
datagen doctor
datagen run
```

| key | meaning |
| --- | --- |
| `version` | required; of the whole taxonomy, so raise it with any change of the file |
| `use` | built-in factors that a policy may still choose; `Answer` and `Other` always are |
| `name` | of an own factor: 3 to 40 letters, other than the built-in names, whatever their case |
| `definition` | one line; it explains the tag in prompts |
| `example`, `counter_example` | a step that performs it, and one that people mistake for it |
| `counter_factor` | what the counter example really performs |
| `maps_to` | optional: label per published taxonomy ({", ".join(map(code, TAXONOMIES))}) |

To replace the taxonomy, use nothing (`use = []`) and add factors.

- The file is read once, when a process starts. Set the variable for every process of a run: for
  Dagster's daemon and UI, and on every Ray node. A file that cannot be used is an error that names
  the value and the fix; nothing runs with half of it.
- Own factors are members of the enum behind the built-in ones: `Factor("DrawFigure")`.
- What is out of use can still be read, so older data stays readable. It is never offered to a
  policy. A rollout may still contain it, as the model writes that by itself. Thoughts about code
  keep the built-in factors that their task names, such as `Plan` and `SimulateExecution`.
- Whatever names the factors to a model (choices, and the task of the `instruct` dialect) changes
  with the taxonomy, and so do its keys in the journal: answers under another taxonomy are kept, and
  not taken for answers under this one.
- The embedded reasoner was trained on the built-in tags. It reads own ones as letters and gives
  them next to no probability; they are for a model of your own, or one that follows instructions.
- A policy head or classifier of factors is to be trained anew."""


def document() -> str:
    """The whole page, in Markdown."""
    rows = [(code(factor.value), line(factor.definition)) for factor in Factor]
    told = f"Version {code(TAXONOMY_VERSION)}, {len(ACTIONS)} actions."
    if EXTENSION:
        unused = [code(factor.value) for factor in Factor if factor not in ACTIONS]
        told += f" It extends the built-in version {code(BUILT_IN_VERSION)}."
        told += f" Out of use: {', '.join(unused)}." if unused else ""
    parts = [
        _INTRODUCTION,
        section("All factors", told, table(("factor", "definition"), rows)),
        section("Versions", _VERSIONS),
        section(
            "One by one",
            "Each with a step that performs it, a step that is easily mistaken for it, and its "
            "place in the published taxonomies.",
            *map(_entry, Factor),
        ),
        section(
            "Published taxonomies",
            "The nearest label for a single step; the judgement is ours. "
            "`datagen.factors.published.translate` goes there, `factors_of` comes back.",
            *map(_taxonomy, TAXONOMIES),
        ),
        section("Factors of your own", _EXTENDING),
    ]
    return "\n\n".join(parts) + "\n"


def _entry(factor: Factor) -> str:
    places = [
        f"{TITLES[taxonomy]} {_label(taxonomy, label)}"
        for taxonomy in TAXONOMIES
        if (label := PUBLISHED[taxonomy][factor]) is not None
    ]
    return "\n\n".join(
        (
            f"### {factor.value}",
            f"{line(factor.definition[:1].upper() + factor.definition[1:])}.",
            bullets(
                (
                    f"Example: {line(factor.example)}",
                    f"Not: {line(factor.counter_example)} (that is {code(factor.counter_factor)})",
                    f"Elsewhere: {'; '.join(places) or 'no counterpart'}",
                )
            ),
        )
    )


def _label(taxonomy: Taxonomy, label: str) -> str:
    meaning = MEANINGS.get(taxonomy, {}).get(label)
    return f"{code(label)} ({meaning})" if meaning else code(label)


def _taxonomy(taxonomy: Taxonomy) -> str:
    rows = [(_label(taxonomy, label), _names(taxonomy, label)) for label in LABELS[taxonomy]]
    without = [factor for factor, label in PUBLISHED[taxonomy].items() if label is None]
    return "\n\n".join(
        (
            f"### {TITLES[taxonomy]}",
            f"{code(taxonomy)}: {SOURCES[taxonomy]}.",
            table(("label", "factors"), rows),
            f"Without a counterpart: {', '.join(map(code, without))}.",
        )
    )


def _names(taxonomy: Taxonomy, label: str) -> str:
    return ", ".join(map(code, factors_of(taxonomy, label))) or "none"


def main() -> None:
    """Write the page."""
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    page.write_text(document(), encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
