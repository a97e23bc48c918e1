"""Fields that say who somebody is are told by their names, and nothing that a browser sends is taken for one."""

from __future__ import annotations

import pytest

from proxy.http.identity import TRIED, says_who

GATEWAYS = {
    "oauth2-proxy": "X-Forwarded-User X-Forwarded-Groups X-Forwarded-Email X-Forwarded-Preferred-Username"
    " X-Forwarded-Access-Token X-Auth-Request-User X-Auth-Request-Redirect X-Auth-Request-Access-Token",
    "Authelia": "Remote-User Remote-Groups Remote-Name Remote-Email",
    "authentik": "X-authentik-username X-authentik-groups X-authentik-entitlements X-authentik-email"
    " X-authentik-name X-authentik-uid X-authentik-jwt X-authentik-meta-app",
    "Vouch": "X-Vouch-User X-Vouch-IdP-Claims-Groups X-Vouch-IdP-IdToken X-Vouch-IdP-AccessToken X-Vouch-Success",
    "Pomerium": "X-Pomerium-Claim-Email X-Pomerium-Jwt-Assertion X-Pomerium-Claim-Groups",
    "Cloudflare Access": "Cf-Access-Authenticated-User-Email Cf-Access-Jwt-Assertion",
    "Google IAP": "X-Goog-Authenticated-User-Email X-Goog-Authenticated-User-Id X-Goog-Iap-Jwt-Assertion",
    "Azure": "X-MS-CLIENT-PRINCIPAL X-MS-CLIENT-PRINCIPAL-NAME X-MS-CLIENT-PRINCIPAL-ID X-MS-CLIENT-PRINCIPAL-IDP"
    " X-MS-TOKEN-AAD-ID-TOKEN X-ARR-ClientCert",
    "AWS": "X-Amzn-Oidc-Identity X-Amzn-Oidc-Data X-Amzn-Oidc-Accesstoken X-Amzn-Mtls-Clientcert-Subject"
    " X-Amzn-Mtls-Clientcert",
    "Tailscale": "Tailscale-User-Login Tailscale-User-Name Tailscale-User-Profile-Pic Tailscale-App-Capabilities",
    "Traefik, Grafana": "X-WebAuth-User X-WEBAUTH-NAME X-WebAuth-Role",
    "Kong": "X-Consumer-Username X-Consumer-ID X-Consumer-Custom-ID X-Credential-Identifier X-Authenticated-Userid"
    " X-Authenticated-Scope X-Userinfo",
    "Keycloak Gatekeeper": "X-Auth-Username X-Auth-Userid X-Auth-Email X-Auth-Groups X-Auth-Roles X-Auth-Subject",
    "caddy-security": "X-Token-Subject X-Token-User-Name X-Token-User-Email X-Token-User-Roles",
    "mod_auth_openidc": "OIDC_CLAIM_sub OIDC_CLAIM_email OIDC_access_token OIDC-Claim-Name REMOTE_USER",
    "Shibboleth": "eppn mail uid displayName Shib-Identity-Provider Shib-Person-uid persistent-subject-id",
    "CA SiteMinder": "SM_USER SMUSER SM_USERDN SM_UNIVERSALID",
    "IBM, Oracle": "iv-user iv-groups iv-creds OAM_REMOTE_USER OAM_IDENTITY_DOMAIN",
    "client certificates": "Client-Cert Client-Cert-Chain X-Client-Cert X-Forwarded-Client-Cert X-SSL-Client-S-DN"
    " X-SSL-Client-Verify SSL-Client-CN X-Client-DN",
    "Home Assistant, YunoHost": "X-Remote-User-Id X-Remote-User-Display-Name YNH_USER YNH_USER_FULLNAME Auth-User Name",
    "others": "X-Sandstorm-User-Id X-Sandstorm-Preferred-Handle X-JupyterHub-User X-Hasura-Role X-Replit-User-Id"
    " Teleport-Jwt-Assertion Sf-Context-Current-User X-On-Behalf-Of Impersonate-User Impersonate-Group",
    "somebody's own": "X-User X-Username X-UserEmail X-Current-User X-Company-Login X-Email X-Account-Id X-Roles"
    " X-Principal X-Sso-Id X-Subject X_User my_company_user",
}

SENT = {
    "browsers": "Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers"
    " Access-Control-Request-Method Alt-Used Authorization Cache-Control Connection Content-Encoding Content-Length"
    " Content-Type Cookie DNT Device-Memory Downlink ECT Expect Host If-Match If-Modified-Since If-None-Match If-Range"
    " If-Unmodified-Since Keep-Alive Last-Event-ID Origin Ping-From Ping-To Pragma Priority Proxy-Authorization"
    " Purpose RTT Range Referer Save-Data Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-CH-UA-Full-Version-List"
    " Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-Fetch-Storage-Access Sec-GPC Sec-Purpose"
    " Sec-WebSocket-Extensions Sec-WebSocket-Key Sec-WebSocket-Protocol Sec-WebSocket-Version Service-Worker"
    " Service-Worker-Navigation-Preload TE Upgrade Upgrade-Insecure-Requests User-Agent Viewport-Width",
    "Hermes' pages and tools": "X-Hermes-CSRF-Token X-CSRF-Token X-Requested-With X-Hermes-Session-Id"
    " X-Hermes-Session-Key Idempotency-Key",
    "programs, and proxies on the way": "Baggage Accept-CH"
    " CF-Connecting-IP CF-IPCountry CF-Ray Cdn-Loop Content-MD5 Depth Max-Forwards Traceparent Tracestate"
    " Via X-Amzn-Trace-Id X-Api-Key X-Auth-Token X-Cloud-Trace-Context X-Correlation-ID X-Filename"
    " X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-Server X-HTTP-Method-Override X-Original-URL X-Request-ID"
    " X-Request-Start X-Scheme X-Session-Token X-User-Agent X-Mine",
}


@pytest.mark.parametrize("name", [name for names in GATEWAYS.values() for name in names.split()])
def test_every_known_gateway_is_known_by_its_names(name: str) -> None:
    assert says_who(name.lower().encode())


@pytest.mark.parametrize("name", TRIED)
def test_what_check_tries_never_passes(name: str) -> None:
    assert says_who(name.lower().encode())


@pytest.mark.parametrize("name", [name for names in SENT.values() for name in names.split()])
def test_what_browsers_programs_and_hermes_pages_send_passes(name: str) -> None:
    assert not says_who(name.lower().encode())


def test_hyphens_and_underscores_are_the_same() -> None:
    """Many a server takes one for the other."""
    assert says_who(b"remote_user")
    assert not says_who(b"user_agent")


def test_any_bytes_may_be_a_name() -> None:
    assert not says_who(b"")
    assert not says_who(b"\xff")
