from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import TypeAdapter, ValidationError

from proxy.config.files import (
    CertificateFile,
    ReadableFile,
    TokenFile,
    check_certificate_pair,
    check_token,
    read_token,
    socket_path,
)


def test_a_certificate_and_its_key_are_accepted(certificate_pair: tuple[Path, Path]) -> None:
    check_certificate_pair(*certificate_pair)


def test_the_key_of_another_certificate_is_refused(certificate_pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(str(other))
    with pytest.raises(ValueError, match="the key that belongs to it"):
        check_certificate_pair(certificate_pair[0], other)


def test_a_key_with_a_passphrase_is_refused_without_asking(certificate_pair: tuple[Path, Path], tmp_path: Path) -> None:
    """OpenSSL's own prompt would hang a service that has a terminal, and surprise a person."""
    key = load_pem_private_key(certificate_pair[1].read_bytes(), password=None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    with pytest.raises(ValueError, match="without a passphrase"):
        check_certificate_pair(certificate_pair[0], locked)


def test_a_file_that_is_not_pem_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "cert.pem"
    text.write_text("hello")
    with pytest.raises(ValueError, match="PEM certificate"):
        check_certificate_pair(text, text)


def test_a_readable_file_is_accepted(certificate_pair: tuple[Path, Path]) -> None:
    assert TypeAdapter(ReadableFile).validate_python(certificate_pair[0]) == certificate_pair[0]


@pytest.mark.parametrize("kind", [ReadableFile, CertificateFile])
def test_a_missing_file_is_refused_with_the_reason(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"readable file.*No such file"):
        TypeAdapter(kind).validate_python(tmp_path / "none.pem")


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="Is a directory"):
        TypeAdapter(ReadableFile).validate_python(tmp_path)


def test_authorities_are_read_from_pem(authority_certificate: Path) -> None:
    checked = TypeAdapter(CertificateFile).validate_python(authority_certificate)
    assert checked == authority_certificate


def test_authorities_in_another_form_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "ca.pem"
    text.write_text("hello")
    with pytest.raises(ValidationError, match="file of PEM certificates"):
        TypeAdapter(CertificateFile).validate_python(text)


def test_a_socket_path_is_absolute_and_fits_the_system() -> None:
    assert socket_path(Path("/run/guard.sock")) == Path("/run/guard.sock")
    with pytest.raises(ValueError, match="absolute"):
        socket_path(Path("guard.sock"))
    with pytest.raises(ValueError, match="absolute"):
        socket_path(Path("/a\0b"))
    with pytest.raises(ValueError, match="at most 107 bytes"):
        socket_path(Path("/" + "é" * 54))


TOKEN = "correct-horse-battery-staple"


def test_a_token_is_what_a_header_can_carry_and_nobody_guesses() -> None:
    assert check_token(TOKEN) == TOKEN


@pytest.mark.parametrize(
    "token", ["", "x" * 15, "a token with spaces in it", "ünïcödé-ünïcödé-ünïcödé", "x" * 16 + "\n"]
)
def test_another_token_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(ValueError, match="at least 16 characters without spaces") as caught:
        check_token(token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_token_is_alone_in_its_file(tmp_path: Path, end: str) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN + end)
    assert TypeAdapter(TokenFile).validate_python(path) == path
    assert read_token(path) == TOKEN


@pytest.mark.parametrize("content", [b"", b"short\n", b"first-line-of-sixteen\nand another\n", b"\xff" * 20])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ValidationError, match="whose token should be at least 16"):
        TypeAdapter(TokenFile).validate_python(path)
