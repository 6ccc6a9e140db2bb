"""How large a run of the downstream benchmark is: questions, budgets, trainings, seeds.

Everything that could be tuned stands here and was settled on questions of the development set, or
by what the label and search benchmarks had found. The test questions are only ever measured on.
"""

from dataclasses import dataclass, field
from typing import Final

from datagen.bench.downstream.training import Recipe
from datagen.bench.downstream.verifiers import VerifierRecipe
from datagen.measure import MeasureConfig
from datagen.search.expansion import Replica
from datagen.search.first_error import FirstErrorConfig
from datagen.search.puct import PuctConfig
from schemas import CorrectionKind


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationPlan:
    """How our SFT data is made; plain sampling gets the tokens that this took.

    Attributes:
        n_root: rollouts of every bare question, which say how hard it is.
        hard: questions solved less often than this are searched.
        puct: that search.
        guide_value: weight of the value model in the second round.
        max_per_question: SFT rows that one question gives.
        n_wrong: wrong traces per question whose first error is sought, for self-corrections.
        measure: how it is.
        kinds: of self-corrections.
        max_corrections: self-corrections per question and kind.
    """

    n_root: int = 8
    hard: float = 0.65
    puct: PuctConfig = field(
        default_factory=lambda: PuctConfig(
            n_simulations=10, n_root_rollouts=8, c_puct=0.5, replicas=(Replica(1.0),)
        )
    )
    guide_value: float = 0.5
    max_per_question: int = 8
    n_wrong: int = 3
    measure: MeasureConfig = field(
        default_factory=lambda: MeasureConfig(
            search=FirstErrorConfig(confidence=0.9, max_rollouts=4)
        )
    )
    kinds: tuple[CorrectionKind, ...] = ("splice",)
    max_corrections: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPlan:
    """How the traces of the process reward models are labelled.

    Attributes:
        n_per_question: wrong traces, and right ones, that one question gives at most.
        confidence: of ours: posterior mass at which a trace is settled.
        max_rollouts: of ours, per trace.
        shepherd_k: rollouts per step of Math-Shepherd.
        omega_k: rollouts per prefix of OmegaPRM.
    """

    n_per_question: int = 3
    confidence: float = 0.9
    max_rollouts: int = 8
    shepherd_k: int = 1
    omega_k: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RlPlan:
    """A short reinforcement learning (GRPO) on the rows of ``rl``.

    Attributes:
        n_steps: updates; 0 leaves it out.
        n_questions: of one step.
        group: completions of each.
        learning_rate: of every step.
    """

    n_steps: int = 10
    n_questions: int = 24
    group: int = 8
    learning_rate: float = 2e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large a run is.

    Attributes:
        n_events: of the questions, evenly; the reasoner was trained on 2 to 6.
        n_train: questions that all data is made from.
        n_dev: questions on which ways of choosing and thresholds are settled.
        n_test: questions that are measured on.
        seeds: of the trainings; each student and each verifier is trained once per seed.
        n_samples: of each test question by the base, for the scaling curve; a power of two.
        n_scored: of these, how many every process reward model reads; eight of them are chosen
            from at a time.
        n_student_samples: of each test question by each student, at temperature 1.
        generation: how our SFT data is made.
        sft: how long students are trained.
        labels: how traces are labelled.
        verifiers: ways to train verifiers; each labelling has the one that does best for it on the
            development questions.
        rl: the reinforcement learning.
    """

    n_events: tuple[int, ...] = (4, 5, 6, 7, 8)
    n_train: int = 160
    n_dev: int = 160
    n_test: int = 150
    seeds: tuple[int, ...] = (0, 1, 2)
    n_samples: int = 64
    n_scored: int = 16
    n_student_samples: int = 8
    generation: GenerationPlan = field(default_factory=GenerationPlan)
    sft: Recipe = field(
        default_factory=lambda: Recipe(n_steps=160, tokens_per_step=2048, learning_rate=5e-4)
    )
    labels: LabelPlan = field(default_factory=LabelPlan)
    verifiers: tuple[VerifierRecipe, ...] = (
        VerifierRecipe(n_steps=400, learning_rate=5e-3),
        VerifierRecipe(n_steps=800, learning_rate=1e-2),
    )
    rl: RlPlan = field(default_factory=RlPlan)


QUICK: Final = Plan(
    n_train=40,
    n_dev=30,
    n_test=50,
    seeds=(0,),
    n_samples=16,
    n_scored=8,
    n_student_samples=2,
    sft=Recipe(n_steps=40, tokens_per_step=2048, learning_rate=5e-4),
    verifiers=(VerifierRecipe(n_steps=200, learning_rate=5e-3),),
    rl=RlPlan(n_steps=2, n_questions=8, group=4),
)
"""Minutes instead of half an hour, with intervals to match."""
