"""Reads any Hugging Face dataset row by row: on the Hub, in a local folder, or in one local file.

The surprising fact: it always streams. Nothing is downloaded or converted beyond the rows that are
read, so ``limit=100`` on a dataset of a hundred gigabytes costs about a hundred rows.
"""

# datasets ships no types, so what comes from it is Any.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from datagen.errors import SeedError
from datagen.seeds.references import Reference
from datagen.seeds.rows import Row

# Decoding these costs seconds and further packages, and no seed field can hold them.
_MEDIA: Final = {"Image", "Audio", "Video", "Pdf", "Nifti", "Mesh"}
_BUILDER_OF_SUFFIX: Final = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".arrow": "arrow",
}


def read_huggingface(reference: Reference) -> Iterator[Row]:
    """Each row of one split, in the dataset's order; image and audio columns are left out.

    The split is ``reference.split``, by default ``train`` or the only one there is.

    Raises:
        SeedError: if the dataset cannot be loaded, or has several splits and no ``train``.
    """
    try:
        dataset = _pick_split(reference, _load(reference))
        features: Mapping[str, object] = dataset.features or {}
        media = [name for name, kind in features.items() if type(kind).__name__ in _MEDIA]
        if media:
            dataset = dataset.remove_columns(media)
        yield from enumerate(dataset)
    except SeedError:
        raise
    except Exception as error:  # datasets raises a different type for each of a dozen causes
        raise SeedError(
            f"{reference.text!r} cannot be loaded as a Hugging Face dataset "
            f"({type(error).__name__}: {error}); check the name, the config, the revision, the "
            "network and, for a private dataset, `hf auth login`"
        ) from error


def _load(reference: Reference) -> Mapping[str, Any]:
    # Imported here because it takes seconds, and most seeds are plain files.
    from datasets import load_dataset

    path = reference.path
    if path is not None and path.is_file():
        builder = _BUILDER_OF_SUFFIX.get(path.suffix.lower())
        if builder is None:
            known = ", ".join(_BUILDER_OF_SUFFIX)
            raise SeedError(f"{reference.text!r}: format='hf' reads files that end in {known}")
        loaded = load_dataset(builder, data_files=str(path), streaming=True)
    else:
        loaded = load_dataset(
            reference.name.partition(":")[0] if path is None else str(path),
            name=reference.config,
            revision=reference.revision,
            streaming=True,
        )
    return cast(Mapping[str, Any], loaded)


def _pick_split(reference: Reference, splits: Mapping[str, Any]) -> Any:
    names = list(splits)
    split = reference.split or (names[0] if len(names) == 1 else "train")
    if split not in splits:
        raise SeedError(
            f"{reference.text!r} has no split {split!r}; pass hf_split= one of {', '.join(names)}"
        )
    return splits[split]
