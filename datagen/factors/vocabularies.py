"""The labels of the published taxonomies, spelt as the data that was made with them spells them.

They stand apart from the mapping (:mod:`datagen.factors.published`), because a file that extends
our taxonomy is checked against them before there is any :class:`~datagen.factors.taxonomy.Factor`.
"""

from typing import Final, Literal, get_args

Taxonomy = Literal[
    "rstar", "cognitive_behaviours", "thought_anchors", "schoenfeld", "o1_patterns", "hiar"
]
"""A published taxonomy of reasoning."""

RStar = Literal["A1", "A2", "A3", "A4", "A5"]
"""One-step thought, remaining steps, sub-question with its answer, answer again, rephrase."""

CognitiveBehaviour = Literal["verification", "backtracking", "subgoal_setting", "backward_chaining"]
"""The four habits."""

ThoughtAnchor = Literal[
    "problem_setup",
    "plan_generation",
    "fact_retrieval",
    "active_computation",
    "result_consolidation",
    "uncertainty_management",
    "final_answer_emission",
    "self_checking",
]
"""Categories of sentences."""

Episode = Literal["Read", "Analyze", "Plan", "Implement", "Explore", "Verify", "Monitor", "Answer"]
"""Schoenfeld's episodes as labels of sentences."""

O1Pattern = Literal["SA", "MR", "DC", "SR", "CI", "EC"]
"""Systematic analysis, method reuse, divide and conquer, self-refinement, context identification,
emphasising constraints."""

HiarAction = Literal["SA", "OST", "CoT", "DC", "SRR"]
"""System analysis, one-step thought, chain of thought, divide and conquer, self-reflection and
refinement."""

Label = RStar | CognitiveBehaviour | ThoughtAnchor | Episode | O1Pattern | HiarAction
"""A label of any of them."""

TAXONOMIES: Final[tuple[Taxonomy, ...]] = get_args(Taxonomy)

LABELS: Final[dict[str, tuple[Label, ...]]] = {
    "rstar": get_args(RStar),
    "cognitive_behaviours": get_args(CognitiveBehaviour),
    "thought_anchors": get_args(ThoughtAnchor),
    "schoenfeld": get_args(Episode),
    "o1_patterns": get_args(O1Pattern),
    "hiar": get_args(HiarAction),
}
"""The labels of each taxonomy, in the order of its paper."""

MEANINGS: Final[dict[Taxonomy, dict[str, str]]] = {
    "rstar": {
        "A1": "propose a one-step thought",
        "A2": "propose the remaining thought steps",
        "A3": "propose the next sub-question along with its answer",
        "A4": "answer the sub-question again",
        "A5": "rephrase the question or sub-question",
    },
    "o1_patterns": {
        "SA": "systematic analysis",
        "MR": "method reuse",
        "DC": "divide and conquer",
        "SR": "self-refinement",
        "CI": "context identification",
        "EC": "emphasising constraints",
    },
    "hiar": {
        "SA": "system analysis",
        "OST": "one-step thought",
        "CoT": "chain of thought",
        "DC": "divide and conquer",
        "SRR": "self-reflection and refinement",
    },
}
"""What abbreviated labels stand for."""

TITLES: Final[dict[Taxonomy, str]] = {
    "rstar": "rStar",
    "cognitive_behaviours": "Cognitive behaviours",
    "thought_anchors": "Thought Anchors",
    "schoenfeld": "Schoenfeld's episodes",
    "o1_patterns": "Patterns of o1",
    "hiar": "HiAR-ICL",
}
"""What the taxonomies are called."""

SOURCES: Final[dict[Taxonomy, str]] = {
    "rstar": "Qi et al. 2024, Mutual Reasoning Makes Smaller LLMs Stronger Problem-Solvers, "
    "section 3.2 (arXiv 2408.06195)",
    "cognitive_behaviours": "Gandhi et al. 2025, Cognitive Behaviors that Enable Self-Improving "
    "Reasoners (arXiv 2503.01307)",
    "thought_anchors": "Bogdan et al. 2025, Thought Anchors: Which LLM Reasoning Steps Matter? "
    "(arXiv 2506.19143)",
    "schoenfeld": "Schoenfeld 1985, Mathematical Problem Solving; as labels of sentences Li et al. "
    "2025, Understanding the Thinking Process of Reasoning Models (arXiv 2509.14662), whose "
    "authors later added *Answer*",
    "o1_patterns": "Wu et al. 2024, A Comparative Study on Reasoning Patterns of OpenAI's o1 "
    "Model (arXiv 2410.13639)",
    "hiar": "Wu et al. 2024, Beyond Examples: High-level Automated Reasoning Paradigm in "
    "In-Context Learning via MCTS (arXiv 2411.18478)",
}
"""Where they were published."""
