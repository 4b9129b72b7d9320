"""Access tokens: taken from where the Hub keeps them, and kept out of files, messages and logs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..core.push_errors import PushError

_TOKEN = re.compile(r"hf_[A-Za-z0-9]{8,}|hf_oauth_[\w.-]{8,}|api_org_[A-Za-z0-9]{8,}")
_HIDDEN = "***"
_TEXT = {".json", ".md", ".txt", ".yaml", ".yml", ".py", ".jinja", ""}


def find_token(given: str | bool | None) -> str:
    """The token to push with: the one that was given, else that of HF_TOKEN or of `hf auth login`.

    Raises:
        PushError: there is none, or it cannot be one. The message does not show it.
    """
    from huggingface_hub import get_token

    if given is False:
        raise PushError("`token` is False, but pushing needs one")
    token = given if isinstance(given, str) else get_token()
    if not token:
        raise PushError("pushing needs an access token: log in with `hf auth login`, or set HF_TOKEN")
    if not token.isascii() or not token.isprintable() or " " in token:
        # The HTTP library would show it in its error.
        raise PushError("the access token holds a space, a line break or another character that no token has")
    return token


def without_tokens(text: str, token: str | None = None) -> str:
    """`text` with everything hidden that is the token or looks like one."""
    if token:
        text = text.replace(token, _HIDDEN)
    return _TOKEN.sub(_HIDDEN, text)


def refuse_tokens(files: Mapping[str, Path | bytes], token: str | None = None) -> None:
    """Look for access tokens in the text files among `files`, name in the repository to content.

    Raises:
        PushError: a file holds one. The message names the file alone.
    """
    for name, content in files.items():
        if Path(name).suffix not in _TEXT:
            continue
        text = (content if isinstance(content, bytes) else content.read_bytes()).decode(errors="replace")
        if without_tokens(text, token) != text:
            raise PushError(f"{name} holds what looks like an access token, so nothing was pushed; take it out")
