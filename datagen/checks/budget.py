"""Checks of what a shard cost, and whether its budget was enough.

The surprising fact: a budget that was spent is no failure of the shard. What was drawn until then
is as good as any; there is just less of it, for whichever questions came last. What a shard costs
beyond ``checks.max_*`` is one: it waits for a person to say that it may go on, and what it has is
kept.
"""

from collections.abc import Callable, Mapping

from datagen.checks.finding import Finding
from datagen.report.numbers import count, money, seconds
from datagen.report.work import STAGES, Work


def budget(
    work: Mapping[str, Work],
    *,
    max_tokens: int | None = None,
    max_cost: float | None = None,
    max_seconds: float | None = None,
) -> Finding:
    """Whether a shard cost no more than it may.

    Args:
        work: of each stage, as :func:`datagen.report.work.read_work` has it.
        max_tokens: generated tokens of all stages; ``None``: any number.
        max_cost: by the prices of the settings.
        max_seconds: of the engine's time, summed over the stages.
    """
    total = Work.total(work.values())
    spent: tuple[tuple[str, float, float | None, Callable[[float], str]], ...] = (
        ("tokens", total.n_tokens, max_tokens, lambda n: f"{count(n)} tokens"),
        ("cost", total.cost, max_cost, lambda cost: f"a cost of {money(cost)}"),
        ("seconds", total.seconds, max_seconds, lambda n: f"{seconds(n)} of the engine"),
    )
    over = [
        f"{written(value)}, more than checks.max_{name} = {limit}"
        for name, value, limit, written in spent
        if limit is not None and value > limit
    ]
    known = [written(value) for _, value, limit, written in spent if value or limit]
    detail = ", ".join(known) or "nothing was asked of a model"
    if over:
        most = max(work, key=lambda stage: work[stage].n_tokens)
        detail = (
            f"{'; '.join(over)}, most of the tokens in stage {most}: raise the limit and run the "
            "shard again, which goes on from its journal, or make it smaller"
        )
    return Finding("budget", not over, detail, {name: value for name, value, _, _ in spent})


def cut_short(work: Mapping[str, Work]) -> Finding:
    """Whether all searches ended before the budget of their stage was spent."""
    spent = [stage for stage in work if work[stage].budget_spent]
    detail = f"no budget ended any of {len(work)} stages"
    if spent:
        names = ", ".join(f"{STAGES[stage]} ({stage})" for stage in spent)
        detail = (
            f"the budget was spent before all searches ended: {names}; questions at the end of the "
            "shard have fewer rollouts, or none: raise the stage's budget_* and run the shard "
            "again, which goes on from its journal"
        )
    return Finding("cut_short", not spent, detail, {"stages": len(work), "cut_short": len(spent)})
