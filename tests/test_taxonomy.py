"""The thought factors: what is known of each, how they map to published ones, and their page."""

from collections import Counter
from pathlib import Path

import pytest

from datagen.factors.descriptions import DESCRIPTIONS
from datagen.factors.document import PAGE, document, main
from datagen.factors.published import COUNTERPARTS, PUBLISHED, factors_of, translate
from datagen.factors.taxonomy import ACTIONS, BUILT_IN_VERSION, TAXONOMY_VERSION, Factor
from datagen.factors.vocabularies import LABELS, MEANINGS, SOURCES, TAXONOMIES, TITLES, Taxonomy

# fmt: off
BUILT_IN = [
    "RestateGoal", "ExtractGivens", "Formalise", "RecallFact", "RecallMethod", "Decompose",
    "SetSubgoal", "Plan", "CaseSplit", "Hypothesise", "TryExample", "Deduce", "Compute",
    "SimulateExecution", "BackwardChain", "CheckStep", "CheckResult", "DetectError",
    "CorrectError", "Backtrack", "SwitchApproach", "AssessProgress", "Consolidate", "Answer",
    "Other",
]
# fmt: on


def test_the_order_of_the_factors_is_the_order_of_a_policys_outputs_and_never_changes() -> None:
    assert [factor.value for factor in Factor] == BUILT_IN
    assert tuple(Factor) == ACTIONS
    assert TAXONOMY_VERSION == BUILT_IN_VERSION


def test_every_factor_is_shown_by_a_step_and_by_one_of_a_neighbour() -> None:
    assert list(DESCRIPTIONS) == BUILT_IN
    texts = Counter(text for f in Factor for text in (f.example, f.counter_example))
    assert set(texts.values()) == {1}
    for factor in Factor:
        assert factor.counter_factor in Factor
        assert factor.counter_factor is not factor
    assert Factor.PLAN.example == DESCRIPTIONS["Plan"].example
    assert Factor.PLAN.counter_factor is Factor.DECOMPOSE


def test_a_factor_has_one_label_or_none_in_every_published_taxonomy() -> None:
    assert list(PUBLISHED) == list(TAXONOMIES) == list(LABELS) == list(SOURCES) == list(TITLES)
    for taxonomy, labels in PUBLISHED.items():
        assert list(labels) == list(Factor) == list(COUNTERPARTS)
        assert set(labels.values()) - {None} <= set(LABELS[taxonomy])
        assert set(MEANINGS.get(taxonomy, LABELS[taxonomy])) == set(LABELS[taxonomy])


@pytest.mark.parametrize(
    ("taxonomy", "labels"),
    [
        ("rstar", ["A5", "A3", "A1", None, "A4", "A2", None]),
        (
            "cognitive_behaviours",
            [None, "subgoal_setting", None, "verification", "backtracking", None, None],
        ),
        (
            "thought_anchors",
            [
                "problem_setup",
                "plan_generation",
                "active_computation",
                "self_checking",
                "uncertainty_management",
                "final_answer_emission",
                None,
            ],
        ),
        ("schoenfeld", ["Read", "Plan", "Implement", "Verify", "Implement", "Answer", None]),
        ("o1_patterns", ["CI", "DC", None, "SR", "SR", None, None]),
        ("hiar", ["SA", "DC", "OST", "SRR", "SRR", "CoT", None]),
    ],
)
def test_a_sequence_is_translated_step_by_step(
    taxonomy: Taxonomy, labels: list[str | None]
) -> None:
    names = ["ExtractGivens", "Decompose", "Compute", "CheckResult", "CorrectError"]
    assert translate(map(Factor, [*names, "Answer", "Other"]), taxonomy) == labels
    assert translate([], taxonomy) == []


def test_a_label_comes_back_as_the_factors_that_it_may_stand_for() -> None:
    assert factors_of("rstar", "A5") == (Factor.RESTATE_GOAL, Factor.EXTRACT_GIVENS)
    assert factors_of("o1_patterns", "EC") == ()
    for taxonomy in TAXONOMIES:
        there_and_back = [f for label in LABELS[taxonomy] for f in factors_of(taxonomy, label)]
        assert set(there_and_back) == {f for f in Factor if PUBLISHED[taxonomy][f] is not None}
        assert len(there_and_back) == len(set(there_and_back))


def test_a_label_of_another_taxonomy_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'A6' is no label of rstar; use one of A1, A2"):
        factors_of("rstar", "A6")


def test_the_committed_page_is_what_the_code_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PAGE.read_text(encoding="utf-8") == document()
    monkeypatch.setattr("sys.argv", ["document", str(tmp_path / "page.md")])
    main()
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == document()


def test_the_page_tells_all_of_every_factor() -> None:
    page = document()
    for factor in Factor:
        entry = page.partition(f"\n### {factor.value}\n")[2].partition("\n### ")[0]
        assert factor.definition[1:] in entry
        assert f"(that is `{factor.counter_factor.value}`)" in entry
        for taxonomy in TAXONOMIES:
            label = PUBLISHED[taxonomy][factor]
            assert (TITLES[taxonomy] in entry) == (label is not None)
