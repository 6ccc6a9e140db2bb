"""Code seeds: functions with tests that they pass, read from files, folders and the Hub.

:func:`read_code_seeds` is the only entry; what it cannot use is in
:attr:`CodeSeedBatch.quarantine`.
"""

from datagen.seeds.code.reading import CodeFormat, CodeSeedBatch, read_code_seeds

__all__ = ["CodeFormat", "CodeSeedBatch", "read_code_seeds"]
