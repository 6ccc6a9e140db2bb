"""Self-correction: traces that go wrong, notice it, mend it and end right.

Everything in them but the joints was left behind by a search: right traces, and wrong ones whose
first error is known. What joins the two is written by the policy in the very state that the trace
has come to then, so that a model learns what it might have said itself.
"""

from datagen.corrections.joints import JointConfig
from datagen.corrections.run import Corrected, CorrectionConfig, make_corrections

__all__ = ["Corrected", "CorrectionConfig", "JointConfig", "make_corrections"]
