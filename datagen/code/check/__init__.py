"""What happened, beside what a thought claims: each claim and each step gets its verdict."""

from datagen.code.check.thought import CheckedClaim, ThoughtCheck, check_thought, wanted_calls
from schemas import ClaimVerdict

__all__ = ["CheckedClaim", "ClaimVerdict", "ThoughtCheck", "check_thought", "wanted_calls"]
