"""The YAML at the head of the card: what the Hub and ``load_dataset`` read.

The surprising fact: features are written here although every Parquet file has a schema. Parquet
cannot say everything that ``datasets`` distinguishes, and a config whose features are only inferred
may not concatenate with ordinary data. ``num_examples`` is enforced by readers, so this is written
last, from what was written.
"""

# datasets ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from collections.abc import Iterable, Mapping
from typing import Any, Final

from datagen.publish.configs import CONFIGS
from datagen.publish.licenses import hub_license
from datagen.publish.manifest import ConfigFiles, content_digest

TAGS: Final = (
    "synthetic",
    "reasoning",
    "chain-of-thought",
    "process-reward-model",
    "reinforcement-learning",
    "datagen",
)

_SIZES: Final = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)


def front_matter(configs: Mapping[str, ConfigFiles], *, licenses: Iterable[str], title: str) -> str:
    """The YAML block, between its ``---`` lines.

    Args:
        configs: the configs that have rows, in the order of the card; the first is the default.
        licenses: the licence of the whole, or those of the seeds.
        title: the dataset's name for people.
    """
    # Takes seconds to import, and whoever only reads a card's statistics does not need it.
    from datasets import DatasetInfo
    from datasets.info import DatasetInfosDict
    from datasets.splits import SplitDict, SplitInfo
    from huggingface_hub import DatasetCardData

    default = next(iter(configs))
    license, license_name = hub_license(licenses)
    data = DatasetCardData(
        license=license,
        pretty_name=title,
        tags=list(TAGS),
        task_categories=["text-generation"],
        size_categories=[_size(sum(config.rows for config in configs.values()))],
        configs=[
            {
                "config_name": name,
                "data_files": [
                    {"split": split, "path": f"{name}/{split}-*"} for split in config.splits
                ],
                **({"default": True} if name == default else {}),
            }
            for name, config in configs.items()
        ],
        license_name=license_name,
    )
    infos = {
        name: DatasetInfo(
            features=CONFIGS[name].contract.features(),
            splits=SplitDict(
                {
                    split: SplitInfo(split, num_bytes=files.bytes, num_examples=files.rows)
                    for split, files in config.splits.items()
                }
            ),
            download_size=sum(file.size for file in config.files),
            dataset_size=sum(files.bytes for files in config.splits.values()),
        )
        for name, config in configs.items()
    }
    DatasetInfosDict(infos).to_dataset_card_data(data)
    blocks = _old_lists(data["dataset_info"])
    for block in blocks if isinstance(blocks, list) else [blocks]:
        name = block.get("config_name", default)
        # Readers keep what they have read of a folder under a hash of this block alone; without
        # the digest they would go on giving older rows of the same number and size.
        block["description"] = f"SHA-256 {content_digest({name: configs[name]})}"
    data["dataset_info"] = blocks
    return f"---\n{data.to_yaml()}\n---\n"


def _old_lists(info: Any) -> Any:
    """The features with lists of plain values under the name that they had before datasets 4.

    Later versions read either name. Versions before that read ``list`` as another type than the
    one that they infer for lists of plain values, and refuse to put the two together.
    """
    if isinstance(info, list):
        return [_old_lists(item) for item in info]
    if not isinstance(info, dict):
        return info
    return {
        "sequence" if name == "list" and not isinstance(value, list) else name: _old_lists(value)
        for name, value in info.items()
    }


def _size(n_rows: int) -> str:
    return next((name for limit, name in _SIZES if n_rows < limit), "n>1B")
