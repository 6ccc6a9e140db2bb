"""The thought factors: the discrete reasoning actions that a policy chooses between.

The vocabulary is closed and versioned, because it is an action space: a policy head trained on one
version has one output per member, in the order written here. Append members, never reorder them,
and raise :data:`TAXONOMY_VERSION` with any change.
"""

from enum import StrEnum
from typing import Final

TAXONOMY_VERSION: Final = "1"


class Factor(StrEnum):
    """A thought factor; the value is the name used in markup, e.g. ``<ACT_RestateGoal-Start>``."""

    definition: str

    def __new__(cls, value: str, definition: str) -> "Factor":
        """Attach the one-line definition to the member."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.definition = definition
        return member

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
