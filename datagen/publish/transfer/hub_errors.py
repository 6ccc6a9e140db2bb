"""What a Hub's errors mean to whoever publishes, in one line with the fix.

The surprising fact: what a server says is not passed on as it is. A server, a proxy or a library
may repeat what it was sent, so every text is searched for the token before anybody sees it, and the
original error is not chained to ours.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import httpx2
from huggingface_hub import get_token
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from datagen.errors import PublishError

_STALE: Final = 412
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, _STALE})
_MAX_CHARS: Final = 300

_TOKENS: Final = re.compile(r"hf_[A-Za-z0-9]{8,}|(?<=Bearer )\S+|(?<=://)[^/@\s]+(?=@)")
_HIDDEN: Final = "[hidden]"

AGAIN: Final = "the same command goes on where this one stopped"


def is_stale(error: BaseException) -> bool:
    """Whether somebody else has committed since the target was read."""
    return _status(error) == _STALE


def is_passing(error: BaseException) -> bool:
    """Whether it is worth trying again: the network, a server at its limit, a stale parent."""
    if (status := _status(error)) is not None:
        return status in _PASSING
    return not _is_misdirected(error) and any(
        isinstance(cause, httpx2.TransportError | ConnectionError) for cause in _chain(error)
    )


def _is_misdirected(error: BaseException) -> bool:
    """Whether ``HF_ENDPOINT`` is no address, or of a server without a part that was asked for."""
    return _lacks_xet(error) or any(
        isinstance(cause, httpx2.UnsupportedProtocol | httpx2.InvalidURL) for cause in _chain(error)
    )


def _lacks_xet(error: BaseException) -> bool:
    return any("xet-write-token" in str(cause) and "404" in str(cause) for cause in _chain(error))


def explained(error: BaseException, *, repo_id: str, endpoint: str) -> PublishError:
    """The error to show; it holds no secret, and is to be raised without a cause.

    Args:
        error: what ``huggingface_hub`` raised.
        repo_id: ``owner/name``.
        endpoint: the Hub's address.
    """
    return PublishError(redacted(_message(error, repo_id, endpoint)))


def redacted(text: str) -> str:
    """A text without the token in use, and without anything that looks like one."""
    with suppress(Exception):  # finding the token may go to the network
        if token := get_token():
            text = text.replace(token, _HIDDEN)
    return _TOKENS.sub(_HIDDEN, text)


def tokens_page(endpoint: str) -> str:
    """Where a user makes a token."""
    return f"{endpoint}/settings/tokens"


def _message(error: BaseException, repo_id: str, endpoint: str) -> str:
    said = _said(error)
    if _lacks_xet(error):
        return f"{endpoint} has no Xet storage ({said}); set HF_HUB_DISABLE_XET=1"
    if _is_misdirected(error):
        return f"HF_ENDPOINT={endpoint!r} is no address of a Hub: {said}"
    if any(isinstance(cause, GatedRepoError) for cause in _chain(error)):
        return (
            f"{repo_id!r} is gated, and this token has no access; ask for it at "
            f"{endpoint}/datasets/{repo_id} ({said})"
        )
    match _status(error):
        case 401:
            return (
                f"{endpoint} does not accept the token ({said}); set HF_TOKEN to a valid one from "
                f"{tokens_page(endpoint)}, or run `hf auth login`"
            )
        case 403:
            return (
                f"this token may not write to {repo_id!r} ({said}); use one with the role write "
                f"from {tokens_page(endpoint)}, of a user who may write there"
            )
        case 404:
            return f"{repo_id!r} is not at {endpoint}, or this token may not see it ({said})"
        case 412:
            return f"others keep committing to {repo_id!r}; try again when they are done"
        case int(status) if status in _PASSING:
            return f"{endpoint} answers with status {status} ({said}); try later: {AGAIN}"
        case int(status):
            return f"{endpoint} refused to publish {repo_id!r} with status {status}: {said}"
        case None if is_passing(error):
            return (
                f"cannot reach {endpoint}: {said}; check the network and HF_ENDPOINT, then {AGAIN}"
            )
        case None:
            return f"cannot publish to {repo_id!r} at {endpoint}: {said}"


def _said(error: BaseException) -> str:
    """What the first cause says, in one line."""
    cause = list(_chain(error))[-1]
    if isinstance(response := _response_error(error), HfHubHTTPError):
        text = response.server_message or str(response)
    else:
        text = str(cause) or type(cause).__name__
    line = " ".join(text.split())
    return line if len(line) <= _MAX_CHARS else f"{line[:_MAX_CHARS]}…"


def _status(error: BaseException) -> int | None:
    found = _response_error(error)
    if found is None:
        return None
    # Without a token the Hub says 401 of what it says 404 of with one.
    if isinstance(found, RepositoryNotFoundError) and not isinstance(found, GatedRepoError):
        return 404
    return found.response.status_code


def _response_error(error: BaseException) -> HfHubHTTPError | None:
    return next((cause for cause in _chain(error) if isinstance(cause, HfHubHTTPError)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__
