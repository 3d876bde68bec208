"""
Who may come in, and as whom: a token, a password, or what a reverse proxy says; then a signed cookie. Decides only: it
reads no request and sends no answer.
"""

import ipaddress
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from hmac import compare_digest

from itsdangerous import BadSignature, URLSafeTimedSerializer

# How long a cookie is good for, in seconds: a working day.
LASTS = 12 * 3600

# Sessions that were left are remembered, so many.
_MOST_LEFT = 10_000

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Visitor:
    """
    Somebody who was let in. `mark` tells one session from another; what changes something has to bring it along.
    """

    name: str
    mark: str


@dataclass(frozen=True, slots=True)
class Rules:
    """
    How one comes in. One of the first three is set.

    Attributes:
        token: in the address that the command prints.
        password: that is asked for.
        header: in which a reverse proxy names who it has let in.
        names: of this machine, as they stand in addresses, beside those that it has for itself.
        read_only: whether nothing can be changed, by anybody.
    """

    token: str | None = None
    password: str | None = None
    header: str | None = None
    names: frozenset[str] = frozenset()
    read_only: bool = False


def new_token() -> str:
    """
    A token that nobody guesses.
    """
    return secrets.token_urlsafe(24)


def is_loopback(host: str) -> bool:
    """
    Whether an address is one that only this machine reaches.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_ours(host: str, names: frozenset[str]) -> bool:
    """
    Whether the `Host` of a request names this server.

    A page elsewhere can let its own name lead here (DNS rebinding), and would then be of one origin with us; with a
    number it cannot.
    """
    name = _without_port(host).lower()
    if name in _LOCAL_NAMES or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_from_here(origin: str | None, site: str | None, host: str) -> bool:
    """
    Whether a page of this server sent a form, as browsers say in `Origin` and `Sec-Fetch-Site`.
    """
    if site is not None and site not in ("same-origin", "none"):
        return False
    return origin is None or origin.partition("://")[2] == host


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


class Doorkeeper:
    """
    Lets in by the rules, and knows again whom it has let in. What it has signed is good for as long as it lives.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        secret = secrets.token_urlsafe(32)
        self._cookies = URLSafeTimedSerializer(secret, salt="cookie")
        self._left: OrderedDict[str, None] = OrderedDict()

    def knows_token(self, given: str) -> bool:
        """
        Whether it is the token that was printed.
        """
        return self.rules.token is not None and compare_digest(given.encode(), self.rules.token.encode())

    def knows_password(self, given: str) -> bool:
        """
        Whether it is the password.
        """
        return self.rules.password is not None and compare_digest(given.encode(), self.rules.password.encode())

    def cookie(self, name: str = "") -> str:
        """
        What somebody who was let in is known by.
        """
        return self._cookies.dumps([name, secrets.token_urlsafe(12)])

    def leave(self, visitor: Visitor) -> None:
        """
        Whoever left is not known again by the cookie that they had, should somebody have a copy.
        """
        self._left[visitor.mark] = None
        while len(self._left) > _MOST_LEFT:
            self._left.popitem(last=False)

    def has_left(self, visitor: Visitor) -> bool:
        """
        Whether they left since they were let in.
        """
        return visitor.mark in self._left

    def visitor(self, cookie: str | None, named: str | None) -> Visitor | None:
        """
        Who it is, or None where that is not known.

        Args:
            cookie: as it was given.
            named: what the header of the rules says.
        """
        found: Visitor | None = None
        if cookie:
            try:
                name, mark = self._cookies.loads(cookie, max_age=LASTS)
                found = Visitor(name, mark) if mark not in self._left else None
            except (BadSignature, ValueError, TypeError):
                found = None
        if self.rules.header is not None:
            # The proxy is asked each time: whom it does not let in any more is not known by a cookie.
            return found if named and found is not None and found.name == named else None
        return found
