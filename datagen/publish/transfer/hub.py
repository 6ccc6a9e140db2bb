"""Publishes a folder to a dataset repository on a Hub: the public one, or that of ``HF_ENDPOINT``.

The surprising fact: nothing is resumed. An attempt looks at what is there and sends what is
missing; a stale parent, a cut connection, a lost answer and a killed process are all met by looking
again. A Hub keeps every file that arrived whole, so it is not sent twice, and a commit that was
made although its answer got lost leaves nothing to do.
"""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    get_token,
    is_offline_mode,
)
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import disable_progress_bars, validate_repo_id

from datagen.errors import PublishError
from datagen.publish.transfer.hub_errors import (
    explained,
    is_passing,
    is_stale,
    redacted,
    tokens_page,
)
from datagen.publish.transfer.hub_repository import Head, HubRepository
from datagen.publish.transfer.plan import Plan, Publication, make_plan
from datagen.publish.transfer.source import Source

Gated = Literal["auto", "manual", False]

_WAITS_S: Final = (1.0, 2.0, 4.0)
"""Between attempts; ``huggingface_hub`` itself tries each upload six times."""


def publish_to_hub(
    source: Source,
    repo_id: str,
    *,
    private: bool | None = None,
    gated: Gated | None = None,
    tag: str | None = None,
    dry_run: bool = False,
    message: str | None = None,
    on_plan: Callable[[Plan], None] = lambda _: None,
) -> Publication:
    """Make a repository hold what a folder holds, in one commit with a tag.

    The arguments are those of :func:`datagen.publish.transfer.target.publish`.

    Raises:
        PublishError: if it cannot be done; the message says why and what to do.
    """
    endpoint = constants.ENDPOINT
    if is_offline_mode():
        raise PublishError(
            f"cannot publish to {repo_id!r}: HF_HUB_OFFLINE is set; unset it, or give a folder"
        )
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PublishError(f"{repo_id!r} is no name of a repository: {error}") from None
    run = _Run(source, repo_id, redacted(endpoint), private, gated, tag, dry_run, message, on_plan)
    waits = iter(_WAITS_S)
    while True:
        try:
            return run.attempt()
        except PublishError:
            raise
        except Exception as error:
            run.stale = is_stale(error)
            wait = next(waits, None) if is_passing(error) else None
            failure = explained(error, repo_id=repo_id, endpoint=endpoint)
        if wait is None:
            raise failure  # here, where the original error is not its context any more
        time.sleep(0 if run.stale else wait)


@dataclass(slots=True)
class _Run:
    """One publication, over all its attempts.

    Attributes:
        plan: the plan that was announced, or ``None`` before there is one.
        stale: whether the last attempt ended because somebody else had committed.
        created: whether an attempt has made the repository.
        token_works: whether the Hub has accepted the token.
    """

    source: Source
    repo_id: str
    endpoint: str
    private: bool | None
    gated: Gated | None
    tag: str | None
    dry_run: bool
    message: str | None
    on_plan: Callable[[Plan], None]
    plan: Plan | None = None
    stale: bool = False
    created: bool = False
    token_works: bool = False
    api: HfApi = field(default_factory=lambda: HfApi(library_name="datagen"))
    repository: HubRepository = field(init=False)

    def __post_init__(self) -> None:
        self.repository = HubRepository(self.api, self.repo_id)

    def attempt(self) -> Publication:
        """Look, and do what is left to do."""
        self._check_token()
        head = self.repository.head()
        there = None if head is None else self.repository.read(head.sha)
        name = f"{self.repo_id} at {self.endpoint}"
        plan = make_plan(self.source, there, target=name, settings=self._settings(head))
        if head is not None and self.tag:
            self._refuse_taken_tag(self.tag, head.sha, plan)
        if self.plan is None or self.stale:
            self.plan = plan
            self.on_plan(plan)
        if self.dry_run:
            return self._publication(self.plan, None if head is None else head.sha)
        if head is None:
            return self._create()
        if plan.settings:
            self.api.update_repo_settings(
                self.repo_id, private=self.private, gated=self.gated, repo_type="dataset"
            )
        commit = self._commit(plan, head.sha) if plan.files else head.sha
        self._ensure_tag(commit)
        return self._publication(self.plan, commit)

    def _check_token(self) -> None:
        if self.token_works:
            return
        if get_token() is None:
            if self.dry_run:
                return
            raise PublishError(
                f"no token for {self.endpoint}: set HF_TOKEN to one from "
                f"{tokens_page(self.endpoint)}, or run `hf auth login`"
            )
        auth = self.api.whoami().get("auth", {})
        if auth.get("accessToken", {}).get("role") == "read" and not self.dry_run:
            raise PublishError(
                f"this token may only read at {self.endpoint}: set HF_TOKEN to one with the role "
                f"write from {tokens_page(self.endpoint)}"
            )
        self.token_works = True

    def _create(self) -> Publication:
        if self.created:
            raise PublishError(
                f"{self.repo_id!r} is there at {self.endpoint}, but this token may not see it; use "
                f"one that may read and write it, from {tokens_page(self.endpoint)}"
            )
        # Private from the start, so that there is no moment in which the data can be seen.
        self.api.create_repo(self.repo_id, private=self.private, repo_type="dataset", exist_ok=True)
        self.created = True
        return self.attempt()

    def _settings(self, head: Head | None) -> tuple[str, ...]:
        """What changes of who may read it."""
        told: list[str] = []
        if self.private is not None and (head is None or head.private != self.private):
            before = "" if head is None else f"{_visibility(head.private)} → "
            told.append(f"visibility: {before}{_visibility(self.private)}")
        gated = False if head is None else head.gated
        if self.gated is not None and gated != self.gated:
            told.append(f"gated: {gated or 'no'} → {self.gated or 'no'}")
        return tuple(told)

    def _commit(self, plan: Plan, parent: str) -> str:
        """Send the changes and look whether they arrived; the commit."""
        operations: list[CommitOperationAdd | CommitOperationDelete] = []
        for change in plan.files:
            if change.action == "delete":
                operations.append(CommitOperationDelete(change.path))
                continue
            add = CommitOperationAdd(change.path, self.source.folder / change.path)
            if sha256 := self.source.files[change.path].sha256:
                add.upload_info.sha256 = bytes.fromhex(sha256)  # saves reading it once more
            operations.append(add)
        rows = f"{self.source.manifest.rows:,} rows"
        with nullcontext() if sys.stderr.isatty() else disable_progress_bars():
            commit = self.api.create_commit(
                self.repo_id,
                operations,
                commit_message=self.message or f"Publish {self.source.content_tag} ({rows})",
                repo_type="dataset",
                parent_commit=parent,
            ).oid
        arrived = self.repository.files(commit)
        for path, content in self.source.files.items():
            if path not in arrived or not arrived[path].same_as(content):
                raise PublishError(
                    f"{path!r} was sent to {self.repo_id!r}, but commit {commit} does not hold it; "
                    "see whether a .gitignore there leaves it out"
                )
        return commit

    def _refuse_taken_tag(self, tag: str, head: str, plan: Plan) -> None:
        if tag in self.repository.branches():
            raise PublishError(f"{tag!r} is a branch of {self.repo_id!r}; give another tag")
        commit = self.repository.commit_of(tag)
        if commit is not None and (plan.files or commit != head):
            raise PublishError(
                f"{self.repo_id!r} has a tag {tag!r} already, of commit {commit}; give another "
                "tag, or delete that one"
            )

    def _ensure_tag(self, commit: str) -> None:
        # A tag of this data at an older commit, with another card, names the same data.
        tag = self.tag or self.source.content_tag
        if self.repository.commit_of(tag) is None:
            self.api.create_tag(self.repo_id, tag=tag, revision=commit, repo_type="dataset")

    def _publication(self, plan: Plan, commit: str | None) -> Publication:
        url = f"{self.endpoint}/datasets/{self.repo_id}"
        tag = self.tag or self.source.content_tag
        config = next(iter(self.source.manifest.configs))
        return Publication(
            plan=replace(plan),
            url=url if commit is None else f"{url}/commit/{commit}",
            commit=commit,
            tag=tag,
            changed=bool(plan.files) and not self.dry_run,
            load=f"load_dataset({self.repo_id!r}, {config!r}, revision={tag!r})",
        )


def _visibility(private: bool | None) -> str:
    return "private" if private else "public"
