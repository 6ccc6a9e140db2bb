"""What a check of a shard found, and the list of all checks.

The surprising fact: how grave a failure is belongs to the check and is no setting. An *error* keeps
whatever grows from the table from being made, and the shard from being accepted; a *warning* is
shown. A check that is too strict for some data is loosened by its limit, and never by being
ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

CheckName = Literal[
    "refused",
    "contamination",
    "duplicates",
    "license",
    "outcomes",
    "unverifiable",
    "truncated",
    "repeats",
    "provenance",
    "agreement",
    "calibration",
    "contracts",
    "budget",
    "cut_short",
]
Severity = Literal["error", "warning"]
Figure = float | int | str


@dataclass(frozen=True, slots=True)
class CheckKind:
    """One check.

    Attributes:
        severity: what a failure means.
        asks: what it asks of a shard, for people.
    """

    severity: Severity
    asks: str


CHECKS: Final[Mapping[CheckName, CheckKind]] = {
    "refused": CheckKind("error", "Are most rows of the sources usable?"),
    "contamination": CheckKind(
        "error", "Are few questions in benchmarks, and was it looked for in all that must be?"
    ),
    "duplicates": CheckKind(
        "error", "Are most questions new, and the ids those of no other accepted shard?"
    ),
    "license": CheckKind("error", "Is the licence of every seed known and allowed?"),
    "outcomes": CheckKind("error", "Do some rollouts end right, and not nearly all or none?"),
    "unverifiable": CheckKind("error", "Can most answers be verified?"),
    "truncated": CheckKind("error", "Do most rollouts come to an end?"),
    "repeats": CheckKind("warning", "Do most traces say something that no other says?"),
    "provenance": CheckKind("error", "Does every row lead back to a seed of the shard?"),
    "agreement": CheckKind("error", "Do judges and rollouts name the same first errors?"),
    "calibration": CheckKind(
        "warning", "Do equally sure labels agree with judges as often as in accepted shards?"
    ),
    "contracts": CheckKind("error", "Does every table on disk keep its contract?"),
    "budget": CheckKind("error", "Did the shard cost no more than it may?"),
    "cut_short": CheckKind("warning", "Did all searches end before their budget was spent?"),
}
"""Every check, in the order in which a shard meets them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found in one shard.

    Attributes:
        name: the check.
        passed: whether all is well.
        detail: value and limit in a sentence; if it failed, with what to do about it.
        figures: what was counted, by name; shares from 0 to 1.
    """

    name: CheckName
    passed: bool
    detail: str
    figures: Mapping[str, Figure]

    @property
    def severity(self) -> Severity:
        """What a failure means."""
        return CHECKS[self.name].severity

    @property
    def stops(self) -> bool:
        """Whether this keeps the shard from going on."""
        return not self.passed and self.severity == "error"
