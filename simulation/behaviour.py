"""Orders and contacts of customers by quarter under the planted effects, before any data errors."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats, Integers, Times
from simulation import effects
from simulation.people import SIGN_UPS, People
from simulation.places import Places

# The last date ends the data.
QUARTERS = np.arange("2023-01", "2025-02", 3, dtype="datetime64[M]").astype("datetime64[s]")
SERVICE, COMPLAINT = 0, 1
CONTACT_KINDS = ("service", "complaint")


@dataclass(frozen=True)
class CustomerEvents:
    """Orders or contacts; every array is (events,).

    Attributes:
        person: index in the shard.
        at: time of the event.
        value: amount of an order in EUR; index in CONTACT_KINDS of a contact.
    """

    person: Integers
    at: Times
    value: Floats


@dataclass(frozen=True)
class Behaviour:
    """All orders and contacts of a shard."""

    orders: CustomerEvents
    contacts: CustomerEvents


def behave(random: np.random.Generator, people: People, places: Places) -> Behaviour:
    """Simulate every quarter from the previous one."""
    draws = effects.place_draws(len(places))
    last_orders = np.zeros(len(people), dtype=np.int64)
    complained = np.zeros(len(people), dtype=bool)
    orders, contacts = [], []
    for before, begin, end in zip((SIGN_UPS[0], *QUARTERS), QUARTERS, QUARTERS[1:], strict=False):
        home = people.home_at(begin)
        cohort, state = effects.cohort_of(people.age_at(begin)), places.states[home]
        churn = effects.CHURN.of(cohort, state, draws["churn"][home])
        churn += effects.CHURN_PER_LOG_ORDERS * np.log1p(last_orders) + effects.CHURN_AFTER_COMPLAINT * complained
        active = _active(random, people, last_orders, churn, (before, begin))
        log_orders = effects.ORDERS.of(cohort, state, draws["orders"][home])
        log_orders += effects.ORDERS_PER_PERSON_SPREAD * people.loyalty
        last_orders = np.where(active, 1 + random.poisson(np.exp(log_orders)), 0)
        person = np.repeat(np.arange(len(people)), last_orders)
        log_amount = effects.AMOUNT.of(cohort, state, draws["amount"][home])[person]
        amount = np.exp(log_amount + effects.AMOUNT_SPREAD * random.standard_normal(len(person)))
        orders.append(CustomerEvents(person, _within(random, begin, end, len(person)), amount.round(2)))
        complained = active & (random.random(len(people)) < effects.COMPLAINT_RATE)
        contacts.append(_contacts(random, complained, people.signed_up_at < begin, begin, end))
    return Behaviour(_joined(orders), _joined(contacts))


def _active(
    random: np.random.Generator,
    people: People,
    last_orders: Integers,
    churn: Floats,
    quarter_before: tuple[np.datetime64, np.datetime64],
) -> npt.NDArray[np.bool_]:
    """Customers who order in a quarter: new ones of the previous quarter, those who stay, and a few who return."""
    begin, end = quarter_before
    chance = random.random(len(people))
    stays = chance >= 1 / (1 + np.exp(-churn))
    is_new = people.signed_up_at >= begin
    returns = chance < effects.RETURN_RATE
    return np.asarray((people.signed_up_at < end) & (is_new | np.where(last_orders > 0, stays, returns)))


def _contacts(
    random: np.random.Generator,
    complained: npt.NDArray[np.bool_],
    signed_up: npt.NDArray[np.bool_],
    begin: np.datetime64,
    end: np.datetime64,
) -> CustomerEvents:
    count = len(signed_up)
    service = np.repeat(np.arange(count), np.where(signed_up, random.poisson(effects.SERVICE_CONTACTS, count), 0))
    person = np.concatenate([service, np.flatnonzero(complained)])
    kind = np.concatenate([np.full(len(service), SERVICE), np.full(int(complained.sum()), COMPLAINT)])
    return CustomerEvents(person, _within(random, begin, end, len(person)), kind.astype(np.float64))


def _within(random: np.random.Generator, begin: np.datetime64, end: np.datetime64, size: int) -> Times:
    seconds = int((end - begin).astype(np.int64))
    return begin + random.integers(0, seconds, size).astype("timedelta64[s]")


def _joined(parts: list[CustomerEvents]) -> CustomerEvents:
    return CustomerEvents(
        np.concatenate([part.person for part in parts]),
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.value for part in parts]),
    )
