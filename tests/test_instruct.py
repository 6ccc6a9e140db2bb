r"""The instruct form: what is asked, and how sloppy replies are read.

The samples are what instruct and reasoning models make of such a form. Each stands with the reading
that a careful person would give it.
"""

import time
from itertools import accumulate, pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from datagen.engines.protocol import Chat, Choice, Completion, Finish, Message, Sampling, Score
from datagen.factors.taxonomy import Factor
from datagen.prompts import instruct
from datagen.prompts.dialect import INSTRUCT
from datagen.prompts.instruct import (
    prior_request,
    prompt_of,
    read_prior,
    read_score,
    read_summary,
    rollout_requests,
    score_request,
    segment_request,
    summary_request,
)
from datagen.prompts.reading import StepSurprisal
from datagen.prompts.sloppy import read_rollout, read_segment, visible
from datagen.prompts.tag_lines import (
    STOP,
    escape,
    opening,
    render_step,
    render_steps,
    tags,
    unescape,
)
from datagen.search.run import verifier_of
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome, extract_answer

QUESTION = Trace("How many?")
STATE = Trace("How many?", (Step("6 apples, 3 bags", Factor.EXTRACT_GIVENS),))


def reply(text: str, finish: Finish = "stop") -> Completion:
    """A completion of one token per word, each as likely as it is short."""
    cuts = [0, *(i + 1 for i, char in enumerate(text) if char in " \n"), len(text)]
    tokens = [text[a:b] for a, b in pairwise(cuts) if b > a]
    ends = tuple(accumulate(map(len, tokens)))
    return Completion(text, finish, tuple(-float(len(token)) for token in tokens), ends)


def steps_of(text: str) -> tuple[Step, ...]:
    """Steps in short: ``Factor|words``, with ``~`` between them."""
    pairs = [part.split("|", 1) for part in text.split("~") if part]
    return tuple(Step(words, Factor(factor)) for factor, words in pairs)


# ---- what is asked


def test_the_question_stands_in_the_users_turn_and_the_thought_begins_the_reply() -> None:
    state = Trace("How {many}?", (Step("3 * 6 = 18", Factor.COMPUTE), Step("a\nb")))
    assert prompt_of(state) == Chat(
        (Message("user", instruct.TASK + "How {many}?"),),
        "[Compute] 3 * 6 = 18\n[Other] a\nb\n",
    )
    assert prompt_of(QUESTION).prefill == ""


def test_the_task_explains_every_factor_and_its_example_is_read_without_repair() -> None:
    for factor in Factor:
        assert f"\n[{factor.value}] {factor.definition}\n" in instruct.TASK
    example = instruct.TASK.partition("could be:\n\n")[2].partition("\n\nThe problem")[0]
    reading = read_rollout(reply(example), QUESTION)
    assert (len(reading.steps), reading.answer, reading.sloppy) == (6, "14", False)


def test_samples_are_numbered_from_the_first_that_is_wanted() -> None:
    sampling = Sampling(temperature=0.5)
    requests = rollout_requests(STATE, 2, sampling=sampling, first=3)
    assert [(r.prompt, r.sampling, r.sample_idx) for r in requests] == [
        (prompt_of(STATE), sampling, 3),
        (prompt_of(STATE), sampling, 4),
    ]


def test_a_segment_is_asked_for_behind_its_tag_and_ends_at_the_next() -> None:
    request = segment_request(STATE, Factor.COMPUTE, temperature=0.8, max_tokens=9, sample_idx=1)
    assert isinstance(request.prompt, Chat)
    assert request.prompt.prefill == "[ExtractGivens] 6 apples, 3 bags\n[Compute]"
    assert request.sampling == Sampling(temperature=0.8, max_tokens=9, stop=("\n[",))
    answer = segment_request(STATE, Factor.ANSWER, temperature=1, max_tokens=9, sample_idx=0)
    assert answer.sampling.stop == ()


def test_a_prior_is_asked_for_behind_the_opening_bracket() -> None:
    request = prior_request(STATE)
    assert isinstance(request.prompt, Chat)
    assert request.prompt.prefill == "[ExtractGivens] 6 apples, 3 bags\n["
    assert request.choices == tuple(f"{factor.value}]" for factor in Factor)


def test_a_prior_keeps_what_is_likely_and_sums_to_one() -> None:
    mass = {Factor.COMPUTE: 0.3, Factor.ANSWER: 0.1, Factor.PLAN: 0.001}
    choice = Choice(tuple(mass.get(factor, 0.0) for factor in Factor))
    prior = read_prior(choice, min_prior=0.02)
    assert prior == pytest.approx({Factor.COMPUTE: 0.75, Factor.ANSWER: 0.25}, rel=0.01)


@pytest.mark.parametrize("nothing", [0.0, float("nan")])
def test_a_server_that_tells_no_probabilities_makes_every_factor_equally_likely(
    nothing: float,
) -> None:
    prior = read_prior(Choice((nothing,) * len(Factor)), min_prior=0.9)
    assert prior == pytest.approx(dict.fromkeys(Factor, 1 / len(Factor)))


def test_a_step_has_the_surprisal_of_its_tag_and_the_largest_of_its_words() -> None:
    trace = Trace("?", (Step("1+1=2", Factor.COMPUTE), Step("2", Factor.ANSWER)))
    request = score_request(trace)
    assert request.prompt == prompt_of(Trace("?"))
    assert request.text == "[Compute] 1+1=2\n[Answer] 2\n"
    ends = tuple(accumulate(map(len, ["[Compute]", " 1", "+1=2\n", "[Ans", "wer]", " 2", "\n"])))
    score = Score((-0.5, -1.0, -2.0, -0.25, -0.25, -3.0, -0.125), ends)
    assert read_score(score, trace) == (
        StepSurprisal(0.5, 2.0, 3.5, 3),
        StepSurprisal(0.5, 3.0, 3.625, 4),
    )


def test_what_a_server_does_not_tell_is_no_surprise() -> None:
    trace = Trace("?", (Step("1+1=2", Factor.COMPUTE), Step("2", Factor.ANSWER)))
    unscored = StepSurprisal(0.0, 0.0)
    assert read_score(Score((), ()), trace) == (unscored, unscored)
    first, second = read_score(Score((-2.0, -3.0, float("nan"), -1.0), (9, 12, 16, 27)), trace)
    assert first == StepSurprisal(0.0, 0.0, float("inf"), 3)
    assert second == StepSurprisal(0.0, 1.0, 1.0, 1)


def test_a_summary_shows_question_and_steps_and_is_read_on_one_line() -> None:
    sampling = Sampling(temperature=0.5)
    request = summary_request(Trace("How many?", STATE.steps, "2"), sampling=sampling, sample_idx=3)
    assert (request.sampling, request.sample_idx) == (sampling, 3)
    assert isinstance(request.prompt, Chat)
    assert "How many?" in request.prompt.messages[0].content
    assert "6 apples, 3 bags" in request.prompt.messages[0].content
    assert request.prompt.messages[0].content.endswith("Answer: 2\n")
    text = "<think>short!</think>\nSummary: It counts\nthe apples. "
    assert read_summary(reply(text)) == "It counts the apples."
    assert read_summary(reply(text, "length")) is None
    assert read_summary(reply("<think>and so on")) is None


# ---- what comes back

AS_ASKED = [
    ("[Compute] 3 * 6 = 18\n[Answer] \\boxed{18}", "Compute|3 * 6 = 18~Answer|\\boxed{18}", "18"),
    # blank lines, indents, a step of several lines, mathematics on lines of its own
    (
        "\n[Compute]  3 * 6\n\n= 18 \n\n[Answer] So \\boxed{18}.\n",
        "Compute|3 * 6\n\n= 18~Answer|So \\boxed{18}.",
        "18",
    ),
    (
        "[Compute] We have\n\\[\n3 \\cdot 6 = 18\n\\]\n[Answer] \\boxed{18}",
        "Compute|We have\n\\[\n3 \\cdot 6 = 18\n\\]~Answer|\\boxed{18}",
        "18",
    ),
    ("[Answer] It is\n\\[\n\\boxed{18}\n\\]", "Answer|It is\n\\[\n\\boxed{18}\n\\]", "18"),
    ("[Compute] -5 + 3 = -2\n[Answer] \\boxed{-2}", "Compute|-5 + 3 = -2~Answer|\\boxed{-2}", "-2"),
    ("[Plan] \\boxed{17}?\n[Answer] \\boxed{18}", "Plan|\\boxed{17}?~Answer|\\boxed{18}", "18"),
    ("[Answer] \\boxed{1} and \\boxed{2}", "Answer|\\boxed{1} and \\boxed{2}", "1, 2"),
    ("[Answer] \\boxed{\\frac{1}{2}}", "Answer|\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
    # the last box of the last answer counts
    ("[Answer] \\boxed{17}\n[DetectError] no\n[Answer] \\boxed{18}",
     "Answer|\\boxed{17}~DetectError|no~Answer|\\boxed{18}", "18"),
    ("[Answer] \\boxed{17} is wrong, it is \\boxed{18}",
     "Answer|\\boxed{17} is wrong, it is \\boxed{18}", "18"),
    # brackets that are no tags
    ("[Compute] the list\n[1, 2, 3]\nhas 3\n[Answer] \\boxed{3}",
     "Compute|the list\n[1, 2, 3]\nhas 3~Answer|\\boxed{3}", "3"),
    ("[Compute] see\n[this page](http://x)\n[Answer] \\boxed{3}",
     "Compute|see\n[this page](http://x)~Answer|\\boxed{3}", "3"),
    ("[Compute] \ud800 = 18\n[Answer] \\boxed{18}", "Compute|\ufffd = 18~Answer|\\boxed{18}", "18"),
    # a closed thought before the steps is none of them
    (
        "<think>\nHm, 3*6. [maybe]\n\nYes.\n</think>\n\n[Compute] 18\n[Answer] \\boxed{18}",
        "Compute|18~Answer|\\boxed{18}",
        "18",
    ),
    (
        "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>"
        "[Compute] 18\n[Answer] \\boxed{18}",
        "Compute|18~Answer|\\boxed{18}",
        "18",
    ),
    (
        "<think>[Compute] 17?</think>[Compute] 18\n[Answer] \\boxed{18}",
        "Compute|18~Answer|\\boxed{18}",
        "18",
    ),
]  # fmt: skip

TWO = "Compute|3*6=18~Answer|\\boxed{18}"
PLAIN = "Compute|3*6=18~Answer|18"
SLOPPY = [
    # the tag in other dress
    ("**[Compute]** 3*6=18\n**[Answer]** \\boxed{18}", TWO, "18"),
    ("**[Compute]**: 3*6=18\n**[Answer]**: \\boxed{18}", TWO, "18"),
    ("**[Compute]:** 3*6=18\n**[Answer]:** \\boxed{18}", TWO, "18"),
    ("**[Compute] 3*6=18**\n**[Answer] \\boxed{18}**", TWO, "18"),
    ("*[Compute]* 3*6=18\n_[Answer]_ \\boxed{18}", TWO, "18"),
    ("`[Compute]` 3*6=18\n`[Answer]` \\boxed{18}", TWO, "18"),
    ("### [Compute] 3*6=18\n### [Answer] \\boxed{18}", TWO, "18"),
    ("### [Compute]\n3*6=18\n\n### [Answer]\n\\boxed{18}", TWO, "18"),
    ("> [Compute] 3*6=18\n> [Answer] \\boxed{18}", TWO, "18"),
    ("- [Compute] 3*6=18\n- [Answer] \\boxed{18}", TWO, "18"),
    ("• [Compute] 3*6=18\n• [Answer] \\boxed{18}", TWO, "18"),
    ("1. [Compute] 3*6=18\n2. [Answer] \\boxed{18}", TWO, "18"),
    ("1) [Compute] 3*6=18\n2) [Answer] \\boxed{18}", TWO, "18"),
    ("(1) [Compute] 3*6=18\n(2) [Answer] \\boxed{18}", TWO, "18"),
    ("1. **[Compute]** 3*6=18\n2. **[Answer]** \\boxed{18}", TWO, "18"),
    ("Step 1 [Compute]: 3*6=18\nStep 2 [Answer]: \\boxed{18}", TWO, "18"),
    ("Step 1: [Compute] 3*6=18\nStep 2: [Answer] \\boxed{18}", TWO, "18"),
    ("**Step 1: [Compute]** 3*6=18\n**Step 2: [Answer]** \\boxed{18}", TWO, "18"),
    ("### Step 1 – Compute:\n3*6=18\n### Step 2 – Answer:\n\\boxed{18}", TWO, "18"),
    ("Step 1 (Compute): 3*6=18\nStep 2 (Answer): \\boxed{18}", TWO, "18"),
    ("[Step 1: Compute] 3*6=18\n[Step 2: Answer] \\boxed{18}", TWO, "18"),
    ("[Compute 1] 3*6=18\n[Answer] \\boxed{18}", TWO, "18"),
    ("[ Compute ] 3*6=18\n[ Answer ] \\boxed{18}", TWO, "18"),
    ("【Compute】3*6=18\n【Answer】\\boxed{18}", TWO, "18"),
    ("[Compute: 3*6=18]\n[Answer: \\boxed{18}]", TWO, "18"),
    ("[Compute] 3*6=18 [/Compute]\n[Answer] \\boxed{18} [/Answer]", TWO, "18"),
    ("[Compute] 3*6=18. [Answer] \\boxed{18}", "Compute|3*6=18.~Answer|\\boxed{18}", "18"),
    ("[Compute] [Compute] 3*6=18\n[Answer] \\boxed{18}", TWO, "18"),
    # the name in other dress
    ("[compute] 3*6=18\n[answer] \\boxed{18}", TWO, "18"),
    ("[COMPUTE] 3*6=18\n[FINAL ANSWER] \\boxed{18}", TWO, "18"),
    ("Compute: 3*6=18\nAnswer: \\boxed{18}", TWO, "18"),
    ("**Compute:** 3*6=18\n\n**Answer:** \\boxed{18}", TWO, "18"),
    ("- **Compute**: 3*6=18\n- **Answer**: \\boxed{18}", TWO, "18"),
    ("## Compute\n3*6=18\n\n## Final Answer\n\\boxed{18}", TWO, "18"),
    ("**Compute**\n3*6=18\n\n**Final Answer**\n\\boxed{18}", TWO, "18"),
    ("[Restate goal] x\n[check-result] y\n[SIMULATE_EXECUTION] z\n[Answer] \\boxed{1}",
     "RestateGoal|x~CheckResult|y~SimulateExecution|z~Answer|\\boxed{1}", "1"),
    ("[Formalize] x = 3\n[Hypothesize] 18?\n[Answer] \\boxed{18}",
     "Formalise|x = 3~Hypothesise|18?~Answer|\\boxed{18}", "18"),
    # names that are no factors
    ("[Simplify] 3*6=18\n[Answer] \\boxed{18}", "Other|3*6=18~Answer|\\boxed{18}", "18"),
    ("[Step 1] 3*6\n[Step 2] \\boxed{18}", "Other|3*6~Other|\\boxed{18}", "18"),
    # markup that a tuned model was taught
    ("<ACT_Compute-Start> 3*6=18 <ACT_Compute-End>\n<ACT_Answer-Start> 18 <ACT_Answer-End>\n"
     "<Think_End>\n18", PLAIN, "18"),
    ("<Think_Start>\n<ACT_Compute-Start> 3*6=18 <ACT_Compute-End>\n<Think_End>\n18", PLAIN, "18"),
    # no tags
    ("Each bag has 6.\n\nSo 3*6=18.\n\nThe answer is \\boxed{18}.",
     "Other|Each bag has 6.~Other|So 3*6=18.~Other|The answer is \\boxed{18}.", "18"),
    ("Each bag has 6. So there are 18.", "Other|Each bag has 6.~Other|So there are 18.", None),
    ("18", "Other|18", "18"),
    # words around the steps
    ("Sure! Here is the solution:\n\n[Compute] 3*6=18\n[Answer] \\boxed{18}", TWO, "18"),
    ("Let's solve this step by step.\n[Compute] 3*6=18\n[Answer] \\boxed{18}", TWO, "18"),
    ("Three bags hold 6 each.\n[Compute] 3*6=18\n[Answer] \\boxed{18}",
     "Other|Three bags hold 6 each.~" + TWO, "18"),
    ("[Compute] 3*6=18\n[Answer] \\boxed{18}\n\nLet me know if you have questions!", TWO, "18"),
    ("[Compute] 3*6=18\n[Answer] 18\n\nI hope this helps.", PLAIN, "18"),
    ("[Compute] 3*6=18\n[Answer] \\boxed{18}\n[CheckResult] 18/6=3", TWO, "18"),
    ("```\n[Compute] 3*6=18\n[Answer] \\boxed{18}\n```", TWO, "18"),
    ("Here you go:\n```text\n[Compute] 3*6=18\n[Answer] \\boxed{18}\n```\nBye 1", TWO, "18"),
    ("```\n[Compute] 3*6=18\n```\nand so on", "Compute|3*6=18", None),
    # the answer
    ("[Compute] 3*6=18\n[Answer] 18", PLAIN, "18"),
    ("[Plan] 3*6\n[Answer] The answer is 18.", "Plan|3*6~Answer|The answer is 18.", "18"),
    ("[Compute] 3*6 = 18", "Compute|3*6 = 18", None),
    ("[Compute] 3*6=18\nSo the answer is \\boxed{18}.",
     "Compute|3*6=18\nSo the answer is \\boxed{18}.", "18"),
    ("[Compute] 3*6=18\n[Answer]", "Compute|3*6=18", None),
    # thoughts
    ("<think>\n[Compute] 3*6=18\n</think>\n\nIt is \\boxed{18}.",
     "Compute|3*6=18~Answer|It is \\boxed{18}.", "18"),
    ("<think>\n3*6 is due.\n\nThat is 18.\n</think>\n\nIt is \\boxed{18}.",
     "Other|3*6 is due.~Other|That is 18.~Answer|It is \\boxed{18}.", "18"),
    ("<think>\n3*6=18.\n</think>\n[Answer] \\boxed{18}", "Other|3*6=18.~Answer|\\boxed{18}", "18"),
    ("[Compute] 3*6=18\n</think>\n\n**Answer:** 18", PLAIN, "18"),
    ("[Compute] 3*6=18\n[Answer] \\boxed{18}\n</think>\n\nIt is \\boxed{18}.", TWO, "18"),
    ("[THINK]3*6 is 18[/THINK]The answer is 18.", "Other|3*6 is 18~Answer|The answer is 18.", "18"),
    ("<think>\n3*6 is 18, so \\boxed{18}", "Other|3*6 is 18, so \\boxed{18}", None),
    ("◁think▷3*6 is 18.◁/think▷[Answer] \\boxed{18}", "Other|3*6 is 18.~Answer|\\boxed{18}", "18"),
    ("<thinking>[Compute] 3*6=18</thinking>", "Compute|3*6=18", None),
    ("<think>[Answer] \\boxed{18}</think>[Compute] 3*6", "Compute|3*6", "18"),
    # next to nothing
    ("", "", None),
    (" \n\n ", "", None),
    ("[Compute]", "", None),
]  # fmt: skip


def test_there_are_enough_samples() -> None:
    assert len({text for text, _, _ in SLOPPY}) >= 60


@pytest.mark.parametrize(("text", "steps", "answer"), AS_ASKED)
def test_what_is_written_as_asked_is_read_without_repair(
    text: str, steps: str, answer: str
) -> None:
    reading = read_rollout(reply(text), QUESTION)
    assert (reading.steps, reading.answer) == (steps_of(steps), answer)
    assert (reading.rest, reading.sloppy) == ("", False)


@pytest.mark.parametrize(("text", "steps", "answer"), SLOPPY)
def test_what_is_not_is_repaired_and_called_sloppy(
    text: str, steps: str, answer: str | None
) -> None:
    reading = read_rollout(reply(text), QUESTION)
    assert (reading.steps, reading.answer) == (steps_of(steps), answer)
    assert (reading.rest, reading.sloppy) == ("", True)


@pytest.mark.parametrize(("text", "steps", "answer"), AS_ASKED + SLOPPY)
def test_the_verifier_reads_the_very_answer_that_the_trace_has(
    text: str, steps: str, answer: str | None
) -> None:
    verdict = verifier_of({"answer": "18", "verifier": "exact"}, INSTRUCT)(reply(text))
    assert verdict.extracted == answer
    if answer is None:
        assert verdict.outcome is Outcome.UNVERIFIABLE


def test_steps_that_end_in_a_number_hold_no_answer() -> None:
    assert extract_answer(visible(reply("[Compute] 3 * 6 = 18"))) is None
    assert extract_answer(visible(reply("[Compute] x = 18\n[Plan] 7"))) is None


def test_a_thought_told_again_from_the_beginning_is_read_from_where_it_goes_on() -> None:
    again = render_steps(STATE.steps) + "[Compute] 3 * 6 = 18\n[Answer] \\boxed{18}"
    reading = read_rollout(reply(again), STATE)
    assert (reading.steps, reading.sloppy) == (
        steps_of("Compute|3 * 6 = 18~Answer|\\boxed{18}"),
        True,
    )
    n_repeated = len(reply(render_steps(STATE.steps)).ends)
    assert sum(reading.n_tokens) == reply(again).n_tokens - n_repeated
    # from another state the same steps are new
    assert len(read_rollout(reply(again), QUESTION).steps) == 3


def test_a_thought_that_the_template_opened_is_gone_on_with() -> None:
    """The prompt's last words are within <think>, so only its end is in the reply."""
    text = "[Compute] 3 * 6 = 18\n</think>\n\n[Answer] \\boxed{18}"
    reading = read_rollout(reply(text), STATE)
    assert reading.steps == steps_of("Compute|3 * 6 = 18~Answer|\\boxed{18}")


@pytest.mark.parametrize(
    ("text", "steps", "answer", "rest"),
    [
        ("[Plan] a\n[Compute] 3 * 6 =", "Plan|a", None, "[Compute] 3 * 6 ="),
        ("[Plan] a\n[Answer] It is 1", "Plan|a", None, "[Answer] It is 1"),
        ("[Plan] a\n[Answer] It is \\boxed{1", "Plan|a", None, "[Answer] It is \\boxed{1"),
        ("[Plan] a\n[Answer] \\boxed{1}\nLet me", "Plan|a~Answer|\\boxed{1}", "1", ""),
        ("One thing.\n\nAnother th", "Other|One thing.", None, "Another th"),
        ("<think>\nOne thing.\n\nAnother th", "Other|One thing.", None, "Another th"),
    ],
)
def test_what_was_cut_off_is_left_unread(
    text: str, steps: str, answer: str | None, rest: str
) -> None:
    for finish in ("length", "context"):
        reading = read_rollout(reply(text, finish), QUESTION)
        assert (reading.steps, reading.answer, reading.rest) == (steps_of(steps), answer, rest)


def test_being_cut_off_is_not_sloppy() -> None:
    assert not read_rollout(reply("[Plan] a\n[Compute] 3 *", "length"), QUESTION).sloppy
    assert read_rollout(reply("[Plan] a\n[Compute] 3 *"), QUESTION).sloppy


def test_each_step_has_its_own_tokens_and_the_least_likely_of_them() -> None:
    text = "<think>loooooooong</think>\n[Plan] aa bbbb\n[Answer] \\boxed{1}"
    reading = read_rollout(reply(text), QUESTION)
    assert reading.n_tokens == (3, 2)
    assert reading.min_logprobs == (-7.0, -9.0)


@pytest.mark.parametrize("unknown", [float("nan"), float("-inf")])
def test_a_log_probability_that_no_server_told_is_unknown(unknown: float) -> None:
    told = reply("[Plan] a\n[Answer] \\boxed{1}")
    completion = Completion(told.text, "stop", (unknown, *told.logprobs[1:]), told.ends)
    reading = read_rollout(completion, QUESTION)
    assert reading.min_logprobs == (None, -9.0)
    assert reading.n_tokens == (2, 2)
    assert reading.min_logprob is None
    assert read_rollout(told, QUESTION).min_logprob == -9.0


# ---- one step

SEGMENTS = [
    (" 3 * 6 = 18" + STOP, "Compute|3 * 6 = 18", False),
    (" 3 * 6 = 18\n" + STOP, "Compute|3 * 6 = 18", False),
    (" 3 * 6\n= 18" + STOP, "Compute|3 * 6\n= 18", False),
    (" 3 * 6 = 18", "Compute|3 * 6 = 18", False),
    ("(3 * 6) = 18" + STOP, "Compute|(3 * 6) = 18", True),
    (": 3 * 6 = 18" + STOP, "Compute|3 * 6 = 18", True),
    # an engine that overran the stop string, a second step in another dress
    (" 3 * 6 = 18\n[Deduce] so 18\n[Answer] \\boxed{18}", "Compute|3 * 6 = 18", True),
    (" 3 * 6 = 18\n**Deduce:** so 18", "Compute|3 * 6 = 18", True),
    (" 3 * 6 = 18\n</think>\n\nThe answer is 18.", "Compute|3 * 6 = 18", True),
    # a server that does not continue but begins again
    (" [Compute] 3 * 6 = 18" + STOP, "Compute|3 * 6 = 18", True),
    ("\n[ExtractGivens] 6 apples, 3 bags\n[Compute] 3 * 6 = 18", "Compute|3 * 6 = 18", True),
    ("<think>so</think>\n[Compute] 3 * 6 = 18", "Compute|3 * 6 = 18", True),
    ("<think>so</think>\n[ExtractGivens] 6 apples, 3 bags\n[Compute] 18\n[Plan] x",
     "Compute|18", True),
    # not a step of the factor asked for
    (STOP, "", True),
    ("", "", True),
    (" [Deduce] so 18" + STOP, "", True),
    ("\n[ExtractGivens] 6 apples, 3 bags\n[Deduce] so 18", "", True),
    ("<think>3 * 6 = 18", "", True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "steps", "sloppy"), SEGMENTS)
def test_a_segment_is_one_step_of_the_factor_asked_for(text: str, steps: str, sloppy: bool) -> None:
    completion = reply(text)
    reading = read_segment(completion, STATE, Factor.COMPUTE)
    assert (reading.steps, reading.answer, reading.sloppy) == (steps_of(steps), None, sloppy)
    assert reading.rest == ("" if steps else text)
    if not sloppy:
        assert reading.n_tokens == (completion.n_tokens,)


def test_a_segment_that_was_cut_off_is_no_step() -> None:
    reading = read_segment(reply(" 3 * 6", "length"), STATE, Factor.COMPUTE)
    assert (reading.steps, reading.rest, reading.sloppy) == ((), " 3 * 6", False)
    whole = read_segment(reply(" 3 * 6\n[Plan] a", "length"), STATE, Factor.COMPUTE)
    assert whole.steps == steps_of("Compute|3 * 6")


@pytest.mark.parametrize(
    ("text", "finish", "steps", "answer", "sloppy"),
    [
        (" It is \\boxed{18}.", "stop", "Answer|It is \\boxed{18}.", "18", False),
        (" 18", "stop", "Answer|18", "18", True),
        (" It is \\boxed{18}.\n\nFeel free", "length", "Answer|It is \\boxed{18}.", "18", True),
        (" It is \\boxed{1", "length", "", None, False),
        (" \\boxed{18}\n</think>\nSo \\boxed{18}.", "stop", "Answer|\\boxed{18}", "18", True),
        (" many", "stop", "Answer|many", "many", True),
    ],
)
def test_an_answer_runs_to_the_end_and_is_what_the_verifier_reads(
    text: str, finish: Finish, steps: str, answer: str | None, sloppy: bool
) -> None:
    completion = reply(text, finish)
    reading = read_segment(completion, STATE, Factor.ANSWER)
    assert (reading.steps, reading.answer, reading.sloppy) == (steps_of(steps), answer, sloppy)
    verdict = verifier_of({"answer": "18", "verifier": "exact"}, INSTRUCT)(completion)
    assert verdict.extracted == answer


# ---- hostile text

PIECES = st.sampled_from(
    [
        *(opening(factor) for factor in (Factor.COMPUTE, Factor.ANSWER, Factor.OTHER)),
        *("[Foo]", "[compute]", "[/Compute]", "[1, 2]", "[\\Compute]", "["),
        *("]", "\\[", " [", "【Plan】", "(Plan)", "Plan", "[Plan", "Plan]", "[ Plan ]"),
        *("\n", "\n", "\n ", " ", "  ", "\t", "\r", "\\", ".", "5", "x", ":", "**"),
        *("- ", "1. ", "> ", "* ", "#", "_", "`", "(1) ", "Step 1"),
        *("Compute:", "Answer: ", "Final Answer", "Step 2: ", "Step 3 (Compute):", "## Plan"),
        *("<think>", "</think>", "<\\think>", "<|channel|>final<|message|>", "[THINK]", "[/THINK]"),
        *("<ACT_Compute-Start>", "<ACT_Compute-End>", "<Think_End>\n", "<Think_Start>", "◁think▷"),
        *("```", "```\n", "\\boxed{", "\\boxed{7}", "}", "#### 7", "answer is 7", "Let me know"),
        *("\ud800", "²", "\x00", "\u2028", "\x85", "ſ", "K"),
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40)
WORDS = TEXTS.map(lambda text: text.replace("\ud800", "?")).filter(str.strip)
THOUGHTS = [factor for factor in Factor if factor is not Factor.ANSWER]
STEPS = st.lists(st.builds(Step, WORDS, st.sampled_from(THOUGHTS)), max_size=4)


@given(WORDS)
@example("a\n [Compute] x")
@example("a\n[\\Compute]\n  Compute: x")
@example("</think>\n<\\\\Think_End>")
def test_escaped_words_come_back_and_hold_neither_tag_nor_stop_string(text: str) -> None:
    escaped = escape(text)
    assert unescape(escaped) == text.strip()
    assert STOP not in escaped
    assert list(tags(f"[Plan] {escaped}")) == list(tags("[Plan]"))


@given(STEPS)
def test_steps_written_down_and_read_again_are_the_same(steps: list[Step]) -> None:
    text = render_steps(steps) + "[Answer] It is \\boxed{7}."
    assume("\ufffd" not in text)
    reading = read_rollout(reply(text), QUESTION)
    stripped = tuple(Step(step.text.strip(), step.factor) for step in steps)
    assert reading.steps == (*stripped, Step("It is \\boxed{7}.", Factor.ANSWER))
    assert (reading.answer, reading.rest, reading.sloppy) == ("7", "", False)
    assert sum(reading.n_tokens) == reply(text).n_tokens


@given(WORDS, st.sampled_from(THOUGHTS))
def test_a_segment_written_down_and_read_again_is_the_same(text: str, factor: Factor) -> None:
    written = render_step(Step(text, factor)).removeprefix(opening(factor))
    reading = read_segment(reply(written + "["), QUESTION, factor)
    assert reading.steps == (Step(text.strip(), factor),)
    assert not reading.sloppy


@given(TEXTS, st.sampled_from(["stop", "length"]), STEPS)
@settings(deadline=None)
def test_no_reply_raises_and_no_token_is_counted_twice(
    text: str, finish: Finish, steps: list[Step]
) -> None:
    completion, state = reply(text, finish), Trace("?", tuple(steps))
    readings = [read_rollout(completion, state)]
    readings += [read_segment(completion, state, f) for f in (Factor.COMPUTE, Factor.ANSWER)]
    for reading in readings:
        assert len(reading.steps) == len(reading.n_tokens) == len(reading.min_logprobs)
        assert sum(reading.n_tokens) <= completion.n_tokens
        assert all(step.text.strip() == step.text != "" for step in reading.steps)
    assert isinstance(visible(completion), str)
    assert len(read_score(Score(completion.logprobs, completion.ends), state)) == len(steps)


@pytest.mark.parametrize(
    "unit",
    ["[", "**", "\n", "1. ", "</think>", "\\boxed{", " ", "Step 1: ", "[Compute] ", "\n[Compute] a",
     "```\n", "[/Compute]", "Answer: ", "> ", "[a-b_c ", "[Answer] \\boxed{1}\n", "Let me know "],
)  # fmt: skip
def test_long_hostile_replies_take_time_in_proportion(unit: str) -> None:
    completion = reply("[Answer] " + unit * (20_000 // len(unit)))
    began = time.process_time()
    read_rollout(completion, QUESTION)
    assert time.process_time() - began < 3.0
