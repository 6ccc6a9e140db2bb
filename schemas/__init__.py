"""Data contracts: what each table of the pipeline holds, one file per table.

A contract is a dataframely schema on Polars that can also say itself as Arrow, as Hugging Face
features and as JSON Schema. ``python -m schemas`` writes the JSON Schemas to ``schemas/json``.
Nothing of ours is imported here, and nothing slow: every other package may import this one.
"""

from typing import Final

from schemas.code_seeds import MAX_CALL_CHARS, MAX_CALLS, CodeSeed
from schemas.code_tasks import CodeTask
from schemas.code_thoughts import CodeThought
from schemas.contract import Contract
from schemas.critiques import JUDGES, Critique, JudgeName
from schemas.errors import ContractError
from schemas.executions import Execution
from schemas.nodes import Node
from schemas.prefixes import Prefix
from schemas.prm import Prm
from schemas.probes import Probe
from schemas.quarantine import Quarantine
from schemas.raw_rollouts import RawRollout
from schemas.rl import Rl
from schemas.rollouts import Rollout
from schemas.seeds import Seed
from schemas.sft import Sft
from schemas.step_labels import StepLabel
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
        Seed,
        CodeSeed,
        Quarantine,
        Prefix,
        Node,
        Rollout,
        Trace,
        Critique,
        Probe,
        StepLabel,
        TraceLabel,
        Execution,
        CodeThought,
        CodeTask,
        Sft,
        Prm,
        Rl,
        RawRollout,
    )
}
"""Every contract by the name of its table, in the order in which the pipeline makes them."""

__all__ = [
    "ALGORITHMS",
    "CLAIM_KINDS",
    "CLAIM_VERDICTS",
    "CODE_TASKS",
    "CONTRACTS",
    "DOMAINS",
    "JUDGES",
    "LABEL_SOURCES",
    "MAX_CALLS",
    "MAX_CALL_CHARS",
    "OUTCOMES",
    "PROVENANCES",
    "ROLES",
    "ROUTES",
    "STEP_CHECKS",
    "VERIFIERS",
    "Algorithm",
    "ClaimKind",
    "ClaimVerdict",
    "CodeSeed",
    "CodeTask",
    "CodeTaskKind",
    "CodeThought",
    "Contract",
    "ContractError",
    "Critique",
    "Domain",
    "Execution",
    "JudgeName",
    "LabelSource",
    "Node",
    "Outcome",
    "Prefix",
    "Prm",
    "Probe",
    "Provenance",
    "Quarantine",
    "RawRollout",
    "Rl",
    "Role",
    "Rollout",
    "Route",
    "Seed",
    "Sft",
    "StepCheck",
    "StepLabel",
    "Trace",
    "TraceLabel",
    "Verifier",
]
