"""Texts of unknown length and content, made fit for a page of bounded size.

Characters that act instead of being seen become visible: a text that turns round the direction of
its line, or ends it, would change how the rest of the page reads.
"""

_ACTING = {ord(char): "�" for char in map(chr, (*range(0x20), *range(0x7F, 0xA0)))} | {
    ord(char): char for char in "\n\t"
}
_TURNING = {code: "�" for code in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def clipped(text: str, n: int) -> str:
    """The text, or as much of it as has ``n`` characters, an ellipsis included."""
    shown = text if len(text) <= n else f"{text[: n - 1]}…"
    return shown.translate(_ACTING | _TURNING)


def clipped_lines(text: str, n_lines: int, n: int) -> str:
    """As :func:`clipped`, and at most ``n_lines`` lines; how many more there are is said."""
    lines = text.split("\n")
    more = len(lines) - n_lines
    kept = [*lines[:n_lines], f"… {more} more lines"] if more > 0 else lines
    return clipped("\n".join(kept), n)
