"""Files that a setting names: read once at the start, so that a bad one is found there."""

import grp
import os
import re
import ssl
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

# sun_path holds 108 bytes with its final NUL (unix(7)); bind() says only "path too long".
_SOCKET_PATH_LIMIT: Final = 107

_SHORTEST_TOKEN: Final = 16

_MODE: Final = "^0?[0-7]{3}$"


def check_certificate_pair(certificate: Path, key: Path) -> None:
    """Check that a TLS listener can use this certificate chain and private key.

    Raises:
        ValueError: One is not PEM, they do not belong together, or the key has a passphrase.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        raise ValueError(
            f"should name a PEM certificate and the key that belongs to it, without a passphrase ({error.strerror})"
        ) from error


def socket_path(path: Path) -> Path:
    """A path that a Unix socket can have.

    Raises:
        ValueError: It is relative, holds a NUL, or is too long for the system.
    """
    if not path.is_absolute() or "\0" in str(path):
        raise ValueError(f'should be an absolute path, not "{path}"')
    if len(os.fsencode(path)) > _SOCKET_PATH_LIMIT:
        raise ValueError(f"should be a path of at most {_SOCKET_PATH_LIMIT} bytes")
    return path


def _nameable(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("should be a path without NUL")
    return path


def _readable(path: Path) -> Path:
    _nameable(path)
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f'should name a readable file; "{path}": {error.strerror}') from error
    return path


def _certificates(path: Path) -> Path:
    _readable(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:
        raise ValueError(f'should name a file of PEM certificates, unlike "{path}"') from error
    return path


def read_token(path: Path) -> str:
    """The token in a file, as secrets are handed to containers: alone on its only line.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no token.
    """
    return check_token(path.read_bytes().decode("ascii", "replace").rstrip("\r\n"))


def check_token(token: str) -> str:
    """A token that a header can carry, and that nobody guesses; no message repeats it.

    Raises:
        ValueError: It is too short, or holds something else than visible ASCII.
    """
    if not re.fullmatch(rf"[!-~]{{{_SHORTEST_TOKEN},}}", token):
        raise ValueError(
            f"should be at least {_SHORTEST_TOKEN} characters without spaces or accents, as openssl rand -hex 32 makes"
        )
    return token


def _token_file(path: Path) -> Path:
    _readable(path)
    try:
        read_token(path)
    except ValueError as error:
        raise ValueError(f'names "{path}", whose token {error}') from error
    return path


def group_number(name: str) -> int:
    """The number of a group of this machine.

    Raises:
        ValueError: There is none of that name.
    """
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError) as error:
        raise ValueError(f'should be a group of this machine, not "{name}"') from error


def _group(name: str) -> str:
    group_number(name)
    return name


def _mode(value: object) -> object:
    if not (isinstance(value, str) and re.fullmatch(_MODE, value)):
        raise ValueError('should be in quotes and octal, such as "0660"')
    return value


WritableFile = Annotated[Path, AfterValidator(_nameable)]
ReadableFile = Annotated[Path, AfterValidator(_readable), WithJsonSchema({"type": "string"})]
CertificateFile = Annotated[Path, AfterValidator(_certificates), WithJsonSchema({"type": "string"})]
TokenFile = Annotated[Path, AfterValidator(_token_file), WithJsonSchema({"type": "string"})]
SocketPath = Annotated[
    Path,
    AfterValidator(socket_path),
    WithJsonSchema({"type": "string", "pattern": "^/"}),
]
SocketMode = Annotated[str, BeforeValidator(_mode), WithJsonSchema({"type": "string", "pattern": _MODE})]
GroupName = Annotated[str, AfterValidator(_group), WithJsonSchema({"type": "string"})]
