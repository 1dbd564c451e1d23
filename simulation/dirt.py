"""Data errors of landing records: late, duplicated, misspelt, impossible or missing. All rates are declared here."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakehouse.arrays import Times
from simulation.behaviour import CONTACT_KINDS, Behaviour, CustomerEvents
from simulation.effects import STATES
from simulation.people import CHANNELS, People
from simulation.places import Places

STATE_MISSPELT, STATE_MISSING = 0.12, 0.01
BIRTH_MISSING, BIRTH_IMPOSSIBLE = 0.02, 0.005
PLACE_MISSING, PLACE_UNKNOWN = 0.01, 0.003
CHANNEL_MISSPELT, CHANNEL_MISSING = 0.05, 0.02
CUSTOMER_TWICE, ORDER_TWICE = 0.01, 0.005
ORDER_LATE, LATEST_DAYS = 0.02, 30
ORDER_BEFORE_SIGN_UP = 0.003
AMOUNT_IMPOSSIBLE, AMOUNT_MISSING = 0.002, 0.001

NO_PLACE = "0000000"
IMPOSSIBLE_BIRTHS = np.asarray(["1850-01-01", "1899-12-31", "2030-06-15"], dtype="datetime64[D]")
SHORT = ("BW", "BY", "BE", "BB", "HB", "HH", "HE", "MV", "NI", "NW", "RP", "SL", "SN", "ST", "SH", "TH")

TIME = pa.timestamp("us", tz="UTC")
CUSTOMERS = pa.schema(
    {
        "customer_id": pa.int64(),
        "birth_date": pa.date32(),
        "kommune": pa.string(),
        "state": pa.string(),
        "signed_up_at": TIME,
        "channel": pa.string(),
        "known_at": TIME,
    }
)
ORDERS = pa.schema(
    {"order_id": pa.int64(), "customer_id": pa.int64(), "ordered_at": TIME, "amount": pa.float64(), "known_at": TIME}
)
CONTACTS = pa.schema(
    {"contact_id": pa.int64(), "customer_id": pa.int64(), "contacted_at": TIME, "kind": pa.string(), "known_at": TIME}
)


def spellings(state: str, short: str) -> tuple[str, ...]:
    """Spellings of a state, the official one first.

    >>> spellings("Thüringen", "TH")
    ('Thüringen', 'THÜRINGEN', 'thüringen', 'Thueringen', ' Thüringen ', 'TH')
    """
    plain = state.replace("ü", "ue")
    return (state, state.upper(), state.lower(), plain, f" {state} ", short)


_SPELLINGS = np.asarray([spellings(state, short) for state, short in zip(STATES, SHORT, strict=True)])


def customers(random: np.random.Generator, people: People, places: Places) -> pa.Table:
    """One record for each sign-up and each move, some of them duplicated."""
    moved = np.flatnonzero(~np.isnat(people.moved_at))
    person = np.concatenate([np.arange(len(people)), moved])
    home = np.concatenate([people.home, people.new_home[moved]])
    known_at = np.concatenate([people.signed_up_at, people.moved_at[moved]])
    twice = np.flatnonzero(random.random(len(person)) < CUSTOMER_TWICE)
    person, home, known_at = (np.concatenate([part, part[twice]]) for part in (person, home, known_at))
    size = len(person)
    birth = people.birth[person]
    impossible = random.random(size) < BIRTH_IMPOSSIBLE
    birth = np.where(impossible, random.choice(IMPOSSIBLE_BIRTHS, size), birth)
    writing = np.where(random.random(size) < STATE_MISSPELT, random.integers(1, _SPELLINGS.shape[1], size), 0)
    code = np.where(random.random(size) < PLACE_UNKNOWN, NO_PLACE, places.codes[home])
    channel = np.asarray(CHANNELS)[people.channel[person]]
    channel = np.where(random.random(size) < CHANNEL_MISSPELT, np.char.upper(np.char.add(channel, " ")), channel)
    return _landed(
        CUSTOMERS,
        [
            pa.array(people.ids[person]),
            _with_gaps(random, birth, BIRTH_MISSING),
            _with_gaps(random, code, PLACE_MISSING),
            _with_gaps(random, _SPELLINGS[places.states[home], writing], STATE_MISSING),
            pa.array(people.signed_up_at[person]),
            _with_gaps(random, channel, CHANNEL_MISSING),
            pa.array(known_at),
        ],
    )


def orders(random: np.random.Generator, people: People, behaviour: Behaviour, first_id: int) -> pa.Table:
    """Every order, numbered from `first_id`; some late, duplicated, before the sign-up, or with a wrong amount."""
    events = behaviour.orders
    early = random.random(len(events.at)) < ORDER_BEFORE_SIGN_UP
    days_before = random.integers(1, 60, len(events.at)).astype("timedelta64[D]")
    at = np.where(early, people.signed_up_at[events.person] - days_before, events.at)
    amount = np.where(random.random(len(at)) < AMOUNT_IMPOSSIBLE, -events.value, events.value)
    columns = [
        pa.array(first_id + np.arange(len(at))),
        pa.array(people.ids[events.person]),
        pa.array(at),
        _with_gaps(random, amount, AMOUNT_MISSING),
        # An order dated before the sign-up arrives as if its date were correct.
        pa.array(_arrival(random, events)),
    ]
    landed = _landed(ORDERS, columns)
    twice = np.flatnonzero(random.random(len(at)) < ORDER_TWICE)
    return pa.concat_tables([landed, landed.take(twice)])


def contacts(random: np.random.Generator, people: People, behaviour: Behaviour, first_id: int) -> pa.Table:
    """Every contact, numbered from `first_id`."""
    events = behaviour.contacts
    kind = np.asarray(CONTACT_KINDS)[events.value.astype(np.int64)]
    at, person = pa.array(events.at), people.ids[events.person]
    return _landed(CONTACTS, [pa.array(first_id + np.arange(len(kind))), pa.array(person), at, pa.array(kind), at])


def _arrival(random: np.random.Generator, events: CustomerEvents) -> Times:
    late = random.random(len(events.at)) < ORDER_LATE
    delay = np.where(
        late, random.integers(86_400, LATEST_DAYS * 86_400, len(late)), random.integers(1, 3_600, len(late))
    )
    return np.asarray(events.at + delay.astype("timedelta64[s]"))


def _with_gaps(random: np.random.Generator, values: npt.NDArray[np.generic], share: float) -> pa.Array:
    return pa.array(values, mask=random.random(len(values)) < share)


def _landed(schema: pa.Schema, columns: list[pa.Array]) -> pa.Table:
    cast = [column.cast(field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(cast, schema=schema)
