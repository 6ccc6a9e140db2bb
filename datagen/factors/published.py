"""Where each thought factor stands in the published taxonomies, and the way there and back.

The surprising fact: most of these taxonomies do not divide the same cake. rStar and HiAR-ICL list
what a search may ask for next, o1's patterns describe whole answers, cognitive behaviours name four
habits and leave all else unnamed. So a mapping is *the nearest label of a single step*, often there
is none, and the way back gives several candidates. The judgement is ours, not the papers'.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from datagen.factors.taxonomy import OWN_FACTORS, Factor
from datagen.factors.vocabularies import (
    LABELS,
    TAXONOMIES,
    CognitiveBehaviour,
    Episode,
    HiarAction,
    Label,
    O1Pattern,
    RStar,
    Taxonomy,
    ThoughtAnchor,
)


@dataclass(frozen=True, slots=True)
class Counterparts:
    """The nearest label in each taxonomy, in their order; ``None`` without a counterpart."""

    rstar: RStar | None = None
    cognitive_behaviours: CognitiveBehaviour | None = None
    thought_anchors: ThoughtAnchor | None = None
    schoenfeld: Episode | None = None
    o1_patterns: O1Pattern | None = None
    hiar: HiarAction | None = None

    def of(self, taxonomy: Taxonomy) -> Label | None:
        """The label in one of them."""
        return cast(Label | None, getattr(self, taxonomy))


COUNTERPARTS: Final[dict[Factor, Counterparts]] = {
    Factor.RESTATE_GOAL: Counterparts("A5", None, "problem_setup", "Read", "CI", "SA"),
    # rStar's rephrasing is a list of the conditions.
    Factor.EXTRACT_GIVENS: Counterparts("A5", None, "problem_setup", "Read", "CI", "SA"),
    Factor.FORMALISE: Counterparts("A1", None, "problem_setup", "Analyze", "SA", "SA"),
    Factor.RECALL_FACT: Counterparts("A1", None, "fact_retrieval", "Analyze", None, "OST"),
    Factor.RECALL_METHOD: Counterparts("A1", None, "fact_retrieval", "Analyze", "MR", "OST"),
    Factor.DECOMPOSE: Counterparts("A3", "subgoal_setting", "plan_generation", "Plan", "DC", "DC"),
    Factor.SET_SUBGOAL: Counterparts(
        "A3", "subgoal_setting", "plan_generation", "Plan", "DC", "DC"
    ),
    Factor.PLAN: Counterparts("A1", "subgoal_setting", "plan_generation", "Plan", "SA", "SA"),
    Factor.CASE_SPLIT: Counterparts("A1", None, "plan_generation", "Explore", "DC", "DC"),
    Factor.HYPOTHESISE: Counterparts("A1", None, "uncertainty_management", "Explore", None, "OST"),
    Factor.TRY_EXAMPLE: Counterparts("A1", None, "active_computation", "Explore", None, "OST"),
    Factor.DEDUCE: Counterparts("A1", None, "active_computation", "Analyze", None, "OST"),
    Factor.COMPUTE: Counterparts("A1", None, "active_computation", "Implement", None, "OST"),
    Factor.SIMULATE_EXECUTION: Counterparts(
        "A1", None, "active_computation", "Implement", None, "OST"
    ),
    Factor.BACKWARD_CHAIN: Counterparts(
        "A1", "backward_chaining", "plan_generation", "Analyze", "SA", "SA"
    ),
    Factor.CHECK_STEP: Counterparts(None, "verification", "self_checking", "Verify", "SR", "SRR"),
    Factor.CHECK_RESULT: Counterparts(None, "verification", "self_checking", "Verify", "SR", "SRR"),
    Factor.DETECT_ERROR: Counterparts(
        None, "verification", "uncertainty_management", "Verify", "SR", "SRR"
    ),
    Factor.CORRECT_ERROR: Counterparts(
        "A4", "backtracking", "uncertainty_management", "Implement", "SR", "SRR"
    ),
    Factor.BACKTRACK: Counterparts(
        None, "backtracking", "uncertainty_management", "Monitor", "SR", "SRR"
    ),
    Factor.SWITCH_APPROACH: Counterparts(
        None, "backtracking", "uncertainty_management", "Plan", "SR", "SRR"
    ),
    Factor.ASSESS_PROGRESS: Counterparts(
        None, None, "uncertainty_management", "Monitor", None, None
    ),
    Factor.CONSOLIDATE: Counterparts("A1", None, "result_consolidation", "Monitor", None, "OST"),
    # It is what remains, and runs on to the end.
    Factor.ANSWER: Counterparts("A2", None, "final_answer_emission", "Answer", None, "CoT"),
    Factor.OTHER: Counterparts(None, None, None, None, None, None),
}
COUNTERPARTS.update(
    {
        Factor(own.name): Counterparts(**cast(dict[str, None], dict(own.maps_to)))
        for own in OWN_FACTORS
    }
)

PUBLISHED: Final[Mapping[Taxonomy, Mapping[Factor, Label | None]]] = {
    taxonomy: {factor: row.of(taxonomy) for factor, row in COUNTERPARTS.items()}
    for taxonomy in TAXONOMIES
}
"""Taxonomy → factor → label, own factors included; ``None`` where there is no counterpart."""


def translate(factors: Iterable[Factor], taxonomy: Taxonomy) -> list[Label | None]:
    """The labels of a sequence of steps, one per factor; ``None`` without a counterpart."""
    labels = PUBLISHED[taxonomy]
    return [labels[factor] for factor in factors]


def factors_of(taxonomy: Taxonomy, label: str) -> tuple[Factor, ...]:
    """The factors that a step with ``label`` may perform, in the order of the taxonomy.

    Empty for a label that is coarser or finer than any factor.

    Raises:
        ValueError: if the taxonomy has no such label.
    """
    if label not in LABELS[taxonomy]:
        raise ValueError(
            f"{label!r} is no label of {taxonomy}; use one of {', '.join(LABELS[taxonomy])}"
        )
    return tuple(factor for factor, found in PUBLISHED[taxonomy].items() if found == label)
