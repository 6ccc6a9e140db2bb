"""MinHash sketches of many sets, and the pairs of sets that look alike in them.

The surprising fact: the sketches are ``datasketch``'s and the index is not. ``MinHashLSH`` keeps a
Python set per text and band, a gigabyte for 100,000 texts; the bands of all texts are one table of
two columns here, and looking them up is a join.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

_RECALL: Final = 0.98
"""Chance that a pair just at the threshold is proposed; a more similar one has a better chance."""

_ESTIMATE_ERRORS: Final = 4.0
"""Standard errors that a pair of sketches may fall short of the threshold and be proposed."""

_SETS_AT_ONCE: Final = 16_384
_PAIRS_AT_ONCE: Final = 65_536
_32: Final = np.uint64(32)
_FACTOR: Final = np.uint64(0x9E37_79B9_7F4A_7C15)


class Sketches:
    """The sketches of some sets, cut into bands.

    MinHash (Broder 1997): two sketches agree in a share of their places that is the Jaccard
    similarity of their sets, give or take. Banding (Leskovec, Rajaraman and Ullman, Mining of
    Massive Datasets, section 3.4): two sets are looked at if a whole band of both agrees.

    Attributes:
        bands: ``at`` (position of a set) and ``band``, for each band that another set has too.
    """

    def __init__(
        self, sets: pl.Series, groups: pl.Series, *, threshold: float, n_perm: int, seed: int
    ) -> None:
        """Sketch ``sets`` (``list[u32]``, hashes); only sets of one group share bands."""
        self._values = _sketched(sets, n_perm, seed)
        self._least = threshold - _ESTIMATE_ERRORS * (threshold * (1 - threshold) / n_perm) ** 0.5
        n_bands, n_values = _band_shape(threshold, n_perm)
        bands: Any = np.empty((len(sets), n_bands), dtype=np.uint64)
        for band in range(n_bands):
            key: Any = groups.to_numpy().astype(np.uint64) * _FACTOR + np.uint64(band)
            for place in range(band * n_values, (band + 1) * n_values):
                key = (key ^ (key >> _32)) * _FACTOR + self._values[:, place]
            bands[:, band] = key
        at = np.repeat(np.arange(len(sets), dtype=np.uint32), n_bands)
        every = pl.DataFrame({"at": at, "band": bands.ravel()})
        self.bands = every.filter(pl.col("band").is_duplicated())

    def pairs(self, earlier: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
        """Positions ``i`` < ``j`` of pairs that may be as alike as the threshold, each once.

        Args:
            earlier: rows of :attr:`bands` that ``i`` is taken from.
            later: those that ``j`` is taken from.
        """
        pairs = (
            earlier.rename({"at": "i"})
            .join(later.rename({"at": "j"}), on="band")
            .filter(pl.col("i") < pl.col("j"))
            .select("i", "j")
            .unique()
        )
        likely = [
            part.filter(self._agreement(part) >= self._least)
            for part in pairs.iter_slices(_PAIRS_AT_ONCE)
        ]
        return pl.concat([pairs.clear(), *likely])

    def _agreement(self, pairs: pl.DataFrame) -> pl.Series:
        same: Any = self._values[pairs["i"].to_numpy()] == self._values[pairs["j"].to_numpy()]
        return pl.Series(same.mean(axis=1))


def _sketched(sets: pl.Series, n_perm: int, seed: int) -> npt.NDArray[np.uint32]:
    """One sketch per set: shape (sets, n_perm)."""
    # Imported here because it takes a second, and few texts are compared by sketches.
    from datasketch import MinHash

    values = np.empty((len(sets), n_perm), dtype=np.uint32)
    for at in range(0, len(sets), _SETS_AT_ONCE):
        part = sets.slice(at, _SETS_AT_ONCE).to_list()
        # What the sets hold is hashed already.
        sketches = MinHash.generator(part, num_perm=n_perm, seed=seed, hashfunc=int)
        for place, sketch in enumerate(sketches, at):
            values[place] = sketch.hashvalues
    return values


def _band_shape(threshold: float, n_perm: int) -> tuple[int, int]:
    """Bands, and places per band: the longest bands that still find what they must.

    ``MinHashLSH`` weighs misses against pairs that are proposed in vain, and would miss every other
    pair at the threshold; here a pair that is proposed in vain costs little.
    """
    for n_values in range(n_perm, 1, -1):
        n_bands = n_perm // n_values
        if 1 - (1 - threshold**n_values) ** n_bands >= _RECALL:
            return n_bands, n_values
    return n_perm, 1
