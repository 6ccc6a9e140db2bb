"""Says what the ``datasets`` that is imported makes of a published folder: ``FOLDER``.

The last line is JSON: its ``version``, and for each of the ``splits`` its ``rows``, a ``digest`` of
them, their Arrow ``types``, whether the ``streamed`` ones are the same, and what becomes of them
when rows that somebody typed are put behind: ``mixed``, the number that is gained, or an error.
"""

import hashlib
import json
import sys
from typing import Any, Final

import datasets

N_TYPED: Final = 50


def told(folder: str, config: str, split: str) -> dict[str, Any]:
    """What there is to say of one split."""
    loaded = datasets.load_dataset(folder, config, split=split)
    rows = loaded.to_list()
    typed = datasets.Dataset.from_list(rows[:N_TYPED])
    try:
        if "null" in str(typed.features.arrow_schema.types):
            # What is empty in every typed row has no type; whoever typed it has to say which.
            typed = typed.cast(loaded.features)
        mixed = len(datasets.concatenate_datasets([loaded, typed])) - len(rows)
    except (ValueError, TypeError) as error:
        mixed = str(error)[-300:]
    return {
        "rows": len(rows),
        "digest": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        "types": str(loaded.features.arrow_schema.remove_metadata()),
        "streamed": list(datasets.load_dataset(folder, config, split=split, streaming=True))
        == rows,
        "mixed": mixed,
    }


def main(folder: str) -> None:
    """Every split of every config."""
    datasets.disable_progress_bars()
    splits = {
        f"{config}/{split}": told(folder, config, split)
        for config in datasets.get_dataset_config_names(folder)
        for split in datasets.get_dataset_split_names(folder, config)
    }
    print(json.dumps({"version": datasets.__version__, "splits": splits}))


if __name__ == "__main__":
    main(sys.argv[1])
