"""Data contracts: what each table of the pipeline holds, one file per table.

A contract is a dataframely schema on Polars that can also say itself as Arrow, as Hugging Face
features and as JSON Schema. ``python -m schemas`` writes the JSON Schemas to ``schemas/json``.
Nothing of ours is imported here, and nothing slow: every other package may import this one.
"""

from typing import Final

from schemas.advantages import Advantage
from schemas.annotators import Annotator
from schemas.benchmark_checks import BenchmarkCheck
from schemas.code_seeds import MAX_CALL_CHARS, MAX_CALLS, CodeSeed
from schemas.code_tasks import CodeTask
from schemas.code_thoughts import CodeThought
from schemas.contract import Contract
from schemas.corrections import CORRECTION_KINDS, STEP_ROLES, Correction, CorrectionKind, StepRole
from schemas.critique import CritiqueSft
from schemas.critiques import JUDGES, STEP_VERDICTS, Critique, JudgeName, StepVerdict
from schemas.decisions import DECIDERS, DECISION_STATUSES, DecidedBy, Decision, DecisionStatus
from schemas.errors import ContractError
from schemas.executions import Execution
from schemas.kto import Kto
from schemas.nodes import Node
from schemas.orm import Orm
from schemas.policy_value import PolicyValue
from schemas.preference import Preference
from schemas.prefixes import Prefix
from schemas.prm import Prm
from schemas.probes import Probe
from schemas.processbench import ProcessBench
from schemas.quarantine import Quarantine
from schemas.questions import DIFFICULTIES, SPLITS, Difficulty, Question, Split
from schemas.raw_rollouts import RawRollout
from schemas.rejections import (
    REJECTION_KINDS,
    REJECTION_RULES,
    Rejection,
    RejectionKind,
    RejectionRule,
)
from schemas.review_queue import (
    REVIEW_KINDS,
    REVIEW_REASONS,
    ReviewItem,
    ReviewKind,
    ReviewReason,
)
from schemas.reviews import (
    ANSWER_VERDICTS,
    REVIEW_TOOLS,
    AnswerVerdict,
    Review,
    ReviewToolName,
)
from schemas.rl import Rl
from schemas.rollouts import Rollout
from schemas.rubric_rewards import RubricReward
from schemas.seeds import Seed
from schemas.sft import Sft
from schemas.shards import SEED_KINDS, SeedKind, Shard
from schemas.step_labels import StepLabel
from schemas.step_preference import STEP_PREFERENCE_KINDS, StepPreference, StepPreferenceKind
from schemas.summaries import SUMMARY_WRITERS, Summary, SummaryWriter
from schemas.tags import TAGGERS, Tag, Tagger
from schemas.trace_labels import TraceLabel
from schemas.traces import Trace
from schemas.vocabulary import (
    ALGORITHMS,
    CLAIM_KINDS,
    CLAIM_VERDICTS,
    CODE_TASKS,
    DOMAINS,
    LABEL_SOURCES,
    OUTCOMES,
    OWN_VERIFIER,
    PROVENANCES,
    ROLES,
    ROUTES,
    STEP_CHECKS,
    VERIFIERS,
    Algorithm,
    ClaimKind,
    ClaimVerdict,
    CodeTaskKind,
    Domain,
    LabelSource,
    Outcome,
    Provenance,
    Role,
    Route,
    StepCheck,
    Verifier,
)

CONTRACTS: Final[dict[str, type[Contract]]] = {
    contract.table: contract
    for contract in (
        Shard,
        Seed,
        CodeSeed,
        Quarantine,
        Rejection,
        BenchmarkCheck,
        Question,
        Prefix,
        Node,
        Rollout,
        Trace,
        Tag,
        Critique,
        Probe,
        StepLabel,
        TraceLabel,
        Correction,
        Execution,
        CodeThought,
        CodeTask,
        ReviewItem,
        Review,
        Decision,
        Annotator,
        Summary,
        Sft,
        Prm,
        Orm,
        ProcessBench,
        CritiqueSft,
        Rl,
        RubricReward,
        Advantage,
        Preference,
        StepPreference,
        Kto,
        PolicyValue,
        RawRollout,
    )
}
"""Every contract by the name of its table, in the order in which the pipeline makes them."""

__all__ = [
    "ALGORITHMS",
    "ANSWER_VERDICTS",
    "CLAIM_KINDS",
    "CLAIM_VERDICTS",
    "CODE_TASKS",
    "CONTRACTS",
    "CORRECTION_KINDS",
    "DECIDERS",
    "DECISION_STATUSES",
    "DIFFICULTIES",
    "DOMAINS",
    "JUDGES",
    "LABEL_SOURCES",
    "MAX_CALLS",
    "MAX_CALL_CHARS",
    "OUTCOMES",
    "OWN_VERIFIER",
    "PROVENANCES",
    "REJECTION_KINDS",
    "REJECTION_RULES",
    "REVIEW_KINDS",
    "REVIEW_REASONS",
    "REVIEW_TOOLS",
    "ROLES",
    "ROUTES",
    "SEED_KINDS",
    "SPLITS",
    "STEP_CHECKS",
    "STEP_PREFERENCE_KINDS",
    "STEP_ROLES",
    "STEP_VERDICTS",
    "SUMMARY_WRITERS",
    "TAGGERS",
    "VERIFIERS",
    "Advantage",
    "Algorithm",
    "Annotator",
    "AnswerVerdict",
    "BenchmarkCheck",
    "ClaimKind",
    "ClaimVerdict",
    "CodeSeed",
    "CodeTask",
    "CodeTaskKind",
    "CodeThought",
    "Contract",
    "ContractError",
    "Correction",
    "CorrectionKind",
    "Critique",
    "CritiqueSft",
    "DecidedBy",
    "Decision",
    "DecisionStatus",
    "Difficulty",
    "Domain",
    "Execution",
    "JudgeName",
    "Kto",
    "LabelSource",
    "Node",
    "Orm",
    "Outcome",
    "PolicyValue",
    "Preference",
    "Prefix",
    "Prm",
    "Probe",
    "ProcessBench",
    "Provenance",
    "Quarantine",
    "Question",
    "RawRollout",
    "Rejection",
    "RejectionKind",
    "RejectionRule",
    "Review",
    "ReviewItem",
    "ReviewKind",
    "ReviewReason",
    "ReviewToolName",
    "Rl",
    "Role",
    "Rollout",
    "Route",
    "RubricReward",
    "Seed",
    "SeedKind",
    "Sft",
    "Shard",
    "Split",
    "StepCheck",
    "StepLabel",
    "StepPreference",
    "StepPreferenceKind",
    "StepRole",
    "StepVerdict",
    "Summary",
    "SummaryWriter",
    "Tag",
    "Tagger",
    "Trace",
    "TraceLabel",
    "Verifier",
]
