"""A local Hub for dataset repositories that speaks the real protocol and fails on purpose.

``huggingface_hub`` and ``datasets`` talk to it unchanged, with its address in ``HF_ENDPOINT`` and
``HF_HUB_DISABLE_XET=1``. Both are read when they are imported, so clients run in processes of their
own. Faults are real: a stale parent is another commit that was made in between, and a cut is the
socket closed within a body.
"""

import asyncio
import base64
import hashlib
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

_REPO = "/api/datasets/{owner}/{name}"


@dataclass(frozen=True)
class User:
    name: str
    role: Literal["read", "write"] = "write"
    orgs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Blob:
    """One content. ``lfs``: whether it is kept beside git, as large and binary files are."""

    sha256: str
    sha1: str
    size: int
    lfs: bool

    @property
    def oid(self) -> str:
        """Of the git object, which is the pointer where the content is not in git."""
        return _git_hash(f"oid sha256:{self.sha256}".encode()) if self.lfs else self.sha1

    def entry(self, path: str) -> dict[str, Any]:
        lfs = {"lfs": {"oid": self.sha256, "size": self.size, "pointerSize": 134}}
        entry = {"type": "file", "path": path, "oid": self.oid, "size": self.size}
        return entry | (lfs if self.lfs else {})


@dataclass(frozen=True)
class Commit:
    oid: str
    title: str
    files: Mapping[str, Blob]


@dataclass
class Repo:
    id: str
    private: bool = False
    gated: str | bool = False
    commits: list[Commit] = field(default_factory=list[Commit])
    tags: dict[str, str] = field(default_factory=dict[str, str])
    lfs: set[str] = field(default_factory=set[str])

    def at(self, revision: str) -> Commit:
        if revision == "main":
            return self.commits[-1]
        oid = self.tags.get(revision, revision)
        for commit in self.commits:
            if commit.oid == oid:
                return commit
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")


class Refusal(Exception):
    """An answer that is an error; ``code`` is what ``X-Error-Code`` says."""

    def __init__(self, status: int, code: str = "", message: str = "", **body: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.body = status, code, message, body


class HubServer:
    """The server; use it as a context manager.

    Attributes:
        users: token → who it belongs to.
        repos: repositories by ``owner/name``.
        asked: method and path of every request.
        puts: contents of which an upload began, in order; doubles are contents sent twice.
        before_commit: called once each, before the next commits are looked at.
        lose_answers: how many of the next commits to make without saying so.
        cut: which uploads to cut off within the body, counted from 0 over the server's life.
        hang: which uploads never to answer.
        broken: (method, end of the path) → statuses of the next such requests.
        echo_token: whether errors repeat the token that was sent, as no server should.
        down: whether connections are cut as soon as they are made, ``n_refused`` so far.
    """

    def __init__(self, root: Path, users: Mapping[str, User]) -> None:
        self.root, self.users = root, dict(users)
        self.repos: dict[str, Repo] = {}
        self.asked: list[tuple[str, str]] = []
        self.puts: list[str] = []
        self.before_commit: list[Callable[[], object]] = []
        self.lose_answers = 0
        self.cut: set[int] = set()
        self.hang: set[int] = set()
        self.broken: dict[tuple[str, str], list[int]] = {}
        self.echo_token = self.down = False
        self.n_refused = 0
        self._transports: dict[int, Any] = {}
        self._blobs = root / "blobs"
        self._blobs.mkdir(parents=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        server, transports = self, self._transports

        class Protocol(H11Protocol):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                transports[transport.get_extra_info("peername")[1]] = transport
                if server.down:
                    server.n_refused += 1
                    transport.abort()

        config = uvicorn.Config(
            self._app(), host="127.0.0.1", port=0, log_level="error", http=Protocol, lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the server did not start")
            threading.Event().wait(0.01)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    def writes(self) -> list[tuple[str, str]]:
        """Requests that change something, or would."""
        reads = ("/paths-info/", "/validate-yaml")
        return [
            (method, path)
            for method, path in self.asked
            if method not in ("GET", "HEAD") and not any(read in path for read in reads)
        ]

    def create(self, repo_id: str, **settings: Any) -> Repo:
        """Make a repository as the Hub does: its first commit holds ``.gitattributes`` alone."""
        repo = self.repos[repo_id] = Repo(repo_id, **settings)
        self.commit(repo_id, {".gitattributes": b"*.parquet filter=lfs\n"}, title="initial commit")
        return repo

    def commit(
        self, repo_id: str, files: Mapping[str, bytes | Blob | None], *, title: str = "by another"
    ) -> Commit:
        """Commit to ``main``; ``None`` deletes a file."""
        repo = self.repos[repo_id]
        now = dict(repo.commits[-1].files) if repo.commits else {}
        for path, content in files.items():
            if content is None:
                del now[path]
            else:
                now[path] = content if isinstance(content, Blob) else self._store(content)
        made_of = repr((len(repo.commits), title, sorted(now.items())))
        commit = Commit(hashlib.sha1(made_of.encode()).hexdigest(), title, now)
        repo.commits.append(commit)
        return commit

    def read(self, repo_id: str, path: str, revision: str = "main") -> bytes:
        return (self._blobs / self.repos[repo_id].at(revision).files[path].sha256).read_bytes()

    def _store(self, content: bytes, *, lfs: bool = False) -> Blob:
        sha256 = hashlib.sha256(content).hexdigest()
        (self._blobs / sha256).write_bytes(content)
        return Blob(sha256, _git_hash(content), len(content), lfs)

    def _app(self) -> Starlette:
        def route(path: str, method: str, answer: Callable[..., Awaitable[Response]]) -> Route:
            return Route(path, self._answering(answer), methods=[method])

        return Starlette(
            routes=[
                route("/api/whoami-v2", "GET", self._whoami),
                route("/api/repos/create", "POST", self._create),
                route("/api/validate-yaml", "POST", self._validate),
                route(_REPO, "GET", self._info),
                route(f"{_REPO}/revision/{{revision}}", "GET", self._info),
                route(f"{_REPO}/settings", "PUT", self._settings),
                route(f"{_REPO}/refs", "GET", self._refs),
                route(f"{_REPO}/tag/{{revision}}", "POST", self._tag),
                route(f"{_REPO}/commits/{{revision}}", "GET", self._commits),
                route(f"{_REPO}/tree/{{revision}}", "GET", self._tree),
                route(f"{_REPO}/tree/{{revision}}/{{path:path}}", "GET", self._tree),
                route(f"{_REPO}/paths-info/{{revision}}", "POST", self._paths),
                route(f"{_REPO}/preupload/{{revision}}", "POST", self._preupload),
                route(f"{_REPO}/commit/{{revision}}", "POST", self._commit),
                route("/datasets/{owner}/{name}.git/info/lfs/objects/batch", "POST", self._batch),
                route("/lfs/{owner}/{name}/verify", "POST", self._verify),
                route("/lfs/{owner}/{name}/{sha256}", "PUT", self._put),
                route("/datasets/{owner}/{name}/resolve/{revision}/{path:path}", "GET", self._file),
            ]
        )

    def _answering(
        self, answer: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answering(request: Request) -> Response:
            path = request.url.path
            self.asked.append((request.method, path))
            for (method, end), statuses in self.broken.items():
                if method == request.method and path.endswith(end) and statuses:
                    return JSONResponse({"error": "on purpose"}, statuses.pop(0))
            try:
                return await answer(request)
            except Refusal as refusal:
                message = refusal.message
                if self.echo_token:
                    message += f" (you sent {request.headers.get('authorization')})"
                headers = {"X-Error-Code": refusal.code} if refusal.code else {}
                headers["X-Error-Message"] = message
                return JSONResponse({"error": message, **refusal.body}, refusal.status, headers)

        return answering

    # Who may do what

    def _user(self, request: Request) -> User | None:
        header = request.headers.get("authorization")
        if header is None:
            return None
        if user := self.users.get(header.removeprefix("Bearer ")):
            return user
        raise Refusal(401, "", "Invalid credentials in Authorization header")

    def _repo(self, request: Request, *, write: bool = False) -> Repo:
        user, owner = self._user(request), request.path_params["owner"]
        repo = self.repos.get(f"{owner}/{request.path_params['name']}")
        insider = user is not None and owner in (user.name, *user.orgs)
        if repo is None or (repo.private and not insider):
            # Who may not see a repository is told the same as of one that is not there.
            raise Refusal(404 if user else 401, "RepoNotFound", "Repository not found")
        if write and not (insider and user and user.role == "write"):
            raise Refusal(403 if user else 401, "", "You don't have write access")
        return repo

    # Answers

    async def _whoami(self, request: Request) -> Response:
        user = self._user(request)
        if user is None:
            raise Refusal(401, "", "Invalid username or password.")
        role = {"type": "access_token", "accessToken": {"displayName": "t", "role": user.role}}
        orgs = [{"type": "org", "name": name} for name in user.orgs]
        return JSONResponse({"type": "user", "name": user.name, "orgs": orgs, "auth": role})

    async def _create(self, request: Request) -> Response:
        user, asked = self._user(request), await request.json()
        assert asked["type"] == "dataset"
        if user is None:
            raise Refusal(401, "", "Invalid username or password.")
        owner = asked["organization"] or user.name
        repo_id = f"{owner}/{asked['name']}"
        if user.role != "write" or owner not in (user.name, *user.orgs):
            message = (
                f'You don\'t have the rights to create a dataset under the namespace "{owner}"'
            )
            raise Refusal(403, "", message)
        url = {"url": f"{self.url}/datasets/{repo_id}"}
        if repo_id in self.repos:
            raise Refusal(409, "", "You already created this dataset repo", **url)
        self.create(repo_id, private=asked.get("visibility") == "private")
        return JSONResponse(url)

    async def _validate(self, request: Request) -> Response:
        content = (await request.json())["content"]
        try:
            yaml.safe_load(content.split("---\n")[1])
        except (yaml.YAMLError, IndexError) as error:
            raise Refusal(400, "", "Invalid", errors=[{"message": str(error)}]) from error
        return JSONResponse({"errors": [], "warnings": []})

    async def _info(self, request: Request) -> Response:
        repo = self._repo(request)
        commit = repo.at(request.path_params.get("revision", "main"))
        siblings = [{"rfilename": path} for path in commit.files]
        about = {"id": repo.id, "author": repo.id.split("/")[0], "sha": commit.oid, "tags": []}
        return JSONResponse(
            about | {"private": repo.private, "gated": repo.gated, "siblings": siblings}
        )

    async def _settings(self, request: Request) -> Response:
        repo, asked = self._repo(request, write=True), await request.json()
        repo.gated = asked.get("gated", repo.gated)
        if "visibility" in asked:
            repo.private = asked["visibility"] == "private"
        return JSONResponse({"private": repo.private, "gated": repo.gated})

    async def _refs(self, request: Request) -> Response:
        repo = self._repo(request)

        def ref(kind: str, name: str, oid: str) -> dict[str, str]:
            return {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}

        tags = [ref("tags", name, oid) for name, oid in repo.tags.items()]
        branches = [ref("heads", "main", repo.commits[-1].oid)]
        return JSONResponse({"branches": branches, "converts": [], "tags": tags})

    async def _tag(self, request: Request) -> Response:
        repo, asked = self._repo(request, write=True), await request.json()
        if asked["tag"] in repo.tags:
            raise Refusal(409, "", "Tag reference exists already")
        repo.tags[asked["tag"]] = repo.at(request.path_params["revision"]).oid
        return JSONResponse({})

    async def _commits(self, request: Request) -> Response:
        repo = self._repo(request)
        date = "2026-01-01T00:00:00.000Z"
        return JSONResponse(
            [
                {"id": c.oid, "title": c.title, "message": "", "date": date, "authors": []}
                for c in reversed(repo.commits)
            ]
        )

    async def _tree(self, request: Request) -> Response:
        files = self._repo(request).at(request.path_params["revision"]).files
        within = request.path_params.get("path", "")
        start = f"{within}/" if within else ""
        inside = {path: blob for path, blob in files.items() if path.startswith(start)}
        if within and not inside:
            raise Refusal(404, "EntryNotFound", f"{within} does not exist")
        recursive = request.query_params.get("recursive", "").lower() == "true"
        entries = _folders(inside, start, recursive=recursive)
        for path, blob in inside.items():
            if recursive or "/" not in path.removeprefix(start):
                entries.append(blob.entry(path))
        return JSONResponse(entries)

    async def _paths(self, request: Request) -> Response:
        files = self._repo(request).at(request.path_params["revision"]).files
        form = await request.form()
        asked = [str(path).strip("/") for path in form.getlist("paths")]
        folders = {entry["path"]: entry for entry in _folders(files, "", recursive=True)}
        found = [files[path].entry(path) for path in asked if path in files]
        return JSONResponse(found + [folders[path] for path in asked if path in folders])

    async def _preupload(self, request: Request) -> Response:
        repo, asked = self._repo(request, write=True), await request.json()
        here = repo.at(request.path_params["revision"]).files
        answers: list[dict[str, Any]] = []
        for file in asked["files"]:
            path = file["path"]
            mode = "lfs" if path.endswith((".parquet", ".png")) else "regular"
            known = {}
            if blob := here.get(path):
                known = {"oid": blob.sha256 if blob.lfs else blob.sha1}
            ignored = ".gitignore" in here and path in self.read(repo.id, ".gitignore").decode()
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": ignored, **known})
        return JSONResponse({"files": answers})

    async def _batch(self, request: Request) -> Response:
        repo, asked = self._repo(request, write=True), await request.json()
        assert asked["operation"] == "upload" and asked["hash_algo"] == "sha256"
        base = f"{self.url}/lfs/{repo.id}"
        objects: list[dict[str, Any]] = []
        for wanted in asked["objects"]:
            links = {"upload": {"href": f"{base}/{wanted['oid']}"}}
            links["verify"] = {"href": f"{base}/verify"}
            known = wanted["oid"] in repo.lfs
            objects.append({**wanted, **({} if known else {"actions": links})})
        return JSONResponse({"transfer": "basic", "objects": objects})

    async def _put(self, request: Request) -> Response:
        # The link is signed on the real Hub: a token that comes along here leaks to a third party.
        assert "authorization" not in request.headers
        sha256, number = request.path_params["sha256"], len(self.puts)
        self.puts.append(sha256)
        content = b""
        async for chunk in request.stream():
            content += chunk
            if number in self.cut:
                self._cut(request)
                return Response()
            while number in self.hang:
                await asyncio.sleep(0.1)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Refusal(400, "", "content does not match its name")
        self._store(content)
        repo = self.repos[f"{request.path_params['owner']}/{request.path_params['name']}"]
        repo.lfs.add(sha256)
        return Response()

    def _cut(self, request: Request) -> None:
        assert request.client
        self._transports[request.client.port].abort()

    async def _verify(self, request: Request) -> Response:
        repo, asked = self._repo(request, write=True), await request.json()
        path = self._blobs / asked["oid"]
        if asked["oid"] not in repo.lfs or path.stat().st_size != asked["size"]:
            raise Refusal(404, "", "no such object")
        return JSONResponse({})

    async def _commit(self, request: Request) -> Response:
        repo = self._repo(request, write=True)
        lines = [json.loads(line) for line in (await request.body()).splitlines()]
        if self.before_commit:
            self.before_commit.pop(0)()
        header = lines[0]["value"]
        if header.get("parentCommit", repo.commits[-1].oid) != repo.commits[-1].oid:
            message = "A commit has happened since. Please refresh and try again."
            raise Refusal(412, "", message)
        changes: dict[str, bytes | Blob | None] = {}
        for line in lines[1:]:
            value = line["value"]
            match line["key"]:
                case "file":
                    changes[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    if value["oid"] not in repo.lfs:
                        raise Refusal(400, "", "LFS pointer to an object that is not there")
                    content = (self._blobs / value["oid"]).read_bytes()
                    changes[value["path"]] = self._store(content, lfs=True)
                case "deletedFile":
                    if value["path"] not in repo.commits[-1].files:
                        raise Refusal(404, "EntryNotFound", "A file with this name doesn't exist")
                    changes[value["path"]] = None
                case other:
                    raise Refusal(400, "", f"unknown operation {other}")
        commit = self.commit(repo.id, changes, title=header["summary"])
        if self.lose_answers:
            self.lose_answers -= 1
            self._cut(request)
        url = f"{self.url}/datasets/{repo.id}/commit/{commit.oid}"
        return JSONResponse({"commitUrl": url, "commitOid": commit.oid, "success": True})

    async def _file(self, request: Request) -> Response:
        repo = self._repo(request)
        user = self._user(request)
        if repo.gated and (user is None or repo.id.split("/")[0] not in (user.name, *user.orgs)):
            raise Refusal(403 if user else 401, "GatedRepo", "Access to this dataset is restricted")
        commit = repo.at(request.path_params["revision"])
        blob = commit.files.get(request.path_params["path"])
        if blob is None:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        content = (self._blobs / blob.sha256).read_bytes()
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{blob.oid}"', "Accept-Ranges": "bytes"}
        if blob.lfs:
            headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(blob.size)}
        if wanted := request.headers.get("range"):
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or blob.size), blob.size - 1)
            if first >= blob.size:
                raise Refusal(416, "", "out of range")
            headers["Content-Range"] = f"bytes {first}-{last}/{blob.size}"
            return Response(content[first : last + 1], 206, headers)
        return Response(content, 200, headers)


def _folders(files: Mapping[str, Blob], start: str, *, recursive: bool) -> list[dict[str, Any]]:
    """The folders below ``start``, as the tree lists them."""
    paths: set[str] = set()
    for path in files:
        parts = path.removeprefix(start).split("/")[:-1]
        for depth in range(1, len(parts) + 1 if recursive else min(2, len(parts) + 1)):
            paths.add(start + "/".join(parts[:depth]))
    return [
        {"type": "directory", "path": path, "oid": _git_hash(path.encode()), "size": 0}
        for path in sorted(paths)
    ]


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
