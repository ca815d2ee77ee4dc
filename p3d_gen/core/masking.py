"""Passwords, keys and tokens in addresses and command lines: hidden in whatever is shown or stored."""

from __future__ import annotations

import re

_MASK = "***"
_SECRET = "token|secret|passw(?:or)?d|pwd|credentials?|signature|auth(?:orization)?"
_KEY = "sig|key|pass|access_?key(?:_?id)?|api_?key|awsaccesskeyid|googleaccessid"
_BEFORE_HOST = re.compile(
    r"""(?P<scheme>[a-z][a-z0-9+.-]*://)
    (?: (?!arn:) [^\s/?#@:'"]* : (?!\d+(?:/|$)) [^\s@'"]* @        # user:password@, whose password may hold a /
      | (?<=http://) [^\s/?#@'"]+ @ | (?<=https://) [^\s/?#@'"]+ @ )""",
    re.IGNORECASE | re.VERBOSE,
)
_IN_QUERY = re.compile(
    rf"""(?P<name>[?&;](?:[\w.-]*(?:{_SECRET})[\w.-]*|(?:[\w.-]*[._-])?(?:{_KEY}))=)[^&;\s'"\#]+""",
    re.IGNORECASE | re.VERBOSE,
)
_OPTION = re.compile(rf"""(?P<name>--[\w-]*(?:{_SECRET})[ =])(?:'[^']*'|"[^"]*"|[^\s'"]+)""", re.IGNORECASE)


def masked(text: str) -> str:
    """Return a text with *** for the user and password of an address, and for its tokens, keys and signatures.

    The values of options such as `--token` are hidden too.
    """
    text = _BEFORE_HOST.sub(rf"\g<scheme>{_MASK}@", text)
    return _OPTION.sub(rf"\g<name>{_MASK}", _IN_QUERY.sub(rf"\g<name>{_MASK}", text))
