"""Which request fields say who somebody is, as proxies that log people in call them. Pure.

Every such proxy has names of its own for it, and whoever sets one up may choose others. So a name is judged by its
words; the lists are for names that have no such word.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

TRIED: Final = (
    *("Remote-User", "X-Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username"),
    *("X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Preferred-Username", "X-Authentik-Username"),
    *("X-Authentik-Email", "X-WebAuth-User", "Tailscale-User-Login", "Cf-Access-Authenticated-User-Email"),
    *("X-Vouch-User", "X-Pomerium-Claim-Email", "X-Pomerium-Claim-User", "X-Goog-Authenticated-User-Email"),
    *("X-Ms-Client-Principal-Name", "X-Amzn-Oidc-Identity", "X-Consumer-Username", "X-Authenticated-Userid"),
    *("X-Auth-User", "X-Auth-Username", "X-Auth-Email", "X-Token-User-Email", "X-Token-Subject", "Auth-User"),
    *("X-Remote-User-Name", "X-User", "X-Username", "X-User-Id", "X-User-Email", "X-Email", "OIDC-Claim-Email"),
    *("OIDC_CLAIM_email", "OIDC_CLAIM_preferred_username", "REMOTE_USER", "SM_USER", "Iv-User", "Ynh-User"),
    *("X-Sandstorm-Username", "X-JupyterHub-User", "X-SSL-Client-S-DN", "X-Client-Dn", "X-Forwarded-Login"),
)
"""The names in common use for who is logged in; fewer than the 100 fields that Hermes reads."""

_STEMS: Final = re.compile(
    rb"user|e-?mail|principal|identit|claim|subject|group|login|logon|account|entitlement|assertion|impersonat"
    rb"|display-?name|full-?name|nick-?name|client-?cert"
)
"""What a name is suspicious for, wherever it stands."""

_WORDS: Final = re.compile(
    rb"(?:^|-)(?:authenticated|cn|dn|eppn|iap|jwt|mail|member|memberof|oidc|person|role|roles|saml|sso|sub|uid|upn)(?:-|$)"
)
"""What it is suspicious for as a word of its own."""

_GATEWAYS: Final = (
    *(b"authentik-", b"cf-access-", b"iv-", b"oam-", b"remote-", b"shib-", b"sm-", b"ssl-client-", b"tailscale-"),
    *(b"teleport-", b"webauth-", b"x-amzn-mtls-", b"x-auth-request-", b"x-authelia-", b"x-authentik-", b"x-authz-"),
    *(b"x-consumer-", b"x-credential-", b"x-goog-authenticated-", b"x-hasura-", b"x-keycloak-", b"x-ms-client-"),
    *(b"x-ms-token-", b"x-oauth", b"x-pomerium-", b"x-remote-", b"x-replit-", b"x-sandstorm-", b"x-ssl-client-"),
    *(b"x-teleport-", b"x-token-", b"x-vouch-", b"x-webauth-", b"ynh-"),
)
"""How all that one gateway says of a person begins, such as ``X-Authentik-Name``."""

_NAMES: Final = frozenset(
    {
        *(b"auth-id", b"auth-name", b"name", b"x-auth-id", b"x-auth-name", b"x-client-dn", b"x-forwarded-access-token"),
        *(b"x-forwarded-id-token", b"x-forwarded-name", b"x-name", b"x-on-behalf-of"),
    }
)

_BROWSERS: Final = frozenset({b"user-agent", b"x-user-agent"})
"""What only looks like one; and whatever begins with ``sec-``, which browsers keep to themselves (Fetch §2.2.2)."""


@lru_cache(maxsize=1024)
def says_who(name: bytes) -> bool:
    """Whether a field of that name, in lower case, says who somebody is.

    An underscore counts as a hyphen: many servers take one for the other (RFC 3875 §4.1.18).
    """
    spelled = name.replace(b"_", b"-")
    if spelled in _BROWSERS or spelled.startswith(b"sec-"):
        return False
    return (
        spelled in _NAMES
        or spelled.startswith(_GATEWAYS)
        or any(pattern.search(spelled) is not None for pattern in (_STEMS, _WORDS))
    )
