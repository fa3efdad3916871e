from __future__ import annotations

import os
import subprocess
from collections.abc import Generator, Iterator, Mapping

import environment as cluster_environment
import pytest

from tests.support.prerequisites import LOCAL, cannot_run, local_kubernetes
from tests.support.sampled import PROFILE, SEED, groups_of, one_of_each, some_of

LOCAL_NAME = "ray"
# Used when the usual local cluster is in somebody's hands.
SPARE_NAME = "test"

# The short form: all of the page that users read first, so many tests of what the product is for, and one test of each
# of so many other files.
GUIDE = "test_guide.py"
CORE = {"test_autoscaling.py": 3, "test_head_recovery.py": 1}
OTHER_FILES = 4
# Of these one case.
ALTERNATIVES = ("test_any_other_order_leaves_nothing_either",)


def short_form(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests of the short form. The longest file comes first, so that it does not begin last."""
    files = {tests[0].path.name: tests for tests in groups_of(items, lambda item: item.path)}
    guide = groups_of(files.pop(GUIDE, []), lambda item: getattr(item, "originalname", "") in ALTERNATIVES or item.name)
    core = [item for name, count in CORE.items() for item in some_of(files.pop(name, []), count)]
    others = [item for tests in some_of(list(files.values()), OTHER_FILES) for item in one_with_its_past(tests)]
    return one_of_each(guide) + core + others


def one_with_its_past(tests: list[pytest.Item]) -> list[pytest.Item]:
    """One test of a file, with those before it where it needs them."""
    (chosen,) = some_of(tests, 1)
    return tests[: tests.index(chosen) + 1] if chosen.get_closest_marker("ordered") else [chosen]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the short form if it is asked for."""
    if PROFILE == "short":
        kept = short_form(items)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def pytest_report_header() -> str:
    """Which form runs."""
    return f"short form by TEST_SEED={SEED}; make test-e2e-long runs all" if PROFILE == "short" else "long form"


# What is shown of a cluster.
LOOKS = (
    "get pods -A -o wide",
    "get rayc -A -o wide",
    "get events -A --sort-by=.lastTimestamp",
    "describe nodes",
)


# What Ray and Serve said last on a head: warnings, errors, and what became of actors.
RAY_LOGS = """
timeout 20 ray list actors 2>&1 | cut -c1-250 | tail -n 40
cd /tmp/ray/session_latest/logs
grep -hE "^\\[[^]]* [WE] |gcs_actor" gcs_server.out raylet.out | tail -n 80
tail -n 30 serve/* 2>/dev/null
"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its cluster looked like when it failed: afterwards it is cleaned up."""
    report = yield
    environment = getattr(item, "funcargs", {}).get("environment")
    if report.when == "call" and report.failed and environment:
        for look in LOOKS:
            report.sections.append((f"kubectl {look}", last_lines(environment, *look.split())))
        for namespace, pod in named(environment, "cluster.ray.io/component=operator"):
            said = last_lines(environment, "-n", namespace, "logs", pod, "--tail=100")
            report.sections.append((f"operator {pod}", said))
        for namespace, pod in named(environment, "ray-node-type=head"):
            said = last_lines(environment, "-n", namespace, "exec", pod, "--", "bash", "-c", RAY_LOGS)
            report.sections.append((f"Ray in {pod}", said))
    return report


def named(environment: Mapping[str, str], selector: str) -> list[list[str]]:
    """Namespace and name of each pod with labels."""
    names = "jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{'\\n'}{end}"
    told = last_lines(environment, "get", "pods", "-A", "-l", selector, "-o", names)
    found = [line.split(" ") for line in told.splitlines()]
    return [each for each in found if len(each) == 2]


def last_lines(environment: Mapping[str, str], *arguments: str) -> str:
    """What kubectl prints, the end of it; what keeps it from that, too."""
    command = ["kubectl", *arguments]
    try:
        done = subprocess.run(command, env=dict(environment), capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "\n".join((done.stdout + done.stderr).decode(errors="replace").splitlines()[-200:])


def exists(name: str) -> bool:
    """Whether there is a local cluster of this name, in whatever state."""
    status = subprocess.run([LOCAL, "status", "--name", name], capture_output=True, text=True, check=False)
    return bool(status.stdout.strip())


def is_free(name: str) -> bool:
    """Whether a local cluster that exists is well and nobody's: one with a stopped node is in somebody's hands."""
    status = subprocess.run([LOCAL, "status", "--name", name], capture_output=True, check=False)
    return status.returncode == 0 and not in_use(cluster_environment.local(name))


def in_use(environment: Mapping[str, str]) -> bool:
    """Whether somebody has an operator or Ray clusters there: the guide's names are taken."""
    # Any RayCluster will do; the kind is not known to a cluster that never had an operator, and nothing is printed.
    taken = {
        "deployments": ("ray-operator",),
        "namespaces": (
            "ray",
            "ray-system",
            "ray-autoscaling",
            "ray-suspend",
            "ray-recovery",
            "ray-recovery-steps",
            "ray-serving",
            "ray-interruptions",
            "ray-mesh",
            "ray-hosts",
            "ray-idle",
            "ray-libraries",
            "ray-converted",
        ),
        "rayclusters": (),
    }
    for kind, names in taken.items():
        command = ["kubectl", "get", kind, "-A", "-o", "name", "--ignore-not-found"]
        printed = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False).stdout
        found = [line.split("/")[-1] for line in printed.splitlines()]
        if any(name in names or not names for name in found):
            return True
    return False


@pytest.fixture(scope="session")
def local_name(worker_id: str) -> str:
    """The local cluster to use: the usual one if it is free, else a spare one; empty for the user's current cluster.

    Of several processes that run tests, each but the first has a cluster of its own.
    """
    if os.environ.get("CLUSTER") == "current":
        return ""
    if worker_id not in ("master", "gw0"):
        return f"{SPARE_NAME}-{worker_id.removeprefix('gw')}"
    return SPARE_NAME if exists(LOCAL_NAME) and not is_free(LOCAL_NAME) else LOCAL_NAME


@pytest.fixture(scope="session")
def environment(local_name: str) -> Iterator[Mapping[str, str]]:
    """A cluster with real nodes and the images."""
    if not local_name:
        environment = cluster_environment.prepare("current", say=print)
        if in_use(environment):
            cannot_run(
                "the current cluster has a Ray operator, RayClusters or the namespace ray; tests need it without"
            )
        yield environment
        return
    was_there = exists(local_name)
    try:
        yield cluster_environment.prepare("local", name=local_name, say=print)
    except cluster_environment.PrerequisiteError as error:
        cannot_run(str(error))
    finally:
        if not was_there:
            local_kubernetes("down", "--name", local_name)
