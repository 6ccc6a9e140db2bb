"""How different two traces are, in steps; words count, but not how they are set."""

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
