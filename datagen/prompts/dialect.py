"""How each job is asked of a model, behind one interface.

A search speaks one dialect from beginning to end and does not know which. The dialect's
fingerprint is part of the engine's, and thereby of each journal key: answers to prompts that were
worded otherwise are never found again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from datagen.engines.protocol import (
    Answer,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Prompt,
    Request,
    Sampling,
    Score,
    ScoreRequest,
)
from datagen.errors import ConfigError
from datagen.factors.taxonomy import Factor
from datagen.prompts import (
    code,
    critique,
    instruct,
    instruct_code,
    instruct_critique,
    instruct_rubric,
    native,
    sloppy,
    tagging,
)
from datagen.prompts.code import ThoughtJob
from datagen.prompts.reading import Opinion, Reading, StepSurprisal, text_of
from datagen.traces.markup import THINK_START
from datagen.traces.model import Step, Trace
from schemas import JudgeName

PromptStyle = Literal["native", "instruct"]
"""How a model is asked: in the reasoner's own markup, or in plain words by a chat template."""


class Dialect(Protocol):
    """The words in which one kind of model is asked, and its answers understood.

    No reader raises: a bad completion is data.
    """

    @property
    def fingerprint(self) -> str:
        """Changes with every word of every prompt."""
        ...

    @property
    def critic(self) -> JudgeName:
        """Name of its critiques in tables."""
        ...

    @property
    def follows_instructions(self) -> bool:
        """Whether its models can be asked for what no model is trained on: summaries, criteria."""
        ...

    def rollout_requests(
        self, state: Trace, n: int, *, sampling: Sampling, first: int = 0
    ) -> list[CompletionRequest]:
        """Ask for ``n`` completions of ``state`` to the end, samples ``first`` and on."""
        ...

    def read_rollout(self, completion: Completion, state: Trace) -> Reading:
        """Read a completion of ``state``."""
        ...

    def visible(self, completion: Completion) -> str:
        """What a verifier reads of a completion, to the end or of an answer step."""
        ...

    def segment_request(
        self, state: Trace, factor: Factor, *, temperature: float, max_tokens: int, sample_idx: int
    ) -> CompletionRequest:
        """Ask one replica for the next step under ``factor``; an answer runs on to the end."""
        ...

    def read_segment(self, completion: Completion, state: Trace, factor: Factor) -> Reading:
        """Read the next step; without steps if it is none, or another one."""
        ...

    def prior_request(self, state: Trace) -> ChoiceRequest:
        """Ask for the distribution over the next thought factor."""
        ...

    def read_prior(self, answer: Choice, *, min_prior: float) -> dict[Factor, float]:
        """The legal factors and their priors, which sum to one; never empty."""
        ...

    def score_request(self, trace: Trace) -> ScoreRequest:
        """Ask how improbable the policy finds the steps of ``trace``."""
        ...

    def read_score(self, score: Score, trace: Trace) -> tuple[StepSurprisal, ...]:
        """Surprisal of each step, ``(n_steps,)``."""
        ...

    def tag_requests(self, trace: Trace, step_idx: int) -> Sequence[Request]:
        """Ask which thought factor one step performs, with its neighbours in view."""
        ...

    def read_tag(self, answers: Sequence[Answer]) -> dict[Factor, float]:
        """The posterior over thought factors; the answers to :meth:`tag_requests`."""
        ...

    def critique_prompt(self, trace: Trace) -> Prompt:
        """Ask for a critique of a whole trace."""
        ...

    def read_critique(self, completion: Completion, trace: Trace) -> Opinion:
        """Read a critique; one that was cut off has not come to its verdict."""
        ...

    def thought_request(
        self, job: ThoughtJob, *, sampling: Sampling, sample_idx: int
    ) -> CompletionRequest:
        """Ask for the thought that leads to a given program."""
        ...

    def read_thought(self, completion: Completion) -> tuple[Step, ...] | None:
        """Its steps; ``None`` if there is none, or it does not come to its end."""
        ...

    def code_requests(
        self, question: str, thought: Sequence[Step], n: int, *, sampling: Sampling
    ) -> list[CompletionRequest]:
        """Ask ``n`` times for code, from question and thought (it may be empty) alone."""
        ...

    def read_code(self, completion: Completion) -> str | None:
        """The code; ``None`` if there is none, or it was cut off."""
        ...

    def summary_request(
        self, trace: Trace, *, sampling: Sampling, sample_idx: int
    ) -> CompletionRequest:
        """Ask for a short neutral summary of a trace.

        Raises:
            ConfigError: if models of this dialect cannot write one.
        """
        ...

    def read_summary(self, completion: Completion) -> str | None:
        """The summary; ``None`` if there is none."""
        ...

    def criterion_request(self, question: str, response: str, criterion: str) -> ChoiceRequest:
        """Ask whether an answer meets one criterion of a rubric; the answer is not trusted.

        Raises:
            ConfigError: if models of this dialect cannot judge that.
        """
        ...

    def read_criterion(self, answer: Choice) -> float | None:
        """Probability that it does; ``None`` if the engine does not tell."""
        ...


@dataclass(frozen=True, slots=True)
class Native:
    """The markup of :mod:`datagen.traces.markup`, for models that were trained on it."""

    fingerprint: str = "native-1"
    critic: JudgeName = "native_critique"
    follows_instructions: bool = False

    rollout_requests = staticmethod(native.rollout_requests)
    segment_request = staticmethod(native.segment_request)
    prior_request = staticmethod(native.prior_request)
    read_prior = staticmethod(native.read_prior)
    score_request = staticmethod(native.score_request)
    read_score = staticmethod(native.read_score)
    tag_requests = staticmethod(tagging.native_requests)
    read_tag = staticmethod(tagging.read_native)
    critique_prompt = staticmethod(critique.critique_prompt)
    thought_request = staticmethod(code.thought_request)
    read_thought = staticmethod(code.read_thought)
    code_requests = staticmethod(code.code_requests)
    read_code = staticmethod(code.read_code)

    def read_rollout(self, completion: Completion, state: Trace) -> Reading:
        """Read a completion of ``state``, which tagged text does not tell again."""
        return native.read_rollout(completion)

    def read_segment(self, completion: Completion, state: Trace, factor: Factor) -> Reading:
        """Read the next step."""
        return native.read_segment(completion, factor)

    def visible(self, completion: Completion) -> str:
        """All of it: the prompt opened the thought, and nothing is an answer before its end."""
        return THINK_START + text_of(completion)

    def read_critique(self, completion: Completion, trace: Trace) -> Opinion:
        """Read a critique."""
        text = text_of(completion)
        cut_off = completion.finish != "stop"
        return Opinion(None, "", text) if cut_off else critique.read_critique(text, trace)

    def summary_request(
        self, trace: Trace, *, sampling: Sampling, sample_idx: int
    ) -> CompletionRequest:
        """There is none: no model learns it with the markup."""
        raise _cannot_be_asked("has no summaries")

    def read_summary(self, completion: Completion) -> str | None:
        """There is none."""
        return None

    def criterion_request(self, question: str, response: str, criterion: str) -> ChoiceRequest:
        """There is none: no model learns it with the markup."""
        raise _cannot_be_asked("cannot judge answers by a rubric")

    def read_criterion(self, answer: Choice) -> float | None:
        """There is none."""
        return None


def _cannot_be_asked(what: str) -> ConfigError:
    return ConfigError(
        f'engine.prompts="native" {what}; set engine.prompts to "instruct" and '
        "engine.model to a model that follows instructions"
    )


@dataclass(frozen=True, slots=True)
class Instruct:
    """Conversations in plain words, for models that follow instructions."""

    critic: JudgeName = "instruct_critique"
    follows_instructions: bool = True

    rollout_requests = staticmethod(instruct.rollout_requests)
    read_rollout = staticmethod(sloppy.read_rollout)
    visible = staticmethod(sloppy.visible)
    segment_request = staticmethod(instruct.segment_request)
    read_segment = staticmethod(sloppy.read_segment)
    prior_request = staticmethod(instruct.prior_request)
    read_prior = staticmethod(instruct.read_prior)
    score_request = staticmethod(instruct.score_request)
    read_score = staticmethod(instruct.read_score)
    tag_requests = staticmethod(tagging.instruct_requests)
    read_tag = staticmethod(tagging.read_instruct)
    critique_prompt = staticmethod(instruct_critique.critique_prompt)
    thought_request = staticmethod(instruct_code.thought_request)
    read_thought = staticmethod(instruct_code.read_thought)
    code_requests = staticmethod(instruct_code.code_requests)
    read_code = staticmethod(instruct_code.read_code)
    summary_request = staticmethod(instruct.summary_request)
    read_summary = staticmethod(instruct.read_summary)
    criterion_request = staticmethod(instruct_rubric.criterion_request)
    read_criterion = staticmethod(instruct_rubric.read_criterion)

    @property
    def fingerprint(self) -> str:
        """Version of the form, and a hash of all that is said around it."""
        words = "\0".join(
            [
                *(instruct.TASK, instruct.SUMMARY_TASK, instruct_critique.TASK),
                *(instruct_rubric.TASK, tagging.TASK),
                *(instruct_code.THOUGHT_TASK, instruct_code.CODE_TASK),
            ]
        )
        return f"instruct-1-{hashlib.sha256(words.encode()).hexdigest()[:8]}"

    def read_critique(self, completion: Completion, trace: Trace) -> Opinion:
        """Read what stands behind the model's thought, if it has one."""
        text = text_of(completion)
        reply = sloppy.reply_of(text)
        cut_off = completion.finish != "stop" or not reply
        return Opinion(None, "", text) if cut_off else instruct_critique.read_critique(reply, trace)


NATIVE: Final = Native()
INSTRUCT: Final = Instruct()

DIALECTS: Final[dict[PromptStyle, Dialect]] = {"native": NATIVE, "instruct": INSTRUCT}
"""Every dialect by the name that ``engine.prompts`` takes."""
