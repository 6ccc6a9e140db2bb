"""Speaks with an Argilla server; the only module that imports Argilla's SDK.

The surprising fact: records are read over plain REST. The SDK drops when a response was submitted,
and it pages without a way to notice that a record was deleted meanwhile, which would make it skip
another one.
"""

import contextlib
import os
import warnings
from collections.abc import Generator, Iterable
from typing import Any, Final

from datagen.errors import ReviewError

_PAGE: Final = 500
"""Records asked for at once."""

_MOST_PASSES: Final = 5
"""How often a list that changes under our hands is read again."""


class ArgillaConnection:
    """A server, and the user whose key is used.

    Attributes:
        url: where the server is.
        sdk: the module ``argilla``.
        client: its client.
    """

    def __init__(self, url: str | None, key: str | None, *, timeout_s: float) -> None:
        """Log in.

        Args:
            url: the server; else ``ARGILLA_API_URL``.
            key: an owner's or admin's key; else ``ARGILLA_API_KEY``. It is never shown.
            timeout_s: longest wait for one answer.

        Raises:
            ReviewError: no SDK, no url or key, no server, a wrong key, or a mere annotator.
        """
        self.url = (url or os.environ.get("ARGILLA_API_URL", "")).rstrip("/")
        key = key or os.environ.get("ARGILLA_API_KEY", "")
        for name, value in (("ARGILLA_API_URL", self.url), ("ARGILLA_API_KEY", key)):
            if not value:
                raise ReviewError(
                    f"it is not said which Argilla to use: {name} is not set; set it, or start a "
                    "server with `datagen review serve`, which prints both"
                )
        self.sdk = _sdk()
        with self.errors():
            self.client: Any = self.sdk.Argilla(
                api_url=self.url, api_key=key, timeout=timeout_s, retries=1
            )
            self.role = str(getattr(self.client.me.role, "value", self.client.me.role))
        if self.role not in ("owner", "admin"):
            raise ReviewError(
                f"the key for {self.url} is that of {self.client.me.username!r}, an "
                f"{self.role}; only an owner or an admin can push records and read all reviews"
            )

    @contextlib.contextmanager
    def errors(self, doing: str = "") -> Generator[None]:
        """Raise what the SDK raises as ``ReviewError``; ``doing`` says what was going on."""
        import httpx
        from argilla._exceptions import ArgillaCredentialsError, ArgillaError

        during = f" while {doing}" if doing else ""
        again = "; what was done so far is kept, run it again" if doing else ""
        try:
            yield
        except httpx.ConnectError as error:
            raise ReviewError(
                f"no Argilla server answers at {self.url}{during}: {error}; start one with "
                f"`datagen review serve`, or correct ARGILLA_API_URL{again}"
            ) from None
        except httpx.TransportError as error:
            raise ReviewError(
                f"the Argilla server at {self.url} broke off{during}: "
                f"{error or type(error).__name__}{again}"
            ) from None
        except httpx.InvalidURL as error:
            raise ReviewError(f"ARGILLA_API_URL is {self.url!r}: {error}") from None
        except httpx.HTTPStatusError as error:
            raise self._refused(error.response.status_code, error.response.text, during) from None
        except ArgillaCredentialsError:
            raise self._refused(401, "", during) from None
        except ArgillaError as error:
            status = getattr(error, "status_code", 0)
            raise self._refused(status, str(error), during) from None
        except ValueError as error:  # an answer that is no JSON, so no Argilla
            raise ReviewError(
                f"{self.url} does not answer as Argilla does{during}: {error}; "
                "correct ARGILLA_API_URL"
            ) from None

    def _refused(self, status: int, detail: str, during: str) -> ReviewError:
        if status == 401:
            return ReviewError(
                f"Argilla at {self.url} does not accept the key{during}; set ARGILLA_API_KEY to "
                "that of an owner or admin (user settings, API key)"
            )
        if status == 403:
            return ReviewError(
                f"Argilla at {self.url} does not let an {getattr(self, 'role', 'unknown user')} "
                f"do this{during}; use an owner's key"
            )
        return ReviewError(f"Argilla at {self.url} refused{during}: {status or ''} {detail:.500}")

    def get(self, path: str, **params: object) -> Any:
        """JSON that the server answers; None if there is no such thing."""
        response = self.client.http_client.get(f"/api/v1/{path}", params=params)
        if response.status_code == 404:
            return None
        response.raise_for_status()
        return response.json()

    def delete(self, path: str, **params: object) -> None:
        """Delete; what is gone already is fine."""
        response = self.client.http_client.delete(f"/api/v1/{path}", params=params)
        if response.status_code != 404:
            response.raise_for_status()

    def patch(self, path: str, **content: object) -> None:
        """Change."""
        self.client.http_client.patch(f"/api/v1/{path}", json=content).raise_for_status()

    def workspace(self, name: str) -> Any:
        """A workspace by name, or None."""
        return next((found for found in self.client.workspaces if found.name == name), None)

    def datasets(self, workspace: Any) -> dict[str, dict[str, Any]]:
        """The datasets of a workspace by name, as the server describes them."""
        found = self.get("me/datasets", workspace_id=str(workspace.id))
        return {item["name"]: item for item in found["items"]}

    def users(self, workspaces: Iterable[str]) -> dict[str, str]:
        """Names of all users that this key may know, by id."""
        me = self.client.me
        names = {str(me.id): str(me.username)}
        found = (self.workspace(name) for name in workspaces)
        paths = [f"workspaces/{workspace.id}/users" for workspace in found if workspace]
        for path in ["users"] if self.role == "owner" else paths:
            found = self.get(path) or {"items": []}
            names |= {user["id"]: user["username"] for user in found["items"]}
        return names

    def records(self, dataset_id: str) -> list[dict[str, Any]]:
        """All records of a dataset with their responses, in the order in which they were added.

        Raises:
            ReviewError: if records come and go faster than they can be read.
        """
        seen: dict[str, dict[str, Any]] = {}
        for _ in range(_MOST_PASSES):
            seen = {}
            total_before = total = -1
            while True:
                page = self.get(
                    f"datasets/{dataset_id}/records",
                    offset=len(seen),
                    limit=_PAGE,
                    include="responses",
                )
                if page is None:  # the dataset was deleted
                    return []
                total = page["total"]
                total_before = total if total_before < 0 else total_before
                n_before = len(seen)
                seen |= {record["id"]: record for record in page["items"]}
                if len(seen) == n_before or len(seen) >= total:
                    break
            if len(seen) == total == total_before:
                return list(seen.values())
        raise ReviewError(
            f"the records of a dataset at {self.url} kept changing while they were read; stop "
            "whatever else adds or deletes records, and try again"
        )


def _sdk() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import argilla
    except ImportError as error:
        raise ReviewError(
            f"Argilla's SDK cannot be imported ({error}); install it with "
            "pip install 'datagen[review]', or exchange files with `datagen review export`"
        ) from error
    return argilla
