"""Rewards for verl on the dataset ``rl``: an answer is judged by the verifier that its row names.

    python -m verl.trainer.main_ppo \
        data.train_files=out/published/rl/train-00000-of-00001.parquet \
        reward.custom_reward_function.path=docs/examples/verl_reward.py ...

Before verl 0.7.1 the option is ``custom_reward_function.path``. The rewards that verl has itself
are chosen by ``data_source``, and know only the datasets that they were written for.
"""

from collections.abc import Mapping
from typing import Any

from datagen.verify import Outcome, verify_completion


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any],
    **_: object,
) -> dict[str, float]:
    """Reward one completion.

    Args:
        data_source: of the row; all are judged alike.
        solution_str: the completion.
        ground_truth: ``reward_model.ground_truth`` of the row.
        extra_info: of the row; ``verifier`` says how the answer is judged.

    Returns:
        ``score``, 1 if the answer is right and else 0; and ``unverifiable``, 1 if nothing could be
        made of it, which verl logs: a share that stays high means that a format is not read.
    """
    verdict = verify_completion(solution_str, ground_truth, verifier=extra_info["verifier"])
    return {
        "score": float(verdict.outcome is Outcome.CORRECT),
        "unverifiable": float(verdict.outcome is Outcome.UNVERIFIABLE),
    }
