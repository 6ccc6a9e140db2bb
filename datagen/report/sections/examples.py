"""A few searches and thoughts about code, to be read.

The surprising fact: a tree travels as data and is drawn by the page's own script, which only ever
makes text of it; a thought stands in the page as it is, and can be read without any script.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from datagen.report.markup import Child, Markup, tag
from datagen.report.numbers import count
from datagen.report.sections.frame import empty, section
from datagen.report.thoughts import CheckedStep, ShownThought
from datagen.report.tree import SearchTree

_ACTIVE: Final = re.compile("[<>&\u2028\u2029]")
_CHECKS: Final = {
    "checked": ("✓", "good", "the run agrees"),
    "contradicted": ("✗", "bad", "the run says otherwise"),
    "uncheckable": ("·", "dim", "a run cannot tell"),
}
_ROUTES: Final = {
    "model": "written by the model",
    "grounded": "written with the run in view",
    "narrator": "told from the run by rules",
}


def trees(shown: Sequence[SearchTree], *, n_searches: int) -> Markup:
    """The search trees, as data for the script, with what holds them."""
    lede = (
        "What the search tried. Open and close states with the mouse or the arrow keys; rollouts "
        "end right or wrong."
    )
    if not shown:
        return section("trees", "Search trees", lede, empty("There is no search tree."))
    text = json.dumps([_compact(tree) for tree in shown], ensure_ascii=False, separators=(",", ":"))
    data = Markup(_ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
    states, kept = (sum(getattr(t, name) for t in shown) for name in ("n_states", "n_shown"))
    left = f" Of their {count(states)} states {count(kept)} are shown." if kept < states else ""
    return section(
        "trees",
        "Search trees",
        lede,
        tag(
            "article",
            tag("div", id="tree-choice", class_="choice", role="group", aria_label="Question"),
            tag("div", id="tree-question"),
            tag("div", id="tree-tools", class_="tools"),
            tag(
                "div",
                tag("span", "state"),
                *(tag("span", name, title=about) for name, about in _COLUMNS.items()),
                class_="tree-head",
                aria_hidden="true",
            ),
            tag("div", id="tree", role="tree", aria_label="Search tree"),
            tag("noscript", empty("The trees are drawn by a script, and scripts are off here.")),
            tag(
                "p",
                f"{count(len(shown))} of {count(n_searches)} searches, of different seeds, chosen "
                f"because they end right about as often as wrong.{left} N: visits. Q: mean value. "
                "π: share of the visits that went this way. right: rollouts from here that ended "
                "right. Pale steps were proposed and not taken.",
                class_="note",
            ),
            class_="card wide",
        ),
        tag("script", data, type="application/json", id="tree-data"),
    )


_COLUMNS: Final = {
    "N": "visits",
    "Q": "mean value",
    "π": "share of the visits",
    "right": "rollouts from here that ended right",
}


def _compact(tree: SearchTree) -> dict[str, Any]:
    """A tree for JSON; what a line does not have is left out."""
    lines = [
        {key: value for key, value in asdict(line).items() if value not in (None, 0, "", False)}
        for line in tree.lines
    ]
    return asdict(tree) | {"lines": lines}


def thoughts(shown: Sequence[ShownThought], *, n_thoughts: int) -> Markup:
    """Programs with their recorded runs, and beside them what was thought."""
    lede = (
        "A program, what it really did, and a thought that leads to it. Every claim of the thought "
        "was compared with the run."
    )
    if not shown:
        return section("code", "Thoughts about code", lede, empty("There is no code in this run."))
    return section(
        "code",
        "Thoughts about code",
        lede,
        *(_thought(thought, is_open=not n) for n, thought in enumerate(shown)),
        tag(
            "p",
            f"{count(len(shown))} of {count(n_thoughts)} writings: one that failed, if any did, "
            "and one of each way of writing.",
            class_="note",
        ),
    )


def _thought(own: ShownThought, *, is_open: bool) -> Markup:
    mark, name = ("✓ verified", "good") if own.verified else ("✗ not verified", "bad")
    trips = (
        f"{own.n_passed} of {own.n_round_trips} programs written from it pass the tests"
        if own.n_round_trips
        else ""
    )
    return tag(
        "details",
        tag(
            "summary",
            tag("span", mark, class_=f"mark {name}"),
            tag("span", _ROUTES.get(own.route, own.route), class_="route"),
            tag("span", own.question, class_="asked"),
        ),
        tag(
            "div",
            tag(
                "div",
                tag("h3", "Program"),
                tag("pre", tag("code", own.code), tabindex=0),
                *(
                    (tag("h3", "Recorded run"), tag("pre", tag("code", own.run), tabindex=0))
                    if own.run
                    else ()
                ),
            ),
            tag(
                "div",
                tag("h3", "Thought"),
                tag("p", own.question, class_="question text"),
                tag("ol", *map(_step, own.steps), class_="steps"),
                tag("p", f"… {own.n_left_out} more steps", class_="note")
                if own.n_left_out
                else None,
                tag(
                    "p",
                    "Not verified: " if own.reasons else "",
                    "; ".join(own.reasons),
                    ". " if own.reasons else "",
                    f"{trips}." if trips else "",
                    class_="note text",
                ),
            ),
            class_="beside",
        ),
        class_="card thought",
        open=is_open,
    )


def _step(step: CheckedStep) -> Markup:
    sign, name, about = _CHECKS.get(step.check, _CHECKS["uncheckable"])
    false: list[Child] = [
        tag(
            "p",
            tag("span", "✗ ", class_="bad", aria_hidden="true"),
            tag("code", claim.text),
            f" — by the run: {claim.actual}" if claim.actual is not None else " — is false",
            class_="claim text",
        )
        for claim in step.claims
        if claim.verdict == "contradicted"
    ]
    n_true = sum(claim.verdict == "holds" for claim in step.claims)
    return tag(
        "li",
        tag("span", sign, class_=f"sign {name}", title=about, role="img", aria_label=about),
        tag(
            "div",
            tag("span", step.factor, class_=f"factor {step.family}"),
            tag("span", f"{n_true} claim{'s' * (n_true > 1)} true", class_="dim small")
            if n_true
            else None,
            tag("div", step.text, class_="text"),
            *false,
        ),
    )
