"""The thought factors: the discrete reasoning actions that a policy chooses between.

The vocabulary is closed and versioned, because it is an action space: a policy head trained on one
version has one output per action, in the order written here. Append members, never reorder them,
and raise the built-in version with any change.

A file named by ``DATAGEN_TAXONOMY`` appends factors of the user's own, and may take built-in ones
out of use (:mod:`datagen.factors.extension`). It is read when this module is imported. What is out
of use is still a member, so that data of before is still read; :data:`ACTIONS` says what may be
chosen.
"""

from enum import StrEnum
from typing import Final

from datagen.factors.descriptions import DESCRIPTIONS, Description
from datagen.factors.extension import Extension, OwnFactor, extension_in_force
from datagen.factors.vocabularies import LABELS

BUILT_IN_VERSION: Final = "2"

EXTENSION: Final[Extension | None] = extension_in_force(
    known=DESCRIPTIONS, version=BUILT_IN_VERSION, labels=LABELS
)
"""The user's file, if there is one."""

OWN_FACTORS: Final[tuple[OwnFactor, ...]] = EXTENSION.factors if EXTENSION else ()
"""What the file adds, in the order of the members."""

TAXONOMY_VERSION: Final[str] = EXTENSION.version if EXTENSION else BUILT_IN_VERSION
"""The version in force, which data carries."""


class Factor(StrEnum):
    """A thought factor; the value is the name used in markup, e.g. ``<ACT_RestateGoal-Start>``.

    Attributes:
        definition: one line.
        example: a step that performs it.
        counter_example: a step that people mistake for it.
    """

    definition: str
    example: str
    counter_example: str
    _counter_factor: str

    def __new__(
        cls, value: str, definition: str, description: Description | OwnFactor | None = None
    ) -> "Factor":
        """Attach definition and examples; those of built-in factors are found by name."""
        described = description or DESCRIPTIONS[value]
        member = str.__new__(cls, value)
        member._value_ = value
        member.definition = definition
        member.example = described.example
        member.counter_example = described.counter_example
        member._counter_factor = described.counter_factor
        return member

    @property
    def counter_factor(self) -> "Factor":
        """The factor that the counter example really performs."""
        return Factor(self._counter_factor)

    RESTATE_GOAL = "RestateGoal", "say in own words what is asked for"
    EXTRACT_GIVENS = "ExtractGivens", "list the facts and quantities that the question states"
    FORMALISE = "Formalise", "turn words into symbols, equations or types"
    RECALL_FACT = "RecallFact", "bring in a fact that the question does not state"
    RECALL_METHOD = "RecallMethod", "name a known theorem, algorithm or technique"
    DECOMPOSE = "Decompose", "split the problem into parts that can be solved apart"
    SET_SUBGOAL = "SetSubgoal", "name the next thing to find"
    PLAN = "Plan", "lay out the operations to come before doing them"
    CASE_SPLIT = "CaseSplit", "treat alternatives one by one"
    HYPOTHESISE = "Hypothesise", "propose an answer or relation that is still to be tested"
    TRY_EXAMPLE = "TryExample", "work a concrete instance to learn from it"
    DEDUCE = "Deduce", "draw a conclusion without calculating"
    COMPUTE = "Compute", "carry out a calculation"
    SIMULATE_EXECUTION = "SimulateExecution", "follow a program or process state by state"
    BACKWARD_CHAIN = "BackwardChain", "reason from the goal back to what it needs"
    CHECK_STEP = "CheckStep", "verify one earlier step"
    CHECK_RESULT = "CheckResult", "verify the result as a whole"
    DETECT_ERROR = "DetectError", "say that something written earlier is wrong"
    CORRECT_ERROR = "CorrectError", "replace what was wrong by what is right"
    BACKTRACK = "Backtrack", "give up the current line and return to an earlier state"
    SWITCH_APPROACH = "SwitchApproach", "start over with a different method"
    ASSESS_PROGRESS = (
        "AssessProgress",
        "judge how far the goal is and if the path is promising",
    )
    CONSOLIDATE = "Consolidate", "gather what has been found so far"
    ANSWER = "Answer", "state the final answer"
    OTHER = "Other", "a step that performs none of the other actions"
    # Own factors; the body of an enum takes members by name like any other assignment.
    vars().update({own.member: (own.name, own.definition, own) for own in OWN_FACTORS})


_ALWAYS: Final = {Factor.ANSWER, Factor.OTHER}
"""Searches end with the one, and steps that cannot be read are the other."""

_OUT_OF_USE: Final[frozenset[str]] = (
    frozenset(DESCRIPTIONS) - EXTENSION.use - _ALWAYS
    if EXTENSION and EXTENSION.use is not None
    else frozenset()
)

ACTIONS: Final[tuple[Factor, ...]] = tuple(f for f in Factor if f.value not in _OUT_OF_USE)
"""The factors that a policy may choose between, in the order of its outputs."""
