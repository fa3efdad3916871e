"""The command line and the environment."""

from __future__ import annotations

import pytest

from controller.options import Options, parse


def test_by_default_all_namespaces_are_looked_after() -> None:
    assert parse([], {}) == Options((), None, 4, "info")


def test_flags_are_read() -> None:
    given = ["--namespaces", "a, b,,a", "--context", "kind", "--workers=8", "--log-level", "debug"]
    assert parse(given, {}) == Options(("a", "b"), "kind", 8, "debug")


ENVIRONMENT = {
    "RAY_OPERATOR_POD_NAMESPACE": "ray",
    "RAY_OPERATOR_CONTEXT": "kind",
    "RAY_OPERATOR_WORKERS": "2",
    "RAY_OPERATOR_LOG_LEVEL": "error",
}


def test_the_environment_is_read() -> None:
    assert parse([], ENVIRONMENT) == Options(("ray",), "kind", 2, "error")


def test_an_empty_variable_means_the_default() -> None:
    assert parse([], dict.fromkeys(ENVIRONMENT, "")) == parse([], {})


def test_flags_win_over_the_environment() -> None:
    given = ["--namespaces", "", "--context", "c", "--workers", "9", "--log-level", "info"]
    assert parse(given, ENVIRONMENT) == Options((), "c", 9, "info")


def test_a_flag_hides_a_bad_variable() -> None:
    assert parse(["--workers", "3"], {"RAY_OPERATOR_WORKERS": "x"}).workers == 3


BAD = [
    ("--workers", "RAY_OPERATOR_WORKERS", "0"),
    ("--workers", "RAY_OPERATOR_WORKERS", "x"),
    ("--workers", "RAY_OPERATOR_WORKERS", "1000"),
    ("--workers", "RAY_OPERATOR_WORKERS", "9" * 5000),
    ("--log-level", "RAY_OPERATOR_LOG_LEVEL", "loud"),
    ("--namespaces", "RAY_OPERATOR_POD_NAMESPACE", "ok,Not_OK"),
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
