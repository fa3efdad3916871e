"""A head that is a fake, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoscaler.gcs.client import GcsClient
from tests.fakes.gcs import FakeGcs


@pytest.fixture
def head() -> Iterator[FakeGcs]:
    head = FakeGcs()
    yield head
    head.close()


@pytest.fixture
def client(head: FakeGcs) -> Iterator[GcsClient]:
    client = GcsClient(head.address, clock=lambda: 7.0, call_seconds=20)
    yield client
    client.close()
