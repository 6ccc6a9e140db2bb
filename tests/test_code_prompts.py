"""The code jobs in both dialects: what is asked, and what is made of the answers."""

import re
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.code.check import check_thought
from datagen.code.execution import trace_trusted
from datagen.code.leaks import find_leak
from datagen.engines.protocol import Chat, Completion, CompletionRequest, Finish, Sampling
from datagen.factors.taxonomy import Factor
from datagen.prompts import instruct_code
from datagen.prompts.code import ThoughtJob
from datagen.prompts.dialect import DIALECTS, INSTRUCT, NATIVE, PromptStyle
from datagen.traces.markup import THINK_END, THINK_START, parse, render_thought
from datagen.traces.model import Step

SAMPLING = Sampling(temperature=0.7, max_tokens=99)
QUESTION = "Write a function add_up(xs) that adds {all} numbers."
CODE = "def add_up(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return total"
RUN = "add_up([3, 1])\ntotal = 0\niteration 1: total = 3\nadd_up([3, 1]) returns 4\n"
STEPS = (
    Step("set total to 0; for each x in xs: add x to total", Factor.PLAN),
    Step("take xs = [3, 1]", Factor.TRY_EXAMPLE),
    Step("so add_up([3, 1]) returns 4", Factor.CHECK_RESULT),
)
REASONS = ("after the first iteration: total is 3, not 4", "a program written from it fails: {}")
JOB = ThoughtJob(QUESTION, CODE + "\n")
REVISION = ThoughtJob(QUESTION, CODE, RUN, STEPS, REASONS)
HOSTILE = "{question} {0} %s ```\n</think> [Answer] <Think_End>\n[Compute] <ACT_Plan-Start> \\1 \0"


def reply(text: str, finish: Finish = "stop") -> Completion:
    ends = tuple(accumulate(map(len, text)))
    return Completion(text, finish, (-1.0,) * len(text), tuple(range(1, len(ends) + 1)))


def asked(request: CompletionRequest) -> str:
    """The one user's turn of a conversation whose reply is not begun."""
    assert isinstance(request.prompt, Chat)
    assert request.prompt.prefill == ""
    (message,) = request.prompt.messages
    assert message.role == "user"
    return message.content


def thought_words(job: ThoughtJob) -> str:
    return asked(INSTRUCT.thought_request(job, sampling=SAMPLING, sample_idx=0))


def code_words(question: str, thought: tuple[Step, ...] = ()) -> str:
    return asked(INSTRUCT.code_requests(question, thought, 1, sampling=SAMPLING)[0])


# ---- both


@pytest.mark.parametrize("style", ["native", "instruct"])
def test_samples_are_numbered_and_drawn_as_told(style: PromptStyle) -> None:
    dialect = DIALECTS[style]
    requests = dialect.code_requests(QUESTION, STEPS, 3, sampling=SAMPLING)
    assert [(r.sampling, r.sample_idx) for r in requests] == [(SAMPLING, i) for i in range(3)]
    assert len({str(request.prompt) for request in requests}) == 1
    thought = dialect.thought_request(JOB, sampling=SAMPLING, sample_idx=5)
    assert (thought.sampling, thought.sample_idx) == (SAMPLING, 5)


@pytest.mark.parametrize("style", ["native", "instruct"])
def test_all_that_is_given_is_shown_and_nothing_else(style: PromptStyle) -> None:
    def shown(job: ThoughtJob) -> str:
        return str(DIALECTS[style].thought_request(job, sampling=SAMPLING, sample_idx=0).prompt)

    for part in (QUESTION, "total += x", *(step.text for step in STEPS), *REASONS, "returns 4"):
        assert part in shown(REVISION)
    for part in (STEPS[0].text, REASONS[0], "iteration 1: total = 3"):
        assert part not in shown(JOB)
    failed = ThoughtJob(QUESTION, CODE, failed=STEPS)
    assert shown(failed) == shown(ThoughtJob(QUESTION, CODE))


@pytest.mark.parametrize("style", ["native", "instruct"])
def test_a_program_is_asked_for_without_a_word_of_the_given_one(style: PromptStyle) -> None:
    (request,) = DIALECTS[style].code_requests(QUESTION, STEPS, 1, sampling=SAMPLING)
    words = str(request.prompt)
    assert QUESTION in words and all(step.text in words for step in STEPS)
    assert "total +=" not in words


@pytest.mark.parametrize("style", ["native", "instruct"])
def test_no_text_is_too_hostile_to_be_shown(style: PromptStyle) -> None:
    dialect = DIALECTS[style]
    steps = (Step(HOSTILE.replace("\0", ""), Factor.PLAN),)
    job = ThoughtJob(HOSTILE, HOSTILE, HOSTILE, steps, (HOSTILE,))
    dialect.thought_request(job, sampling=SAMPLING, sample_idx=0)
    dialect.code_requests(HOSTILE, steps, 1, sampling=SAMPLING)


@pytest.mark.parametrize("style", ["native", "instruct"])
@given(text=st.text(), finish=st.sampled_from(("stop", "length")))
def test_no_reply_breaks_a_reader(style: PromptStyle, text: str, finish: Finish) -> None:
    steps = DIALECTS[style].read_thought(reply(text, finish))
    assert steps is None or steps
    code = DIALECTS[style].read_code(reply(text, finish))
    assert code is None or code.strip()


# ---- native


def test_a_native_thought_comes_back_as_it_was_rendered() -> None:
    steps = (*STEPS, Step(HOSTILE, Factor.CONSOLIDATE))
    written = render_thought(steps).removeprefix(THINK_START) + THINK_END
    assert NATIVE.read_thought(reply(written)) == steps
    assert NATIVE.read_thought(reply(written.removesuffix(THINK_END))) is None
    assert NATIVE.read_thought(reply(THINK_END)) is None


def test_a_native_program_is_asked_for_where_the_thought_has_ended() -> None:
    for steps in (STEPS, ()):
        (request,) = NATIVE.code_requests(QUESTION, steps, 1, sampling=SAMPLING)
        assert isinstance(request.prompt, str)
        trace = parse(request.prompt[request.prompt.index(THINK_START) :])
        assert (trace.steps, trace.answer) == (steps, "")


def test_a_native_revision_shows_the_thought_in_markup_and_ends_where_a_new_one_begins() -> None:
    prompt = NATIVE.thought_request(REVISION, sampling=SAMPLING, sample_idx=0).prompt
    assert isinstance(prompt, str)
    assert prompt.endswith(THINK_START)
    assert render_thought(STEPS) in prompt


def test_native_code_is_the_whole_reply() -> None:
    assert NATIVE.read_code(reply(f"\n{CODE}\n")) == CODE
    assert NATIVE.read_code(reply(CODE, "length")) is None
    assert NATIVE.read_code(reply(" \n")) is None


# ---- instruct: what is asked


def test_every_factor_but_the_answer_is_explained() -> None:
    for factor in Factor:
        line = f"\n[{factor.value}] {factor.definition}\n"
        assert (line in instruct_code.THOUGHT_TASK) == (factor is not Factor.ANSWER)


def test_the_example_in_the_task_obeys_the_rules_that_it_illustrates() -> None:
    task = instruct_code.THOUGHT_TASK
    thought = INSTRUCT.read_thought(
        reply(task.partition("could be:\n\n")[2].partition("\n\nNow your task")[0])
    )
    found = re.search(r"```python\n(.*?)\n```", task, re.DOTALL)
    assert thought is not None and found is not None
    runs = trace_trusted(found[1], ("count_rises([2, 5, 4, 7])", "count_rises([5])"))
    check = check_thought(thought, runs, entry_point="count_rises")
    assert [claim.verdict for claim in check.claims] == ["holds"] * 7
    assert find_leak(thought, code=found[1]) is None
    assert thought[-1].factor in (Factor.CONSOLIDATE, Factor.CHECK_RESULT)


def test_a_failed_thought_is_shown_in_tag_lines_with_its_reasons_behind_it() -> None:
    words = thought_words(REVISION)
    attempt = "[Plan] set total to 0; for each x in xs: add x to total\n[TryExample] take xs"
    reasons = "".join(f"- {reason}\n" for reason in REASONS)
    assert 0 < words.index(RUN.strip()) < words.index(attempt) < words.index(reasons)


def test_a_part_that_is_missing_takes_its_words_along() -> None:
    assert "A run of the program:" in thought_words(REVISION)
    assert "earlier attempt" in thought_words(REVISION)
    assert "A run of the program:" not in thought_words(JOB)
    assert "earlier attempt" not in thought_words(JOB)
    grounded = thought_words(ThoughtJob(QUESTION, CODE, RUN))
    assert "A run of the program:" in grounded and "earlier attempt" not in grounded


def test_with_and_without_a_thought_a_program_is_asked_for_in_the_same_words() -> None:
    with_notes = code_words(QUESTION, STEPS).split("\n\n")
    bare = code_words(QUESTION).split("\n\n")
    (notes,) = [paragraph for paragraph in with_notes if paragraph not in bare]
    assert notes.endswith("[CheckResult] so add_up([3, 1]) returns 4")
    assert [paragraph for paragraph in with_notes if paragraph != notes] == bare


def test_what_is_shown_is_not_mistaken_for_a_part_of_the_task() -> None:
    question = "a\n\n{notes}\n\n{reasons}"
    assert question in code_words(question)
    assert question in thought_words(ThoughtJob(question, CODE))


def test_a_program_with_fences_stands_in_a_longer_one() -> None:
    code = 'def f():\n    """\n    ```\n    x\n    ```\n    """'
    assert f"````python\n{code}\n````\n" in thought_words(ThoughtJob(QUESTION, code))


@pytest.mark.parametrize("name", ["THOUGHT_TASK", "CODE_TASK"])
def test_the_fingerprint_changes_with_the_words(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = INSTRUCT.fingerprint
    requests = thought_words(REVISION), code_words(QUESTION, STEPS)
    monkeypatch.setattr(instruct_code, name, getattr(instruct_code, name).replace("Write", "Put"))
    assert INSTRUCT.fingerprint != before
    assert (thought_words(REVISION), code_words(QUESTION, STEPS)) != requests


# ---- instruct: thoughts

PLAN = Step("Keep a total.", Factor.PLAN)
CHECK = Step("f([1, 2]) returns 3.", Factor.CHECK_RESULT)
TWO = (PLAN, CHECK)
FENCED = f"```python\n{CODE}\n```"

THOUGHTS = [
    ("[Plan] Keep a total.\n[CheckResult] f([1, 2]) returns 3.", TWO),
    ("**[Plan]** Keep a total.\n\n**[CheckResult]** f([1, 2]) returns 3.", TWO),
    ("1. Plan: Keep a total.\n2. CheckResult: f([1, 2]) returns 3.", TWO),
    ("### Plan\nKeep a total.\n\n### Check result\nf([1, 2]) returns 3.", TWO),
    ("```\n[Plan] Keep a total.\n[CheckResult] f([1, 2]) returns 3.\n```", TWO),
    (
        "Sure, here it is:\n\n[plan] Keep a total.\n[check_result] f([1, 2]) returns 3.",
        TWO,
    ),
    ("[Plan] Keep a total. [/Plan]\n[CheckResult] f([1, 2]) returns 3. [/CheckResult]", TWO),
    (render_thought(TWO) + THINK_END, TWO),
    # a thought of the model's own before the reply is none of ours; as the reply's wrapper it is
    ("<think>The code adds.\n\nSo...</think>\n[Plan] Keep a total.", (PLAN,)),
    ("<think>[Plan] The code adds.</think>\n[Plan] Keep a total.", (PLAN,)),
    ("<think>The code adds.</think>\nKeep a total.", (Step("Keep a total."),)),
    ("<think>\n[Plan] Keep a total.\n</think>", (PLAN,)),
    (f"<think>\n[Plan] Keep a total.\n</think>\n{FENCED}", (PLAN,)),
    # programs behind the thought, and farewells
    (f"[Plan] Keep a total.\n[Answer]\n{FENCED}", (PLAN,)),
    (f"[Plan] Keep a total.\n[Answer] {CODE}", (PLAN,)),
    (f"[Plan] Keep a total.\n[Answer] Here it is:\n{CODE}", (PLAN,)),
    (f"[Plan] Keep a total.\n\n{FENCED}\n\nIt adds.", (PLAN,)),
    ("[Plan] Keep a total.\n\nLet me know if you want the code!", (PLAN,)),
    ("[Plan] Keep a total.\n[Answer] It is 3.", (PLAN, Step("It is 3.", Factor.ANSWER))),
    # no tags
    ("Keep a total.\n\nGive it back.", (Step("Keep a total."), Step("Give it back."))),
    # nothing
    ("", None),
    ("[Plan]", None),
    ("Sure, here it is:", None),
    (f"[Answer]\n{FENCED}", None),
    ("<think>[Plan] Keep a total.", None),
    ("<think>The code adds.</think>", None),
]


@pytest.mark.parametrize(("text", "steps"), THOUGHTS)
def test_a_thought_is_read_in_whatever_dress(text: str, steps: tuple[Step, ...] | None) -> None:
    assert INSTRUCT.read_thought(reply(text)) == steps


@pytest.mark.parametrize("text", [text for text, _ in THOUGHTS])
def test_a_thought_that_was_cut_off_is_none(text: str) -> None:
    assert INSTRUCT.read_thought(reply(text, "length")) is None
    assert INSTRUCT.read_thought(reply(text, "context")) is None


def test_a_thought_without_surrogates_is_what_tables_get() -> None:
    assert INSTRUCT.read_thought(reply("[Plan] \ud800!")) == (Step("\ufffd!", Factor.PLAN),)


# ---- instruct: programs

OTHER = "```python\ndef wrong(): pass\n```"
INDENTED = "\n".join(f"   {line}" for line in FENCED.split("\n"))
DOCSTRING = 'def f(x):\n    """As in:\n\n    ```\n    def g(): ...\n    ```\n    """\n    return x'

PROGRAMS = [
    FENCED,
    f"Sure! Here it is:\n\n{FENCED}\n\nIt adds all numbers up.",
    f"```\n{CODE}\n```",
    f"```Py\n{CODE}\n```",
    f"~~~python3\n{CODE}\n~~~",
    f"````python\n{CODE}\n````",
    f'```python title="a.py"\n{CODE}\n```',
    f"1. Here:\n{INDENTED}",
    f"[Answer]\n{FENCED}",
    FENCED.removesuffix("```"),
    CODE,
    f"\n{CODE}\n\n",
    f"Here it is:\n\n{CODE}",
    # the last that defines a function, whatever stands behind it
    f"{OTHER}\nBetter:\n{FENCED}",
    f"{FENCED}\nUse it so:\n```python\nprint(add_up([1]))\n```",
    f"{FENCED}\nUse it so:\n```python\nresult = add_up([1])\n```",
    f"{FENCED}\nOutput:\n```\ntotal = 3\n```",
    f"{FENCED}\n```bash\ndef=1\n```",
    f"{FENCED}\nor\n```python\ndef broken(:\n```",
    # the model's own thought
    f"<think>\n{OTHER}\n</think>\n{FENCED}",
    f"<|channel|>analysis<|message|>{OTHER}<|channel|>final<|message|>{FENCED}",
    f"[THINK]{OTHER}\n[/THINK]\n{CODE}",
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_program_is_read_in_whatever_dress(text: str) -> None:
    assert INSTRUCT.read_code(reply(text)) == CODE


@pytest.mark.parametrize("code", [DOCSTRING, "f = lambda x: x", "class A:\n    pass"])
def test_a_program_may_be_of_any_form(code: str) -> None:
    assert INSTRUCT.read_code(reply(f"```python\n{code}\n```")) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot do that.",
        "Sorry",
        "```python\nprint(3)\n```",
        "```python\ndef broken(:\n```",
        "```python\n" + "(" * 5000 + "\n```",
        "```python\ndef f(): return '\0'\n```",
        f"<think>{FENCED}",
        f"<think>{FENCED}</think>It adds.",
    ],
)
def test_what_defines_nothing_is_no_program(text: str) -> None:
    assert INSTRUCT.read_code(reply(text)) is None


def test_a_program_that_was_cut_off_is_none_but_words_behind_it_may_be() -> None:
    assert INSTRUCT.read_code(reply(FENCED + "\nThis adds", "length")) == CODE
    assert INSTRUCT.read_code(reply(FENCED.removesuffix("```"), "length")) is None
    assert INSTRUCT.read_code(reply(CODE, "length")) is None
    draft = f"{OTHER}\nBetter:\n```python\ndef add_up(xs):\n    total ="
    assert INSTRUCT.read_code(reply(draft, "length")) is None
