"""What a thought claims of runs, read out of its words.

:func:`extract_claims` is the entry; its neighbours read tokens, literals, phrases of time, calls,
and the sides of a relation, one each.
"""

from datagen.code.claims.contexts import When
from datagen.code.claims.events import Claim
from datagen.code.claims.extract import extract_claims, read_thought
from schemas import ClaimKind

__all__ = ["Claim", "ClaimKind", "When", "extract_claims", "read_thought"]
