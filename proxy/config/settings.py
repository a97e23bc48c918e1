"""The settings: what each is for, its unit, its default, and why that default.

The text under a setting is its description in the JSON Schema, and what an editor shows.
"""

from ipaddress import ip_network
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from proxy.config.addresses import HeaderName, Host, Network, Port, UpstreamUrl, authority, is_loopback
from proxy.config.files import (
    CertificateFile,
    GroupName,
    ReadableFile,
    SocketMode,
    SocketPath,
    TokenFile,
    WritableFile,
    check_certificate_pair,
    check_token,
    group_number,
    read_token,
)
from proxy.config.units import Duration, Room, Size, Timeout

Count = Annotated[int, Field(ge=1)]


def _token(token: SecretStr) -> SecretStr:
    check_token(token.get_secret_value())
    return token


Token = Annotated[SecretStr, AfterValidator(_token)]

_MOST_LANES = 127
"""One below the 128 requests that Hermes serves at once (F7)."""

_PRIVATE: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")
"""Private networks (RFC 1918, RFC 4193) and link-local addresses."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class TlsSettings(_Section):
    """The certificate and key of a listener that speaks HTTPS."""

    cert: ReadableFile
    """PEM file with the certificate, followed by its intermediate certificates."""

    key: ReadableFile
    """PEM file with the certificate's private key, without a passphrase."""

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        check_certificate_pair(self.cert, self.key)
        return self


class ListenSettings(_Section):
    """Where browsers connect."""

    host: Host = "127.0.0.1"
    """Name or address to listen on. Loopback, so that nothing is exposed unasked; 0.0.0.0 is every
    interface by IPv4, and :: by IPv6 and IPv4."""

    port: Port = 8788
    """TCP port; one above Hermes' own 8787. 0 takes any free port."""

    tls: TlsSettings | None = None
    """Certificate and key to serve HTTPS with; null serves HTTP, as Hermes does."""

    unix: SocketPath | None = None
    """Absolute path of a Unix socket to listen on in place of host and port; null is TCP."""

    unix_mode: SocketMode | None = None
    """Who may connect to that socket, such as "0660" for its owner and its group; in quotes, as YAML would
    make another number of it. null is its owner, and with unix_group the group as well."""

    unix_group: GroupName | None = None
    """The group that the socket belongs to, such as a web server's; null is that of the process."""

    @property
    def url(self) -> str:
        """The address as a URL, such as ``http://127.0.0.1:8788`` or ``unix:///run/guard.sock``."""
        if self.unix is not None:
            return f"unix://{self.unix}"
        return f"{'https' if self.tls else 'http'}://{authority(self.host, self.port)}"

    @property
    def socket_mode(self) -> int:
        """Who may connect to the Unix socket."""
        return int(self.unix_mode or ("0660" if self.unix_group else "0600"), 8)

    @property
    def socket_group(self) -> int | None:
        """The number of the group that it belongs to, if that is not the process's."""
        return None if self.unix_group is None else group_number(self.unix_group)

    @property
    def is_exposed(self) -> bool:
        """Whether others than this host can reach it; a name other than ``localhost`` may be anything."""
        return self.unix is None and not is_loopback(self.host)


class LaneSettings(_Section):
    """Most connections to Hermes at once, by kind; at most 127 in all.

    Hermes serves 128 requests at once and answers every further one 503 (F7). One lane that is
    full never delays another, so that a Stop gets through however many streams are open.
    """

    control: Count = 16
    """Start, cancel, status and health. They are short, so 16 serve many people."""

    calls: Count = 24
    """Every other request: pages, files, settings, uploads."""

    relays: Count = 80
    """Answers that are event streams, and WebSockets. A browser tab holds up to six on a recent Hermes."""

    @model_validator(mode="after")
    def _leave_one_thread(self) -> Self:
        total = self.control + self.calls + self.relays
        if total > _MOST_LANES:
            raise ValueError(
                f"should come to at most {_MOST_LANES} together, as Hermes serves 128 requests at"
                f" once: control {self.control} + calls {self.calls} + relays {self.relays}"
                f" = {total}"
            )
        return self


class UpstreamSettings(_Section):
    """Where Hermes is, and how much of it the proxy may use."""

    url: UpstreamUrl = "http://127.0.0.1:8787"
    """Hermes' address: http://HOST[:PORT], https://HOST[:PORT] or unix:///path."""

    connect_timeout: Timeout = 5.0
    """Longest wait for a connection. On one's own network it takes milliseconds; 5s allows for a
    host that wakes up."""

    response_timeout: Timeout = 600.0
    """Longest wait for the head of a response. Some calls of Hermes ask a model before they
    answer, which may take minutes."""

    ca: CertificateFile | None = None
    """PEM file of the authorities that sign an https:// upstream; null trusts the system's."""

    lane_wait: Duration = 10.0
    """Longest that a request waits for a free slot of its lane before it is answered 503. One for a
    stream does not wait, since what holds that lane may hold it for hours."""

    lanes: LaneSettings = LaneSettings()
    """Most connections to Hermes at once, by kind; at most 127 in all (F7)."""


class AdminSettings(_Section):
    """Where operators connect, for health, metrics, and a page that shows what runs.

    It is never reached through the address that browsers use.
    """

    enabled: bool = True
    """Whether there is such a listener."""

    host: Host = "127.0.0.1"
    """Name or address to listen on. Anything but loopback needs a token."""

    port: Port = 8789
    """TCP port; one above the proxy's own 8788. 0 takes any free port."""

    token: Token | None = None
    """What callers show as ``Authorization: Bearer``, at least 16 characters; null asks for nothing, which
    is possible on loopback only. It is never printed or logged."""

    token_file: TokenFile | None = None
    """File that holds the token, in place of the token itself; containers are given secrets like that."""

    @model_validator(mode="after")
    def _ask_for_a_token(self) -> Self:
        if self.token and self.token_file:
            raise ValueError("should have one of token and token_file, not both")
        if self.enabled and self.is_exposed and not (self.token or self.token_file):
            raise ValueError(
                f"should have a token, as others can reach {self.host}: set admin.token or admin.token_file to"
                " what openssl rand -hex 32 prints, or listen on 127.0.0.1"
            )
        return self

    @property
    def url(self) -> str:
        """The address as a URL, such as ``http://127.0.0.1:8789``."""
        return f"http://{authority(self.host, self.port)}"

    @property
    def is_exposed(self) -> bool:
        """Whether others than this host can reach it."""
        return not is_loopback(self.host)

    @property
    def bearer(self) -> str | None:
        """The token that callers have to show, wherever it was set."""
        if self.token_file is not None:
            return read_token(self.token_file)
        return self.token.get_secret_value() if self.token else None


class OwnershipSettings(_Section):
    """How long stopping and starting turns may take, and what is remembered about them."""

    settle_timeout: Timeout = 10.0
    """Longest that a next turn, or a change of the session, is held until the stopped turn's worker is gone, and that a
    cancelled stream may stay open in silence (P3, P5). Sent earlier, Hermes would refuse it or spoil it; it takes
    a tenth of a second normally, and seconds on a busy machine."""

    stop_timeout: Timeout = 30.0
    """Longest that an accepted Stop is repeated until its worker is seen gone (P11). After that the proxy
    says that Hermes did not stop, and a further Stop is forwarded as if it were the first."""

    answer_timeout: Duration = 1.0
    """Longest that an accepted cancel waits for its terminal event before it is answered, and that
    the event waits for a cancel under way (F5)."""

    answer_gap: Duration = 0.015
    """Time between a terminal event and the cancel's answer, and between that and the session's next turn. They use
    different connections, and must arrive in this order (F5); 15ms is about one frame of a screen."""

    linger: Duration = 5.0
    """Time that a stream may stay open in silence after its done (F6). A title may
    still follow; nothing comes after five silent seconds."""

    start_body_limit: Size = 8 << 20
    """Largest body of a start, or of a change of a session, that is kept in memory while it waits
    (F2, F17). Larger ones wait on disk. Messages are small; attachments are uploaded on their own."""

    repeat_starts: bool = True
    """Whether a start whose browser left before its answer, and that is sent again while its turn runs, is
    given that answer, and not Hermes' 409. Starts with an Idempotency-Key always are."""

    sessions: Count = 10_000
    """Most sessions remembered; those that run no turn are forgotten first, oldest first. It
    bounds the memory that they take."""

    forget_after: Timeout = 86_400.0
    """Time after which a session that runs no turn is forgotten. A page left open overnight can
    still be answered."""


class RelaySettings(_Section):
    """When a stream's connections are given up."""

    stall_timeout: Timeout = 30.0
    """Longest that a browser may read nothing of what is waiting for it before it is dropped."""

    idle_timeout: Timeout = 90.0
    """Longest silence from Hermes on a stream. It sends a heartbeat every 5s, so 90s is a dead
    connection; keep it well above 5s."""

    buffer: Size = 1 << 20
    """Most bytes of a stream that wait for a slow browser."""

    log: Room = 4 << 20
    """Most bytes of a turn that are kept for browsers that join it or come back. All turns together
    are kept 16 times as much. 0: every browser has an upstream of its own."""

    log_keep: Timeout = 60.0
    """How long they are kept after the turn's end."""

    reattach: Duration = 5.0
    """How long a running turn's connection to Hermes stays open after its last browser has left, for one
    that comes back, as after a reload. It holds one of Hermes' threads meanwhile."""


class ClientSettings(_Section):
    """Whom the proxy believes about where a request came from, and what a client may."""

    trusted_proxies: Annotated[tuple[Network, ...], Field(strict=False)] = ()
    """Networks of the proxies in front of this one, as CIDRs such as 10.0.0.0/8. Only their
    X-Forwarded-* headers are passed on; anyone else could claim to be anyone."""

    local_networks: Annotated[tuple[Network, ...], Field(strict=False)] = (
        *map(ip_network, ("127.0.0.0/8", "::1/128", *_PRIVATE)),
    )
    """Networks whose clients may, while Hermes asks for no login, set it up and run commands by the
    terminal, cron jobs, git and the like (F9). Add your VPN's; [0.0.0.0/0, "::/0"] is everybody."""

    identity_headers: Annotated[tuple[HeaderName, ...], Field(strict=False)] = ()
    """More headers that say who is logged in, besides every name that looks like it, such as Remote-User
    or X-Roles. Hermes can be told to believe one (HERMES_WEBUI_TRUSTED_AUTH_HEADER), so only
    trusted_proxies may send them."""

    connections: Count = 128
    """Most connections of one client; a browser opens six. Those of trusted_proxies and of this host
    are not counted, as everybody behind them has one address."""

    body_rate: Size = 1 << 10
    """Bytes a second at which the body of a request has to arrive. A browser that is slower has
    relay.stall_timeout to make up for it."""


class DrainSettings(_Section):
    """How the proxy ends, and how long it holds new turns while Hermes is restarted."""

    timeout: Duration = 30.0
    """Longest that the end of the process waits for the turns that run to be relayed to theirs; the
    pages of those that are left reconnect by themselves. 30s is under what systemd grants (90s)."""

    hold: Timeout = 25.0
    """Longest that a new turn is held by ``drain --hold``, before it is answered 503. Hermes' page gives a message up
    after 30s: an answer that comes later is lost, and the message may be sent twice."""


class LogSettings(_Section):
    """What is logged, and how."""

    format: Literal["json", "console"] | None = None
    """One JSON object a line, or text to read; null is console on a terminal and json elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is logged; info is one line a request and one a decision."""

    slow_after: Timeout = 10.0
    """Time after which a request that has not ended is logged once as slow, before it ends. A stream
    is slow while its head is awaited. Calls that ask a model may well take longer than 10s."""


class TraceSettings(_Section):
    """A record of what matters to the promises P1-P11; ``hermes-stream-guard verify`` checks them on it."""

    path: WritableFile | None = None
    """File to write it to, one JSON object a line, on a local disk; null writes none. It holds the
    ids of sessions and streams, so only its owner may read it."""

    max_size: Size = 16 << 20
    """Size at which the file becomes path.1, and a new one is begun. 16MiB are about 100,000 events."""

    keep: Count = 3
    """Most older files that are kept: path.1 to path.3."""


class Settings(_Section):
    """Everything that can be set for Hermes Stream Guard. What is left out has its default."""

    listen: ListenSettings = ListenSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    admin: AdminSettings = AdminSettings()
    ownership: OwnershipSettings = OwnershipSettings()
    relay: RelaySettings = RelaySettings()
    client: ClientSettings = ClientSettings()
    drain: DrainSettings = DrainSettings()
    log: LogSettings = LogSettings()
    trace: TraceSettings = TraceSettings()
