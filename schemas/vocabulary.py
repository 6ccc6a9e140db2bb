"""The closed vocabularies that columns draw from, as types and as tuples in the same order.

Thought factors are absent on purpose: their taxonomy is versioned on its own, so factor columns are
plain strings here and a new factor does not change a contract.
"""

from typing import Final, Literal, get_args

Domain = Literal["math", "code", "general"]
"""What a question is about."""

Verifier = Literal[
    "math",
    "exact",
    "choice",
    "numeric",
    "python",
    "python_output",
    "python_input",
    "command",
    "rubric",
]
"""How an answer is compared with the gold answer; *rubric*: not at all, since nobody could."""

OWN_VERIFIER: Final = "own:"
"""What the name of a user's own verifier begins with, before its name in the settings."""

Outcome = Literal["correct", "wrong", "unverifiable", "truncated"]
"""How a completion ended; *unverifiable* is never counted as wrong."""

Provenance = Literal["human", "model", "code"]
"""Who wrote a step: a person, a language model, or the execution of a program."""

Algorithm = Literal["puct", "beam", "revise", "shepherd", "omega", "best_of_n", "first_error"]
"""The search that asked for a completion."""

LabelSource = Literal["posterior", "rollouts", "outcome", "execution", "human", "none"]
"""What a step's label rests on: the posterior over its trace's first error, rollouts from it alone,
its trace's outcome, a run of the program that it speaks of, what people decided, or nothing."""

Route = Literal["model", "grounded", "narrator"]
"""Who turned code into a thought: a model, a model with a run in view, or rules alone."""

ClaimKind = Literal["value", "returns", "raises", "iterations", "arithmetic"]
"""What a thought claims of a run."""

ClaimVerdict = Literal["holds", "contradicted", "uncheckable"]
"""What the run says of a claim; *uncheckable* is never counted as false."""

StepCheck = Literal["checked", "contradicted", "uncheckable"]
"""What the run says of a step: its claims hold, one is false, or it makes none that can be told."""

CodeTaskKind = Literal["program", "output", "input"]
"""What a question about code asks for."""

Role = Literal["system", "user", "assistant"]
"""Who speaks in a chat message."""

DOMAINS: Final[tuple[Domain, ...]] = get_args(Domain)
VERIFIERS: Final[tuple[Verifier, ...]] = get_args(Verifier)
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
PROVENANCES: Final[tuple[Provenance, ...]] = get_args(Provenance)
ALGORITHMS: Final[tuple[Algorithm, ...]] = get_args(Algorithm)
LABEL_SOURCES: Final[tuple[LabelSource, ...]] = get_args(LabelSource)
ROLES: Final[tuple[Role, ...]] = get_args(Role)
ROUTES: Final[tuple[Route, ...]] = get_args(Route)
CLAIM_KINDS: Final[tuple[ClaimKind, ...]] = get_args(ClaimKind)
CLAIM_VERDICTS: Final[tuple[ClaimVerdict, ...]] = get_args(ClaimVerdict)
STEP_CHECKS: Final[tuple[StepCheck, ...]] = get_args(StepCheck)
CODE_TASKS: Final[tuple[CodeTaskKind, ...]] = get_args(CodeTaskKind)
