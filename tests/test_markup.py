"""Thought-factor markup: rendering and parsing undo each other, whatever the text holds."""

import re

import pytest
from hypothesis import given
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
STEPS = st.builds(Step, HOSTILE, st.sampled_from(Factor))
TRACES = st.builds(Trace, st.just("q"), st.lists(STEPS, max_size=5).map(tuple), st.none() | HOSTILE)


@given(TRACES)
def test_a_rendered_trace_parses_to_itself(trace: Trace):
    assert parse(render(trace), question="q") == trace


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
