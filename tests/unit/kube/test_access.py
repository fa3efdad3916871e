"""As whom the API server is asked, and what that takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from controller.kube.access import AccessError, ServiceAccount
from tests.support.prerequisites import ROOT

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a kubelet puts into a pod."""
    (tmp_path / "ca.crt").write_text("certificates")
    (tmp_path / "token").write_text("first\n")
    return tmp_path


@pytest.mark.parametrize(
    ("address", "host"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_the_server_is_the_one_that_pods_are_told_of(folder: Path, address: str, host: str) -> None:
    assert ServiceAccount({**POD, "KUBERNETES_SERVICE_HOST": address}, folder).host == host


@pytest.mark.parametrize(
    "environment", [{}, {**POD, "KUBERNETES_SERVICE_HOST": ""}, {**POD, "KUBERNETES_SERVICE_PORT": ""}]
)
def test_outside_of_a_pod_there_is_no_account(folder: Path, environment: dict[str, str]) -> None:
    with pytest.raises(AccessError):
        ServiceAccount(environment, folder)


@pytest.mark.parametrize("missing", ["ca.crt", "token"])
def test_a_pod_may_have_no_account(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(AccessError):
        ServiceAccount(POD, folder)


def test_a_renewed_token_is_used_a_minute_later(folder: Path) -> None:
    now = 0.0
    account = ServiceAccount(POD, folder, lambda: now)
    assert account.headers() == {"Authorization": "Bearer first"}
    (folder / "token").write_text("second")
    now = 59.0
    assert account.headers() == {"Authorization": "Bearer first"}
    now = 60.0
    assert account.headers() == {"Authorization": "Bearer second"}


def test_a_token_that_is_empty_or_gone_is_no_token(folder: Path) -> None:
    account = ServiceAccount(POD, folder)
    (folder / "token").write_text("")
    with pytest.raises(AccessError, match="token is empty"):
        account.headers()
    (folder / "token").unlink()
    with pytest.raises(OSError, match="token"):
        account.headers()


def test_the_operator_of_a_pod_does_not_load_what_only_kubeconfigs_and_wrong_rayclusters_need() -> None:
    """Thirty megabytes, a third of what it takes at rest."""
    program = "import sys, controller.run; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"kubernetes", "pydantic", "jsonschema", "google.auth", "requests"} & set(done.stdout.split())
