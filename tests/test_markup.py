"""Thought-factor markup: rendering and parsing undo each other, whatever the text holds."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datagen.errors import MarkupError
from datagen.factors.taxonomy import Factor
from datagen.traces.markup import (
    MARKUP_TOKENS,
    THINK_END,
    THINK_START,
    escape,
    parse,
    parse_tail,
    render,
    render_step,
    render_thought,
    unescape,
)
from datagen.traces.model import Step, Trace

HOSTILE = st.lists(
    st.sampled_from(
        [*MARKUP_TOKENS[:6], "<ACT_Compute-End>", "<ACT_", "<Think_", "<", "\\", "\\\\<ACT_", "\n"]
    )
    | st.text(max_size=5),
    max_size=8,
).map("".join)
# Whatever could be taken for a tag, whole and cut off anywhere, among any characters at all.
TAGS = [*MARKUP_TOKENS, "<ACT_DrawFigure-Start> ", " <ACT_DrawFigure-End>\n", "<\\Think_End>\n"]
CUT_OFF = sorted({tag[:end] for tag in TAGS for end in range(1, len(tag) + 1)})
# fmt: off
ODD = [
    "\\", "\\\\", "<", ">", "</", "<|", "\n", "\r\n", "\x00", "\x1b[0m", "\ud800", "\udfff\ud800",
    "é", "e\u0301", "\u202e", "\u2028", "\u200b", "👩\u200d🔬", "＜ACT_Plan", "<ACT_\u0130", "ſ",
    "[Compute]", "\n[Plan] ", "<think>", "</think>", "&lt;ACT_", "%s", "{0}", "$x$", "\\boxed{",
]
# fmt: on
PIECES = st.sampled_from(CUT_OFF) | st.sampled_from(ODD) | st.text(st.characters(), max_size=3)
WILD = st.lists(PIECES, max_size=5).map("".join)
STEPS = st.builds(Step, HOSTILE, st.sampled_from(Factor))
TRACES = st.builds(Trace, st.just("q"), st.lists(STEPS, max_size=5).map(tuple), st.none() | HOSTILE)


@given(TRACES)
def test_a_rendered_trace_parses_to_itself(trace: Trace):
    assert parse(render(trace), question="q") == trace


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.builds(Step, WILD, st.sampled_from(Factor)), max_size=3).map(tuple),
    st.none() | WILD,
)
def test_ten_thousand_hostile_traces_parse_to_themselves(
    steps: tuple[Step, ...], answer: str | None
):
    trace = Trace("q", steps, answer)
    text = render(trace)
    assert parse(text, question="q") == trace
    tags = re.findall(r"<(?:Think|ACT)_\w+(?:-\w+)?>", text.removesuffix(answer or ""))
    assert len(tags) == 1 + 2 * len(steps) + (answer is not None)


@given(HOSTILE)
def test_escaping_hides_every_tag_and_can_be_undone(text: str):
    assert unescape(escape(text)) == text
    assert not re.search(r"<(Think_|ACT_)", escape(text))


@given(st.lists(STEPS, min_size=1, max_size=4).map(tuple), st.data())
def test_a_cut_off_thought_gives_its_complete_steps(steps: tuple[Step, ...], data: st.DataObject):
    text = "".join(map(render_step, steps))
    cut = data.draw(st.integers(0, len(text)))
    tail = parse_tail(text[:cut])
    assert tail.steps == steps[: len(tail.steps)]
    assert tail.answer is None
    at = tail.offsets[-1][1] if tail.offsets else 0
    assert text[:cut] == text[:at] + tail.rest
    assert [text[low:high] for low, high in tail.offsets] == [render_step(s) for s in tail.steps]


@given(HOSTILE)
def test_no_generated_text_makes_the_tail_parser_fail(text: str):
    tail = parse_tail(text)
    assert tail.rest == "" or text.endswith(tail.rest)


def test_a_thought_renders_as_documented():
    steps = (Step("find it", Factor.RESTATE_GOAL), Step("3*6=18", Factor.COMPUTE))
    assert render(Trace("q", steps, "18")) == (
        "<Think_Start>\n<ACT_RestateGoal-Start> find it <ACT_RestateGoal-End>\n"
        "<ACT_Compute-Start> 3*6=18 <ACT_Compute-End>\n<Think_End>\n18"
    )
    assert render(Trace("q", steps)) == render_thought(steps)


@pytest.mark.parametrize(
    "text",
    [
        "18",
        THINK_START + "loose text",
        THINK_START + "<ACT_Compute-Start> 1 <ACT_Plan-End>\n",
        THINK_START + "<ACT_Nonsense-Start> 1 <ACT_Nonsense-End>\n",
        THINK_START + "<ACT_Plan-Start> <ACT_Compute-Start> 1 <ACT_Compute-End>\n <ACT_Plan-End>\n",
        THINK_START + "<ACT_Plan-Start> never closed" + THINK_END,
    ],
)
def test_broken_markup_is_an_error_that_shows_the_place(text: str):
    with pytest.raises(MarkupError, match=r"found|markup breaks at"):
        parse(text)
