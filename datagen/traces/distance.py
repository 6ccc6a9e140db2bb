"""How different two traces are, in steps.

To an edit distance words count, but not how they are set; to a policy every character does.
"""

from datagen.traces.model import Trace


def normal(text: str) -> str:
    """The words without regard to case and white space."""
    return " ".join(text.casefold().split())


def edit_distance(a: Trace, b: Trace) -> int:
    """Fewest steps to insert, delete or replace to turn one into the other (Levenshtein)."""
    ours, theirs = ([normal(step.text) for step in trace.steps] for trace in (a, b))
    row = list(range(len(theirs) + 1))
    for i, step in enumerate(ours, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(theirs, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (step != other))
    return row[-1]


def shared_steps(trace: Trace, other: Trace) -> int:
    """How many leading steps the two have in common, as the policy reads them."""
    n_shared = 0
    for a, b in zip(trace.steps, other.steps, strict=False):
        if (a.factor, a.text) != (b.factor, b.text):
            break
        n_shared += 1
    return n_shared
