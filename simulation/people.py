"""Customers: birth, home, sign-up and moves, before any data errors."""

from dataclasses import dataclass

import numpy as np

from lakehouse.arrays import Floats, Integers, Times
from simulation.places import Places

SIGN_UPS = np.datetime64("2021-01-01", "s"), np.datetime64("2024-10-01", "s")
MOVES = np.datetime64("2022-01-01", "s"), np.datetime64("2025-01-01", "s")
MOVERS = 0.05
CHANNELS = ("app", "web", "store", "partner")
CHANNEL_SHARES = (0.35, 0.4, 0.15, 0.1)
YEAR_SECONDS = 365.2425 * 86_400


@dataclass(frozen=True)
class People:
    """One shard of customers; every array is (customers,).

    Attributes:
        birth: day of birth.
        home: index of the first Kommune in `Places`; `new_home` is the index after `moved_at`.
        moved_at: NaT for customers who never move after the sign-up.
        loyalty: standard-normal draw that raises or lowers the number of orders.
    """

    ids: Integers
    birth: Times
    home: Integers
    new_home: Integers
    moved_at: Times
    signed_up_at: Times
    channel: Integers
    loyalty: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def home_at(self, time: np.datetime64) -> Integers:
        """Index of each customer's Kommune at a time."""
        return np.where(self.moved_at <= time, self.new_home, self.home)

    def age_at(self, time: np.datetime64) -> Floats:
        """Age at a time, in years."""
        return (time - self.birth.astype("datetime64[s]")).astype(np.float64) / YEAR_SECONDS

    @classmethod
    def draw(cls, random: np.random.Generator, first_id: int, size: int, places: Places) -> "People":
        """Draw `size` customers, numbered from `first_id`."""
        adult, older = random.normal(37, 12, size), random.normal(66, 10, size)
        age = np.where(random.random(size) < 0.7, adult, older).clip(15, 95)
        birth = np.datetime64("2023-01-01", "s") - (age * YEAR_SECONDS).astype("timedelta64[s]")
        signed_up_at = _between(random, *SIGN_UPS, size)
        moved_at = _between(random, *MOVES, size)
        moves = (random.random(size) < MOVERS) & (moved_at > signed_up_at)
        return cls(
            ids=np.arange(first_id, first_id + size),
            birth=birth.astype("datetime64[D]"),
            home=places.draw(random, size),
            new_home=places.draw(random, size),
            moved_at=np.where(moves, moved_at, np.datetime64("NaT")),
            signed_up_at=signed_up_at,
            channel=random.choice(len(CHANNELS), size, p=CHANNEL_SHARES),
            loyalty=random.standard_normal(size),
        )


def _between(random: np.random.Generator, begin: np.datetime64, end: np.datetime64, size: int) -> Times:
    seconds = int((end - begin).astype(np.int64))
    return begin + random.integers(0, seconds, size).astype("timedelta64[s]")
