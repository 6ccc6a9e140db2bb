"""People who answer in Argilla over REST, as its page does."""

from typing import Any

import httpx2

from datagen.review.server import Server


class Person:
    """One user of a server."""

    def __init__(self, server: Server, name: str) -> None:
        users = {user.username: user for user in server.credentials.users}
        self.name = name
        self.http = httpx2.Client(
            base_url=f"{server.url}/api/v1",
            headers={"X-Argilla-Api-Key": users[name].api_key},
            timeout=60,
            trust_env=False,
        )

    def datasets(self) -> dict[str, str]:
        """Ids of the datasets that this person sees, by name."""
        found = self._json("GET", "/me/datasets")["items"]
        return {dataset["name"]: dataset["id"] for dataset in found}

    def records(self, dataset: str) -> dict[str, dict[str, Any]]:
        """The records of a dataset by their external id; for owners."""
        path = f"/datasets/{self.datasets()[dataset]}/records"
        found: dict[str, dict[str, Any]] = {}
        while True:
            params = {"offset": len(found), "limit": 1000, "include": ["responses", "suggestions"]}
            page = self._json("GET", path, params=params)
            found |= {record["external_id"]: record for record in page["items"]}
            if len(found) >= page["total"]:
                return found

    def answer(
        self, record: dict[str, Any], status: str = "submitted", **answers: Any
    ) -> dict[str, Any]:
        """Submit, save or discard; returns the response."""
        values = {name: {"value": value} for name, value in answers.items()}
        path = f"/records/{record['id']}/responses"
        return self._json("POST", path, json={"values": values, "status": status})

    def change(self, response: dict[str, Any], status: str = "submitted", **answers: Any) -> None:
        """Answer differently, or take an answer back."""
        values = {name: {"value": value} for name, value in answers.items()}
        content = {"values": values, "status": status}
        self._json("PUT", f"/responses/{response['id']}", json=content)

    @property
    def user_id(self) -> str:
        """The server's id of this person."""
        return self._json("GET", "/me")["id"]

    def discard(self, response: dict[str, Any]) -> None:
        """Take back what was submitted."""
        content = {"values": response["values"], "status": "discarded"}
        self._json("PUT", f"/responses/{response['id']}", json=content)

    def delete(self, record: dict[str, Any]) -> None:
        """Delete a record; for owners."""
        self._json("DELETE", f"/records/{record['id']}")

    def delete_dataset(self, name: str) -> None:
        """Delete a dataset; for owners."""
        self._json("DELETE", f"/datasets/{self.datasets()[name]}")

    def _json(self, method: str, path: str, **content: Any) -> Any:
        response = self.http.request(method, path, **content)
        response.raise_for_status()
        return response.json() if response.content else None
