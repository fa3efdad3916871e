"""What a Ray head says of who uses it. Subclass ``RayUsersContract`` and give it a fixture ``users``.

The same tests hold for a real head and for the fake one.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from autoscaler.gcs.client import GcsClient
from autoscaler.gcs.errors import GcsError
from autoscaler.model import RayUsage

# Ray programs start beside other tests, and a client that vanishes is waited for by Ray.
PATIENCE_SECONDS = 120


class RayUsers(ABC):
    """A head that nothing uses, and a hand on those who may come."""

    address: str

    @abstractmethod
    def connect(self, *, client: bool = False) -> None:
        """A program connects and goes on to do nothing, as a driver or through Ray Client."""

    @abstractmethod
    def make_actor(self) -> None:
        """The program that is connected makes an actor without resources, in the namespace ``mine``."""

    @abstractmethod
    def disconnect(self) -> None:
        """The program ends."""

    @abstractmethod
    def vanish(self) -> None:
        """The program is killed."""

    @abstractmethod
    def keep(self, name: str, namespace: str) -> None:
        """A program makes a detached actor without resources, and ends."""

    @abstractmethod
    def drop(self, name: str, namespace: str) -> None:
        """A program ends that actor, and ends."""

    @abstractmethod
    def submit(self) -> str:
        """``ray job submit`` of a program that does not use Ray and does not end; returns the job's name."""

    @abstractmethod
    def stop(self, job: str) -> None:
        """``ray job stop``."""


def usage(client: GcsClient) -> RayUsage:
    """Who uses the cluster now."""
    answer: Future[RayUsage | GcsError] = Future()
    client.begin_usage(answer.set_result)
    found = answer.result(30)
    assert isinstance(found, RayUsage), found
    return found


def eventually(client: GcsClient, user: str) -> RayUsage:
    """The first answer in which the user is described so."""
    end = time.monotonic() + PATIENCE_SECONDS
    while user not in (found := usage(client)).user or (found.user and not user):
        assert time.monotonic() < end, found
        time.sleep(0.2)
    return found


class RayUsersContract:
    """One test per kind of use."""

    @pytest.fixture
    def client(self, users: RayUsers) -> Iterator[GcsClient]:
        client = GcsClient(users.address, call_seconds=20)
        eventually(client, "")
        yield client
        client.close()

    def test_a_driver_uses_the_cluster_while_it_is_connected(self, users: RayUsers, client: GcsClient) -> None:
        before = usage(client).last_end
        users.connect()
        assert eventually(client, "the driver of job ").last_end == before
        users.make_actor()
        assert "the driver of job " in usage(client).user
        users.disconnect()
        assert eventually(client, "").last_end > before

    def test_a_detached_actor_does_as_long_as_it_lives(self, users: RayUsers, client: GcsClient) -> None:
        users.keep("cache", "mine")
        eventually(client, "the detached actor cache of the namespace mine lives")
        users.drop("cache", "mine")
        eventually(client, "")

    def test_what_rays_libraries_leave_behind_does_not(self, users: RayUsers, client: GcsClient) -> None:
        users.keep("datasets_stats_actor", "_dataset_stats_actor")
        assert usage(client).user == ""
        users.drop("datasets_stats_actor", "_dataset_stats_actor")

    def test_a_ray_client_does_until_it_goes_or_ray_gives_it_up(self, users: RayUsers, client: GcsClient) -> None:
        users.connect(client=True)
        eventually(client, "the driver of job ")
        users.vanish()
        eventually(client, "")

    def test_a_submitted_job_does_without_a_driver_and_leaves_rays_own(
        self, users: RayUsers, client: GcsClient
    ) -> None:
        job = users.submit()
        eventually(client, f"the submitted job {job} runs")
        users.stop(job)
        eventually(client, "")
