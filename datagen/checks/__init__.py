"""What a shard must keep to be accepted: checks of tables and limits, each giving a finding.

Checks read and decide, and change nothing. Whoever runs the pipeline stops the shard.
"""

from datagen.checks.budget import budget, cut_short
from datagen.checks.contracts import contracts
from datagen.checks.finding import CHECKS, CheckKind, CheckName, Finding, Severity
from datagen.checks.labels import agreement, calibration
from datagen.checks.outcomes import outcome_balance, repeats, truncated, unverifiable
from datagen.checks.provenance import (
    LABEL_LINKS,
    LAST_LINKS,
    TRACE_LINKS,
    Links,
    columns_of,
    provenance,
)
from datagen.checks.questions import (
    Incoming,
    contamination,
    duplicates,
    licensing,
    question_keys,
    refused,
)

__all__ = [
    "CHECKS",
    "LABEL_LINKS",
    "LAST_LINKS",
    "TRACE_LINKS",
    "CheckKind",
    "CheckName",
    "Finding",
    "Incoming",
    "Links",
    "Severity",
    "agreement",
    "budget",
    "calibration",
    "columns_of",
    "contamination",
    "contracts",
    "cut_short",
    "duplicates",
    "licensing",
    "outcome_balance",
    "provenance",
    "question_keys",
    "refused",
    "repeats",
    "truncated",
    "unverifiable",
]
