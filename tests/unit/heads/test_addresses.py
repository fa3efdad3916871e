"""Who had its head at an address first."""

from __future__ import annotations

from controller.heads.addresses import Addresses
from controller.raycluster.model import Key

A, B = Key("a", "x"), Key("b", "x")


def test_the_second_at_an_address_knows_of_the_first_until_that_is_elsewhere() -> None:
    addresses = Addresses()
    addresses.note(A, "10.0.0.1:6379")
    addresses.note(B, "10.0.0.1:6379")
    assert (addresses.earlier(A), addresses.earlier(B)) == (None, A)
    addresses.note(A, "10.0.0.1:6379")
    assert addresses.earlier(B) == A
    addresses.note(A, "10.0.0.2:6379")
    assert (addresses.earlier(A), addresses.earlier(B)) == (None, None)
    addresses.note(B, "10.0.0.1:6379")
    addresses.note(A, "10.0.0.1:6379")
    assert (addresses.earlier(A), addresses.earlier(B)) == (B, None)


def test_nothing_is_kept_of_who_has_gone() -> None:
    addresses = Addresses()
    for cluster in (A, B):
        addresses.note(cluster, "10.0.0.1:6379")
    for cluster in (B, A):
        addresses.note(cluster, "")
        assert addresses.earlier(cluster) is None
    assert not any(vars(addresses).values())
