"""What Ray heads are shown: from files, by namespace, and to nobody else."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from autoscaler.gcs.client import Credentials, GcsClient
from controller.heads.credentials import READ_AGAIN_SECONDS, CredentialFolder
from controller.heads.polled import PolledHeads
from controller.raycluster.model import Key
from tests.fakes.gcs import FakeGcs
from tests.support.builders import head_pod
from tests.support.kube import eventually
from tests.support.plans import SPEC


def test_each_namespace_has_its_own(tmp_path: Path) -> None:
    for namespace, token in (("a", "first\n"), ("b", "second")):
        (tmp_path / namespace).mkdir()
        (tmp_path / namespace / "token").write_text(token)
    folder = CredentialFolder(tmp_path)
    assert folder("a") == Credentials("first")
    assert folder("b") == Credentials("second")
    assert folder("c") is None


def test_tls_is_read_beside_the_token(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("ca.crt", "tls.crt", "tls.key"):
        (tmp_path / "a" / name).write_bytes(name.encode())
    assert CredentialFolder(tmp_path)("a") == Credentials(None, b"ca.crt", b"tls.crt", b"tls.key")


def test_files_are_read_again_now_and_then(tmp_path: Path) -> None:
    now = [0.0]
    folder = CredentialFolder(tmp_path, lambda: now[0])
    assert folder("a") is None
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "token").write_text("new")
    assert folder("a") is None
    now[0] = READ_AGAIN_SECONDS
    assert folder("a") == Credentials("new")


@pytest.mark.parametrize("files", [{"token": b""}, {"token": b"two words"}, {"token": b"\xff"}, {"ca.crt": b"x"}])
def test_what_cannot_be_used_is_told_and_not_shown(
    files: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").mkdir()
    for name, content in files.items():
        (tmp_path / "a" / name).write_bytes(content)
    with caplog.at_level(logging.ERROR):
        assert CredentialFolder(tmp_path)("a") is None
    assert "credentials for Ray heads in the namespace a cannot be used" in caplog.text
    assert "two words" not in caplog.text


def test_a_head_that_insists_on_a_token_gets_that_of_its_namespace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cluster in another namespace is not shown it, and so gets no answer from such a head; which is told, once."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "token").write_text("secret")
    head = FakeGcs(token="secret", name=head_pod(SPEC).name)
    heard = threading.Event()
    heads = PolledHeads(lambda key: heard.set(), connect=GcsClient, credentials=CredentialFolder(tmp_path))
    try:
        heads.start()
        host, port = head.address.split(":")
        for namespace in ("mine", "theirs"):
            heads.follow(Key(namespace, "example"), head_pod(SPEC, ip=host), int(port), busy=True)
        eventually(lambda: heads.view(Key("mine", "example")))
        eventually(lambda: heads.silence(Key("theirs", "example")))
        assert heads.view(Key("theirs", "example")) is None
        eventually(lambda: "example,theirs: the head requires other credentials" in caplog.text)
        assert "secret" not in caplog.text
    finally:
        heads.stop()
        head.close()
