"""The command line and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.flags import FLAGS
from controller.monitoring.http_server import Tls
from controller.options import Options, parse
from controller.planning.observed import Settings


def test_by_default_all_namespaces_are_managed() -> None:
    assert parse([], {}) == Options((), None, 4, "info", settings=Settings(600.0, 30.0))


def test_flags_are_read() -> None:
    given = ["--namespaces", "a, b,,a", "--context", "kind", "--workers=8", "--log-level", "debug"]
    given += ["--log-format", "json", "--metrics-address", ":8080", "--leader-elect", "--lease-namespace", "ops"]
    given += ["--metrics-certificate", "/tls/tls.crt", "--metrics-key", "/tls/tls.key"]
    given += ["--drain-seconds", "60", "--unschedulable-grace-seconds", "1.5"]
    tls = Tls(Path("/tls/tls.crt"), Path("/tls/tls.key"))
    assert parse(given, {}) == Options(
        ("a", "b"), "kind", 8, "debug", "json", ("", 8080), tls, "ops", Settings(60, 1.5), watch_nodes=False
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:8443", ("::1", 8443)), ("localhost:65535", ("localhost", 65535))],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    assert parse(["--metrics-address", text], {}).serve_at == address


def test_the_lease_is_in_the_pods_own_namespace_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("controller.options.NAMESPACE_FILE", tmp_path / "namespace")
    (tmp_path / "namespace").write_text("own\n")
    assert parse(["--leader-elect"], {}).lease_namespace == "own"
    assert parse(["--leader-elect", "--lease-namespace", "ops"], {}).lease_namespace == "ops"
    assert parse([], {}).lease_namespace is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--leader-elect"], "--leader-elect outside a pod needs --lease-namespace"),
        (["--shards=2"], "--shards=2 needs --leader-elect: by leases the operators know which clusters are whose"),
        (["--metrics-key", "k"], "--metrics-certificate and --metrics-key belong together"),
    ],
)
def test_flags_that_lack_another_name_it(
    given: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("controller.options.NAMESPACE_FILE", tmp_path / "namespace")
    with pytest.raises(SystemExit):
        parse(given, {})
    assert words in capsys.readouterr().err


ENVIRONMENT = {
    "RAY_OPERATOR_POD_NAMESPACE": "ray",
    "RAY_OPERATOR_CONTEXT": "kind",
    "RAY_OPERATOR_WORKERS": "2",
    "RAY_OPERATOR_LOG_LEVEL": "error",
    "RAY_OPERATOR_LOG_FORMAT": "json",
    "RAY_OPERATOR_METRICS_ADDRESS": "127.0.0.1:8080",
    "RAY_OPERATOR_METRICS_CERTIFICATE": "c",
    "RAY_OPERATOR_METRICS_KEY": "k",
    "RAY_OPERATOR_LEADER_ELECT": "true",
    "RAY_OPERATOR_LEASE_NAMESPACE": "ops",
    "RAY_OPERATOR_SHARDS": "4",
    "RAY_OPERATOR_DRAIN_SECONDS": "0",
    "RAY_OPERATOR_UNSCHEDULABLE_GRACE_SECONDS": "5",
    "RAY_OPERATOR_GATED_GRACE_SECONDS": "2",
    "RAY_OPERATOR_GANG_OBJECTS": "podgroups.scheduling.volcano.sh, podgroups.scheduling.x-k8s.io,",
}


def test_each_flag_has_a_variable_of_its_own() -> None:
    variables = [flag.variable for flag in FLAGS]
    assert sorted(variables) == sorted([*ENVIRONMENT, "RAY_OPERATOR_RAY_CREDENTIALS", "RAY_OPERATOR_WATCH_NODES"])


@pytest.mark.parametrize(
    ("given", "environment", "watched"),
    [
        ([], {}, True),
        (["--namespaces=ray"], {}, False),
        ([], {"RAY_OPERATOR_POD_NAMESPACE": "ray"}, False),
        (["--watch-nodes=false"], {}, False),
        (["--namespaces=ray", "--watch-nodes"], {}, True),
        (["--namespaces=ray"], {"RAY_OPERATOR_WATCH_NODES": "true"}, True),
    ],
)
def test_nodes_are_watched_where_a_role_can_allow_it_unless_it_is_said(
    given: list[str], environment: dict[str, str], watched: bool
) -> None:
    assert parse(given, environment).watch_nodes is watched


def test_the_environment_is_read() -> None:
    tls = Tls(Path("c"), Path("k"))
    assert parse([], ENVIRONMENT) == Options(
        ("ray",),
        "kind",
        2,
        "error",
        "json",
        ("127.0.0.1", 8080),
        tls,
        "ops",
        Settings(0, 5, 2, ("podgroups.scheduling.volcano.sh", "podgroups.scheduling.x-k8s.io")),
        shards=4,
        watch_nodes=False,
    )


def test_an_empty_variable_means_the_default() -> None:
    assert parse([], dict.fromkeys(ENVIRONMENT, "")) == parse([], {})


def test_flags_win_over_the_environment() -> None:
    given = ["--namespaces", "", "--context", "c", "--workers", "9", "--log-level", "info", "--log-format", "human"]
    given += ["--metrics-address", "", "--metrics-certificate", "", "--metrics-key", "", "--leader-elect=false"]
    given += ["--shards=1", "--drain-seconds=600", "--unschedulable-grace-seconds=30", "--gated-grace-seconds=5"]
    given += ["--gang-objects="]
    assert parse(given, ENVIRONMENT) == Options((), "c", 9, "info")


def test_a_flag_hides_a_bad_variable() -> None:
    assert parse(["--workers", "3"], {"RAY_OPERATOR_WORKERS": "x"}).workers == 3


BAD = [
    ("--shards", "RAY_OPERATOR_SHARDS", "0"),
    ("--shards", "RAY_OPERATOR_SHARDS", "17"),
    ("--workers", "RAY_OPERATOR_WORKERS", "0"),
    ("--workers", "RAY_OPERATOR_WORKERS", "x"),
    ("--workers", "RAY_OPERATOR_WORKERS", "1000"),
    ("--workers", "RAY_OPERATOR_WORKERS", "9" * 5000),
    ("--log-level", "RAY_OPERATOR_LOG_LEVEL", "loud"),
    ("--namespaces", "RAY_OPERATOR_POD_NAMESPACE", "ok,Not_OK"),
    ("--log-format", "RAY_OPERATOR_LOG_FORMAT", "xml"),
    ("--metrics-address", "RAY_OPERATOR_METRICS_ADDRESS", "8080x"),
    ("--metrics-address", "RAY_OPERATOR_METRICS_ADDRESS", ":65536"),
    ("--metrics-address", "RAY_OPERATOR_METRICS_ADDRESS", "127.0.0.1:http"),
    ("--leader-elect", "RAY_OPERATOR_LEADER_ELECT", "maybe"),
    ("--lease-namespace", "RAY_OPERATOR_LEASE_NAMESPACE", "Not_OK"),
    ("--gang-objects", "RAY_OPERATOR_GANG_OBJECTS", "podgroups"),
    ("--gang-objects", "RAY_OPERATOR_GANG_OBJECTS", "podgroups.scheduling.volcano.sh,roles.rbac.authorization.k8s.io"),
    ("--gang-objects", "RAY_OPERATOR_GANG_OBJECTS", "deployments.apps"),
]


@pytest.mark.parametrize(("flag", "variable", "value"), BAD)
def test_a_bad_value_is_named_with_where_it_came_from(
    flag: str, variable: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, environment, source in (([f"{flag}={value}"], {}, flag), ([], {variable: value}, variable)):
        with pytest.raises(SystemExit) as stopped:
            parse(arguments, environment)
        assert stopped.value.code == 2
        said = capsys.readouterr().err
        assert source in said
        assert repr(value.rpartition(",")[2]) in said


def test_help_and_version_are_answered(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, words in (("--help", "RAY_OPERATOR_WORKERS"), ("--version", "ray-operator ")):
        with pytest.raises(SystemExit) as stopped:
            parse([flag], {})
        assert stopped.value.code == 0
        assert words in capsys.readouterr().out
