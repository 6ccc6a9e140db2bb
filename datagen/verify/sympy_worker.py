"""The child process that does symbolic algebra; run by path, imports nothing of this project.

It never catches its own timeouts: the parent kills it. Only if the parent itself has died does the
kernel's alarm end it, because SIGALRM is left at its default action, which needs no interpreter
and therefore also ends a computation that is stuck inside C.
"""

# pyright: basic
# (math-verify ships no types; everything that is not JSON stays in this file)

import json
import logging
import os
import signal
import sys
from typing import Any

_MEMORY_LIMIT_BYTES = 4 << 30
_ORPHAN_GRACE = 3.0


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = _MEMORY_LIMIT_BYTES if hard == resource.RLIM_INFINITY else min(_MEMORY_LIMIT_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _set_alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _answer(request: dict[str, str]) -> dict[str, Any]:
    """Parse the gold and, if one is given, the answer; compare them.

    Both must be LaTeX without delimiters. ``state`` is one of ``parsed`` (gold alone), ``equal``,
    ``different``, ``bad_gold``, ``bad_answer`` and ``error``.
    """
    from math_verify import LatexExtractionConfig, parse, verify

    def parsed(latex: str) -> Any:
        # The library's own timeouts are off: they use SIGALRM handlers and cannot stop C code.
        return parse(
            f"${latex}$",
            extraction_config=[LatexExtractionConfig(boxed_match_priority=-1)],
            fallback_mode="no_fallback",
            parsing_timeout=0,
        )

    gold = parsed(request["gold"])
    if not gold:
        return {"state": "bad_gold"}
    if "answer" not in request:
        return {"state": "parsed"}
    answer = parsed(request["answer"])
    if not answer:
        return {"state": "bad_answer"}
    try:
        # The order matters to the library: gold first.
        equal = verify(
            gold,
            answer,
            timeout_seconds=0,
            allow_set_relation_comp=True,  # x <= 3 is (-oo, 3], whichever of them is the gold
            raise_on_error=True,
        )
    except Exception as error:
        return {"state": "error", "error": type(error).__name__}
    return {"state": "equal" if equal else "different"}


def main() -> None:
    """Serve requests until the input ends."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    sys.stdout = sys.stderr  # whatever the libraries print must not look like a reply
    limit_s = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    logging.disable(logging.CRITICAL)
    _limit_memory()
    try:
        warm = _answer({"gold": r"\frac{1}{2}", "answer": "0.5"})
    except ImportError as error:
        return reply({"ready": False, "error": str(error)})
    reply({"ready": warm["state"] == "equal", "error": f"self-test: {warm}"})
    for line in sys.stdin:
        _set_alarm(limit_s * _ORPHAN_GRACE)
        try:
            message = _answer(json.loads(line))
        except Exception as error:
            message = {"state": "error", "error": type(error).__name__}
        _set_alarm(0)
        reply(message)


if __name__ == "__main__":
    main()
