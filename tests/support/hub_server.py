"""A small Hugging Face Hub over HTTP: the routes that pushing and loading a model use, with its headers and errors.

Repositories are kept in memory: branches point to commits, commits are file tables, large files come over the LFS
route. Nothing is accepted without the token, and everything that is sent is remembered for tests to look at.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

USER = "tester"


@dataclass
class Repository:
    """Files of each commit, and the branches and pull requests that point to commits."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    large: set[str] = field(default_factory=set)

    def commit(self, ref: str, files: dict[str, bytes], message: str) -> str:
        oid = hashlib.sha1(f"{len(self.commits)} {message}".encode()).hexdigest()
        self.commits[oid], self.refs[ref] = files, oid
        self.messages.append(message)
        return oid

    def resolve(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.refs.get(revision)


class HubServer:
    """`with HubServer(token) as hub:` serves at `hub.url`."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.refuse: dict[str, tuple[int, str]] = {}  # part of a path -> status and message, for tests of failures
        self.lock = threading.Lock()
        server = self

        class Handler(RequestHandler):
            hub = server

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> HubServer:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.http.shutdown()
        self.http.server_close()

    def files(self, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        """What a revision of a repository holds."""
        repository = self.repositories[repo_id]
        return repository.commits[repository.refs[revision]]


class RequestHandler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    log_message = lambda *_: None  # noqa: E731  (silent)
    hub: HubServer

    def answer(self) -> None:
        method, body = self.command, self.read_body()
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        self.segments = [unquote(part) for part in parts.path.strip("/").split("/")]
        with self.hub.lock:
            self.hub.requests.append(f"{method} {self.path}")
            self.hub.bodies.append(body)
            for part, (status, message) in self.hub.refuse.items():
                if part in path:
                    return self.send_error_json(status, message)
            if method == "PUT" and path.startswith("/lfs-upload/"):
                return self.put_blob(self.segments[-1], body)
            self.may_write = self.headers.get("Authorization") == f"Bearer {self.hub.token}"
            if method == "POST" and not self.may_write:
                return self.send_error_json(401, "Invalid credentials in Authorization header")
            self.route(method, path, query, body)

    do_HEAD = do_GET = do_POST = do_PUT = answer

    def read_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def route(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> None:
        if path == "/api/whoami-v2":
            if not self.may_write:
                return self.send_error_json(401, "Invalid username or password.")
            return self.send_json({"name": USER, "type": "user", "orgs": []})
        if path == "/api/validate-yaml":
            return self.send_json({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.lfs_batch(json.loads(body))
        if self.segments[:2] == ["api", "models"] and len(self.segments) >= 4:
            return self.api("/".join(self.segments[2:4]), self.segments[4:], query, body)
        if len(self.segments) >= 5 and self.segments[2] == "resolve":
            return self.resolve_file("/".join(self.segments[:2]), self.segments[3], "/".join(self.segments[4:]))
        self.send_error_json(404, f"no such route: {path}")

    def create(self, wanted: dict[str, Any]) -> None:
        repo_id = f"{wanted.get('organization') or USER}/{wanted['name']}"
        answer = {"url": f"{self.hub.url}/{repo_id}", "name": repo_id}
        if repo_id in self.hub.repositories:
            return self.send_json({**answer, "error": "You already created this model repo"}, status=409)
        repository = self.hub.repositories[repo_id] = Repository(wanted.get("visibility") == "private")
        repository.commit("main", {".gitattributes": b""}, "initial commit")
        self.send_json(answer)

    def repository(self, repo_id: str) -> Repository | None:
        """The repository, or None after an error was sent: a private one is not there for strangers."""
        found = self.hub.repositories.get(repo_id)
        if found is None or (found.private and not self.may_write):
            return self.send_error_json(401 if found is None else 404, "Repository not found", "RepoNotFound")
        return found

    def api(self, repo_id: str, rest: list[str], query: dict[str, list[str]], body: bytes) -> None:
        repository = self.repository(repo_id)
        if repository is None:
            return
        verb, argument = (rest[0] if rest else "revision"), (rest[1] if len(rest) > 1 else "main")
        if verb == "branch":
            if argument in repository.refs:
                return self.send_error_json(409, "Reference already exists")
            repository.refs[argument] = repository.refs["main"]
            return self.send_json({})
        oid = repository.resolve(argument)
        if oid is None:
            return self.send_error_json(404, f"Invalid rev id: {argument}", "RevisionNotFound")
        files = repository.commits[oid]
        if verb == "revision":
            siblings = [{"rfilename": name} for name in files]
            return self.send_json({"id": repo_id, "modelId": repo_id, "sha": oid, "siblings": siblings, "tags": []})
        if verb == "tree":
            folder = "/".join(rest[2:])
            listed = [name for name in files if not folder or name.startswith(f"{folder}/")]
            if folder and not listed:
                return self.send_error_json(404, f"{folder} does not exist", "EntryNotFound")
            return self.send_json([self.entry(repository, name, files[name]) for name in listed])
        if verb == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            mode = {name: "lfs" if name.endswith(".safetensors") else "regular" for name in names}
            return self.send_json(
                {"files": [{"path": name, "uploadMode": mode[name], "shouldIgnore": False} for name in names]}
            )
        if verb == "commit":
            return self.commit(repo_id, repository, argument, dict(files), "create_pr" in query, body)
        self.send_error_json(404, f"no such route: {verb}")

    def entry(self, repository: Repository, name: str, content: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": git_oid(content)}
        if name in repository.large:
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
        return entry

    def lfs_batch(self, wanted: dict[str, Any]) -> None:
        objects = []
        for part in wanted["objects"]:
            answer: dict[str, Any] = {"oid": part["oid"], "size": part["size"]}
            if part["oid"] not in self.hub.blobs:
                answer["actions"] = {"upload": {"href": f"{self.hub.url}/lfs-upload/{part['oid']}"}}
            objects.append(answer)
        self.send_json({"transfer": "basic", "objects": objects})

    def put_blob(self, oid: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            return self.send_error_json(400, "content does not match its oid")
        self.hub.blobs[oid] = body
        self.send_json({})

    def commit(
        self, repo_id: str, repository: Repository, ref: str, files: dict[str, bytes], pull: bool, body: bytes
    ) -> None:
        message = ""
        for line in body.splitlines():
            item = json.loads(line)
            kind, value = item["key"], item["value"]
            if kind == "header":
                message = value["summary"]
            elif kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
                repository.large.add(value["path"])
            elif kind == "deletedFile":
                del files[value["path"]]
        number = sum(name.startswith("refs/pr/") for name in repository.refs) + 1
        target = f"refs/pr/{number}" if pull else ref
        oid = repository.commit(target, files, message)
        url, pull_request = f"{self.hub.url}/{repo_id}/commit/{oid}", f"{self.hub.url}/{repo_id}/discussions/{number}"
        self.send_json({"commitUrl": url, "commitOid": oid, "pullRequestUrl": pull_request if pull else None})

    def resolve_file(self, repo_id: str, revision: str, name: str) -> None:
        repository = self.repository(repo_id)
        if repository is None:
            return
        oid = repository.resolve(revision)
        if oid is None:
            return self.send_error_json(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        commit = {"X-Repo-Commit": oid}
        content = repository.commits[oid].get(name)
        if content is None:
            return self.send_error_json(404, "Entry not found", "EntryNotFound", commit)
        etag = hashlib.sha256(content).hexdigest() if name in repository.large else git_oid(content)
        linked = {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{etag}"'} if name in repository.large else {}
        self.send_bytes(200, content, {"ETag": f'"{etag}"', **commit, **linked})

    def send_json(self, value: Any, status: int = 200) -> None:
        self.send_bytes(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send_error_json(self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None) -> None:
        marks = {"X-Error-Code": code, "X-Error-Message": message} if code else {}
        self.send_bytes(status, json.dumps({"error": message}).encode(), {**marks, **(headers or {})})

    def send_bytes(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def git_oid(content: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
