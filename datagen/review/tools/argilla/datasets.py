"""Makes the workspaces and datasets of Argilla that we need, and keeps their texts up to date.

The surprising fact: what a dataset asks can never be changed once it is there, only its texts. So a
dataset that asks something else is refused, and never adapted.
"""

from collections.abc import Iterable
from typing import Any

from datagen.errors import ReviewError
from datagen.review.tools.argilla.connection import ArgillaConnection


def make_workspace(connection: ArgillaConnection, name: str, members: Iterable[str] = ()) -> Any:
    """A workspace by name, created if there is none, with these users among its members.

    Raises:
        ReviewError: there is no such user.
    """
    workspace = connection.workspace(name)
    if workspace is None:
        workspace = connection.sdk.Workspace(name=name, client=connection.client).create()
    wanted = set(members)
    for username in sorted(wanted - {user.username for user in workspace.users} if wanted else ()):
        found = (user for user in connection.client.users if user.username == username)
        user = next(found, None)
        if user is None:
            raise ReviewError(
                f"there is no user {username!r} at {connection.url}; add the user, or correct the "
                "names of the seniors"
            )
        if "owner" not in str(user.role):  # owners are everywhere
            workspace.add_user(user)
    return workspace


def make_dataset(connection: ArgillaConnection, workspace: Any, name: str, settings: Any) -> Any:
    """A dataset by name, created or with its texts brought up to date.

    Raises:
        ReviewError: another kind of dataset has this name.
    """
    found = connection.datasets(workspace).get(name)
    if found is not None and found["status"] != "ready":  # its creation broke off
        connection.delete(f"datasets/{found['id']}")
        found = None
    if found is None:
        sdk, client = connection.sdk, connection.client
        return sdk.Dataset(name, workspace=workspace, settings=settings, client=client).create()
    dataset = connection.client.datasets(name, workspace=workspace)
    theirs, ours = _asked(dataset.settings), _asked(settings)
    for question in {**ours, **theirs}:
        if ours.get(question) != theirs.get(question):
            raise ReviewError(
                f"the dataset {name!r} at {connection.url} does not ask {question!r} as we do "
                "(another kind, or other choices); rename or delete it, or give ours another name"
            )
    _update_texts(connection, dataset, settings)
    return dataset


def _update_texts(connection: ArgillaConnection, dataset: Any, settings: Any) -> None:
    if (dataset.settings.guidelines or "").strip() != settings.guidelines.strip():
        connection.patch(f"datasets/{dataset.id}", guidelines=settings.guidelines)
    for field in settings.fields:
        there = dataset.settings.fields[field.name]
        if getattr(field, "template", None) != getattr(there, "template", None):
            content = {"type": "custom", "template": field.template, "advanced_mode": True}
            connection.patch(f"fields/{there.id}", settings=content)
        if getattr(field, "use_markdown", None) != getattr(there, "use_markdown", None):
            content = {"type": "text", "use_markdown": field.use_markdown}
            connection.patch(f"fields/{there.id}", settings=content)
    for question in settings.questions:
        there = dataset.settings.questions[question.name]
        texts = {"title": question.title, "description": question.description}
        if texts != {"title": there.title, "description": there.description}:
            connection.patch(f"questions/{there.id}", **texts)


def _asked(settings: Any) -> dict[str, tuple[str, frozenset[str]]]:
    """Per question its kind and the answers that can be chosen, in whatever order."""
    return {
        question.name: (
            type(question).__name__,
            frozenset(map(str, getattr(question, "labels", ()))),
        )
        for question in settings.questions
    }
