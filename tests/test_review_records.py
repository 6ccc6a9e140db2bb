import json
import re
from pathlib import Path
from typing import Any

import pytest
from review_items import CODE, CORRECTION, item

from datagen.review.tools import questions
from datagen.review.tools.answers import latest, read_answers, review_id
from datagen.review.tools.argilla.forms import page
from datagen.review.tools.authoring import Written, new_form_ids, seeds_of
from datagen.review.tools.protocol import PulledSeeds
from datagen.review.tools.records import (
    digest_of,
    field_of,
    guidelines,
    suggestions_of,
    template,
    view_of,
)
from datagen.seeds import read_seeds

HOSTILE = (
    "</script><img src=x onerror=alert(1)> $' $& $` #TEMPLATE# #RECORD_OBJECT# \u2028 &lt; \"'\\"
)


def read(**given: Any) -> dict[str, Any]:
    answers = read_answers(given, n_steps=7)
    assert not answers.problems
    return answers.columns


def test_steps_are_shown_counted_from_one_with_their_evidence() -> None:
    shown = view_of(item())
    fourth = shown["steps"][3]
    assert (fourth["n"], fourth["text"], fourth["doubt"]) == (4, "5*3=12", True)
    assert (fourth["successes"], fourth["trials"], fourth["p"]) == (1, 8, 0.72)
    assert shown["judge"]["step"] == 5
    assert shown["p_none"] == 0.04


def test_code_shows_what_a_run_says_and_corrections_what_each_step_is_for() -> None:
    assert [step["check"] for step in view_of(item(**CODE))["steps"]] == CODE["step_checks"]
    assert [step["role"] for step in view_of(item(**CORRECTION))["steps"]] == CORRECTION[
        "step_roles"
    ]
    assert {step["role"] for step in view_of(item())["steps"]} == {None}


def test_right_programs_and_tests_are_shown_as_code_and_other_answers_as_they_are() -> None:
    def shown(gold: str) -> str:
        return view_of({**item(0, **CODE), "gold": gold})["gold"]

    gold = {"entry_point": "f", "tests": "assert f(1) == 2\n", "prelude": "def f(x):\n    return 2"}
    assert shown(json.dumps(gold)) == (
        "# a program that is right\ndef f(x):\n    return 2\n\n# what must hold\nassert f(1) == 2"
    )
    gold = {"code": "def f(x): ...", "entry_point": "f", "output": "18"}
    assert shown(json.dumps(gold)).endswith("# what it must return\n18")
    for plain in ("42", '"a"', "[1, 2]", '{"a": 1}', "{not json", "1/2", ""):
        assert shown(plain) == plain


def test_a_trap_looks_like_any_other_item() -> None:
    trap = item(reason="trap", trap_first_error=2, stratum="known", value=9.0)
    assert field_of(trap) == field_of(item())
    assert suggestions_of(trap) == suggestions_of(item())


def test_what_the_pipeline_believes_is_suggested_with_its_score() -> None:
    assert suggestions_of(item()) == {
        questions.FIRST_WRONG: ("4", 0.72),
        questions.VERDICT: ("wrong", None),
        questions.FACTORS: ("4: Compute", None),
    }
    sound = suggestions_of(item(**CORRECTION))
    assert sound[questions.FIRST_WRONG] == ("none", 0.84)


def test_an_unverifiable_outcome_suggests_no_verdict() -> None:
    assert questions.VERDICT not in suggestions_of(item(outcome="unverifiable"))


def test_suggestions_are_read_back_as_the_belief_they_came_from() -> None:
    given = {name: value for name, (value, _) in suggestions_of(item()).items()}
    columns = read(**given)
    assert columns["first_error"] == 3
    assert columns["factors"] == [{"step_idx": 3, "factor": "Compute"}]


def test_hostile_text_survives_being_pasted_into_a_script() -> None:
    # What Argilla's page does: JSON into a script by text replacement with `$` patterns.
    value = field_of(item(question=HOSTILE, steps=[HOSTILE] * 7, judge_text=HOSTILE))
    pasted = json.dumps({"fields": {"trace": value}}, ensure_ascii=False)
    assert not re.search("[<>$#&\u2028\u2029]", pasted)
    shown = json.loads(json.loads(pasted)["fields"]["trace"]["json"])
    assert shown["question"] == HOSTILE
    assert shown["steps"][6]["text"] == HOSTILE


def test_the_template_is_self_contained_and_only_ever_makes_text() -> None:
    html = template()
    assert not re.search(r"https?:|//cdn|@import|url\(", html)
    assert not re.search(r"\.innerHTML|insertAdjacentHTML|document\.write|eval\(|\.outerHTML", html)
    assert "$" not in html  # it is a replacement text itself


def test_the_guidelines_list_the_kinds_of_steps() -> None:
    assert "- `Compute`: carry out a calculation" in guidelines()
    assert "{{" not in guidelines()


def test_the_digest_tells_what_a_person_would_see_and_nothing_else() -> None:
    assert digest_of(item()) == digest_of(item(rank=5, value=2.0, reason="random"))
    assert digest_of(item()) != digest_of(item(judge_text="other"))
    assert digest_of(item()) != digest_of(item(), suggest=False)


@pytest.mark.parametrize(
    ("given", "first_error"),
    [("1", 0), ("7", 6), (7, 6), ("none", -1), ("unsure", None), (None, None), ("", None)],
)
def test_the_first_wrong_step_is_counted_from_zero_in_tables(
    given: object, first_error: int | None
) -> None:
    assert read(first_wrong_step=given)["first_error"] == first_error


@pytest.mark.parametrize("given", ["8", "0", "-1", "two", 1.0, True, ["1"], "9" * 5000])
def test_a_step_that_the_trace_does_not_have_is_refused(given: object) -> None:
    answers = read_answers({"first_wrong_step": given, "comment": "hm"}, n_steps=7)
    assert answers.columns["first_error"] is None
    assert "a step from 1 to 7" in answers.problems[0]
    assert answers.columns["comment"].startswith("hm\nfirst_wrong_step: ")


def test_kinds_of_steps_are_read_however_people_write_them() -> None:
    text = "3: Compute\nstep 4 - check step\n\n#5 = SET_SUBGOAL\n3 Deduce"
    assert read(factors=text)["factors"] == [
        {"step_idx": 2, "factor": "Deduce"},
        {"step_idx": 3, "factor": "CheckStep"},
        {"step_idx": 4, "factor": "SetSubgoal"},
    ]
    assert read(factors={"2": "Plan"})["factors"] == [{"step_idx": 1, "factor": "Plan"}]


def test_a_line_that_cannot_be_read_costs_no_more_than_itself() -> None:
    answers = read_answers(
        {"first_wrong_step": "2", "factors": "3: Compute\n9: Plan\n4: Guessing"}, n_steps=7
    )
    assert answers.columns["first_error"] == 1
    assert answers.columns["factors"] == [{"step_idx": 2, "factor": "Compute"}]
    assert len(answers.problems) == 2
    assert answers.columns["comment"] == "factors: 9: Plan\nfactors: 4: Guessing"


def test_a_corrected_step_stands_for_the_first_wrong_one() -> None:
    columns = read(first_wrong_step="4", corrected_step=" 5*3=15 ")
    assert (columns["corrected_step_idx"], columns["corrected_step"]) == (3, "5*3=15")


def test_a_corrected_step_without_a_wrong_one_is_kept_in_the_comment() -> None:
    answers = read_answers({"first_wrong_step": "none", "corrected_step": "5*3=15"}, n_steps=7)
    assert answers.columns["corrected_step"] is None
    assert answers.columns["comment"] == "corrected_step: 5*3=15"
    assert answers.problems


@pytest.mark.parametrize("rating", [0, 6, "5", True, 3.0])
def test_a_rating_is_a_whole_number_from_one_to_five(rating: object) -> None:
    answers = read_answers({"rating": rating}, n_steps=7)
    assert answers.columns["rating"] is None
    assert "1, 2, 3, 4, 5" in answers.problems[0]


def test_of_two_reviews_by_one_person_the_later_one_counts() -> None:
    def row(moment: str, who: str) -> dict[str, Any]:
        return {
            "review_id": review_id("argilla", "t", who),
            "item_id": "t",
            "annotator": who,
            "submitted_at": moment,
        }

    kept = latest([row("2026-02", "ann"), row("2026-03", "bob"), row("2026-01", "ann")])
    assert [(r["annotator"], r["submitted_at"]) for r in kept] == [
        ("ann", "2026-02"),
        ("bob", "2026-03"),
    ]


def test_new_forms_never_reuse_an_id() -> None:
    assert new_form_ids({"seed-00007", "other"}, 2) == ["seed-00008", "seed-00009"]
    assert new_form_ids(set(), -1) == []


SEED = {"question": "2+2?", "thought": "I add.\n2+2=4", "answer": "4"}
MOMENT = "2026-01-01T00:00:00+00:00"


def authored(*answers: dict[str, Any] | None) -> PulledSeeds:
    """What becomes of forms that ann filled in, one a second."""
    written = (
        Written(MOMENT.replace("00:00+", f"00:{n:02}+"), "ann", f"a{n}", given)
        for n, given in enumerate(answers)
    )
    return seeds_of(written, tool="argilla")


def test_the_reader_of_seeds_takes_every_authored_seed(tmp_path: Path) -> None:
    theirs = {"source": "GSM8K", "license": " MIT "}
    seeds = authored(
        SEED, SEED | theirs, SEED | {"source": "a book"}, SEED | {"license": "CC0-1.0"}
    )
    assert seeds.problems == ()
    path = tmp_path / "authored.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in seeds.rows))
    batch = read_seeds(str(path), license="our own")
    assert batch.quarantine.is_empty()
    assert batch.seeds.select("seed_id", "source", "license").rows() == [
        ("argilla-a0", "argilla", "our own"),
        ("argilla-a1", "GSM8K", "MIT"),
        ("argilla-a2", "a book", "unknown"),
        ("argilla-a3", "argilla", "CC0-1.0"),
    ]
    assert {name: batch.seeds[name][0] for name in SEED} == SEED
    assert batch.seeds["steps"][0].to_list() == ["I add.\n", "2+2=4"]
    assert json.loads(batch.seeds["meta"][0]) == {"author": "ann", "written_at": MOMENT}


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"question": "2+2?", "thought": " "}, "thought, answer is empty"),
        (SEED | {"thought": "a\x00b"}, "thought holds the control character U+0000"),
        (SEED | {"thought": "<ACT_Compute-Start> 2+2=4"}, "in thought, the step Compute is not"),
    ],
)
def test_a_seed_that_the_reader_would_refuse_is_named(answers: dict[str, Any], reason: str) -> None:
    seeds = authored(answers, SEED)
    assert [row["seed_id"] for row in seeds.rows] == ["argilla-a1"]
    [problem] = seeds.problems
    assert problem.where == "seed a0, ann"
    assert problem.reason.startswith(reason)


def test_of_two_versions_of_a_seed_the_later_one_counts() -> None:
    first = Written("2026-01-01", "ann", "a", SEED)
    assert seeds_of([Written("2026-01-02", "ann", "a", None), first], tool="t").retracted == {"t-a"}
    assert len(seeds_of([Written("2025-01-01", "ann", "a", None), first], tool="t").rows) == 1


def test_what_was_wrapped_is_joined_for_argilla_and_nothing_else() -> None:
    long = "word " * 17 + "end"
    text = (
        f"# A\n\n{long}\n**d** e.\n\n- {long}\n  g\n- {long}\n- h\n\n> {long}\n> j\n> 1. k\n\nl\nm"
    )
    assert page(text) == (
        f"# A\n\n{long} **d** e.\n\n- {long} g\n- {long}\n- h\n\n> {long} j\n> 1. k\n\nl\nm"
    )
    assert "takes a minute or two. Then say whether the final" in page(guidelines())
