"""The planted effects, each on its own scale. A test compares `docs/german_customers.md` with them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats

# A cohort has the index of the first bound above the age.
COHORT_BOUNDS = (18, 50, 65)
COHORTS = ("below 18", "18 to 49", "50 to 64", "65 and more")

STATES = (
    "Baden-Württemberg",
    "Bayern",
    "Berlin",
    "Brandenburg",
    "Bremen",
    "Hamburg",
    "Hessen",
    "Mecklenburg-Vorpommern",
    "Niedersachsen",
    "Nordrhein-Westfalen",
    "Rheinland-Pfalz",
    "Saarland",
    "Sachsen",
    "Sachsen-Anhalt",
    "Schleswig-Holstein",
    "Thüringen",
)


@dataclass(frozen=True)
class Effects:
    """Effects on one quantity, which is the sum of these terms.

    Attributes:
        intercept: value without any other effect.
        cohort: effect of each age cohort, in the order of COHORTS.
        state: effect of each state, in the order of STATES.
        place_spread: standard deviation of the normally distributed effect of each Kommune.
    """

    intercept: float
    cohort: tuple[float, float, float, float]
    state: tuple[float, ...]
    place_spread: float

    def of(self, cohort: npt.NDArray[np.int64], state: npt.NDArray[np.int64], place: Floats) -> Floats:
        """The sum for each customer, from cohort, state and the standard-normal draw of the Kommune."""
        terms = self.intercept + np.asarray(self.cohort)[cohort] + np.asarray(self.state)[state]
        return np.asarray(terms + self.place_spread * place, dtype=np.float64)


# Log-odds that a customer who ordered in the last quarter orders nothing in the next.
CHURN = Effects(
    intercept=-0.9,
    cohort=(0.6, -0.3, 0.0, 0.4),
    state=(-0.2, -0.3, 0.4, 0.3, 0.1, -0.1, -0.1, 0.3, 0.0, 0.1, 0.0, 0.0, 0.2, 0.4, 0.0, 0.2),
    place_spread=0.4,
)
CHURN_PER_LOG_ORDERS = -0.6  # for each unit of log(1 + orders of the last quarter)
CHURN_AFTER_COMPLAINT = 1.0  # a complaint in the last quarter

# Log of the mean number of orders of an active customer in a quarter, beyond the first order.
ORDERS = Effects(
    intercept=0.1,
    cohort=(-0.3, 0.2, 0.0, -0.2),
    state=(0.1, 0.1, 0.2, -0.1, 0.0, 0.2, 0.1, -0.1, 0.0, 0.0, 0.0, 0.0, -0.1, -0.1, 0.0, -0.1),
    place_spread=0.2,
)
ORDERS_PER_PERSON_SPREAD = 0.4  # permanent difference between customers with equal effects

# Log of the amount of one order, in EUR.
AMOUNT = Effects(
    intercept=3.4,
    cohort=(-0.5, 0.0, 0.3, 0.1),
    state=(0.2, 0.2, 0.1, -0.2, 0.0, 0.3, 0.2, -0.2, 0.0, 0.0, 0.0, -0.1, -0.2, -0.2, 0.0, -0.2),
    place_spread=0.25,
)
AMOUNT_SPREAD = 0.5  # between orders of one customer

RETURN_RATE = 0.2  # probability that a customer without orders in the last quarter orders in this one
COMPLAINT_RATE = 0.08  # probability that an active customer complains in a quarter
SERVICE_CONTACTS = 0.3  # mean number of other contacts of a customer in a quarter


def cohort_of(age: Floats) -> npt.NDArray[np.int64]:
    """Index in COHORTS of ages in years."""
    return np.searchsorted(np.asarray(COHORT_BOUNDS), age, side="right")


def place_draws(places: int) -> dict[str, Floats]:
    """Standard-normal draws of every Kommune for each quantity, equal in every sample."""
    draws = np.random.default_rng(11_870).standard_normal((3, places))
    return dict(zip(("churn", "orders", "amount"), draws, strict=True))
