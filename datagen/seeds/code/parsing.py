"""Parses source that somebody else wrote: whatever is wrong with it is a refusal."""

import ast
import warnings

from datagen.seeds.refusals import Refused


def parsed(field: str, source: str) -> ast.Module:
    """The syntax tree of ``source``, which stands in ``field``.

    Raises:
        Refused: if it is no Python.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes and the like: not our code
            return ast.parse(source)
    except SyntaxError as error:
        why = f"line {error.lineno}: {error.msg}"
    except (ValueError, MemoryError, RecursionError) as error:
        why = str(error) or "it is nested too deeply"
    raise Refused(field, "does not parse", f"{field} is no Python ({why}); mend the source", source)
