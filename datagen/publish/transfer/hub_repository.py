"""What stands in a dataset repository on a Hub, as far as publishing must know.

The surprising fact: nothing goes through the download cache. Card and manifest are a few kilobytes
and are read at the very commit that is looked at, so a cache could only be in the way.
"""

from dataclasses import dataclass
from typing import Literal

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import GitRefs, RepoFile
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff

from datagen.publish.card import CARD
from datagen.publish.manifest import MANIFEST
from datagen.publish.transfer.plan import There, read_there
from datagen.publish.transfer.source import Content

Gated = Literal["auto", "manual", False]


@dataclass(frozen=True, slots=True)
class Head:
    """The newest commit of a repository, and who may read it."""

    sha: str
    private: bool
    gated: Gated


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A dataset repository; every method asks the Hub.

    Attributes:
        api: the Hub.
        repo_id: ``owner/name``.
    """

    api: HfApi
    repo_id: str

    def head(self) -> Head | None:
        """``None`` if the repository is not there as far as this token can see."""
        try:
            info = self.api.dataset_info(self.repo_id)
        except RepositoryNotFoundError:
            return None
        assert info.sha is not None  # a repository is made with a first commit
        return Head(info.sha, bool(info.private), info.gated or False)

    def read(self, revision: str) -> There:
        """Everything at a commit."""
        files = self.files(revision)
        texts = {path: self._text(path, revision) for path in (CARD, MANIFEST) if path in files}
        return read_there(files, texts.get(CARD), texts.get(MANIFEST))

    def files(self, revision: str) -> dict[str, Content]:
        """Path → content, of every file at a commit."""
        tree = self.api.list_repo_tree(
            self.repo_id, recursive=True, revision=revision, repo_type="dataset"
        )
        # The hash of a large file's git blob is that of the pointer, which says nothing to us.
        return {
            file.path: Content(file.size, file.lfs.sha256)
            if file.lfs
            else Content(file.size, git=file.blob_id)
            for file in tree
            if isinstance(file, RepoFile)
        }

    def branches(self) -> frozenset[str]:
        """The names of all branches."""
        return frozenset(branch.name for branch in self._refs().branches)

    def commit_of(self, tag: str) -> str | None:
        """The commit that a tag names, or ``None`` if there is no such tag."""
        if tag not in (known.name for known in self._refs().tags):
            return None
        # What the list says of an annotated tag need not be the commit.
        return self.api.dataset_info(self.repo_id, revision=tag).sha

    def _refs(self) -> GitRefs:
        return self.api.list_repo_refs(self.repo_id, repo_type="dataset")

    def _text(self, path: str, revision: str) -> str:
        url = hf_hub_url(self.repo_id, path, repo_type="dataset", revision=revision)
        response = http_backoff("GET", url, headers=build_hf_headers())
        hf_raise_for_status(response)
        return response.content.decode("utf-8", errors="replace")
