"""Large requests of records with known fields, decoded as one array of codes.

A decoder of the fields of a version makes no dictionary of a record. It takes a part of what `decode` and `parse`
take, and gives the same request; they decode the rest, and find the reason of a refusal.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, EnumMeta
from functools import cached_property
from itertools import repeat
from typing import Annotated, Any, Self, cast

import msgspec
import numpy as np
import orjson
from msgspec import UNSET, UnsetType

from deployment.model_server.http.scoring_request import ScoringRequest
from lakehouse.arrays import Floats
from scoring.encoder import Encoder
from scoring.encodings.field_types import BOOLEANS, NO_PLACE, ChoiceField, FieldType, NumberField, RequestFields
from scoring.record_table import RecordTable

LARGE_BODY = 4096  # bytes of about a dozen records, from which columns are faster
MANY_CHOICES = 256  # from here on, places are looked up after decoding: a class of so many members takes long to make
_COLON, _RECORDS = ord(":"), "dataframe_records"


@dataclass(frozen=True, eq=False)
class RecordDecoder:
    """Decodes `dataframe_records` whose records have exactly these fields, with values of their types."""

    fields: RequestFields

    @classmethod
    def of(cls, encoder: Encoder) -> Self | None:
        """The decoder of the raw fields that an encoder reads.

        None if the values of a field have no type, or its name cannot be that of an attribute.
        """
        fields = encoder.request_fields
        if fields is None or not all(name.isidentifier() and not name.startswith("_") for name in fields.names):
            return None
        decoder = cls(fields)
        _ = decoder._decoder, decoder._looked_up  # made here, where nobody waits for a response
        return decoder

    def request(self, body: bytes, max_rows: int) -> ScoringRequest | None:
        """The request, or None if it has another form, or anything is wrong with it."""
        try:
            content = self._decoder.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return None
        records, request_id = content.dataframe_records, content.client_request_id
        keys = 1 + (request_id is not UNSET) + len(records) * len(self.fields.names)
        # Each key has one colon. More of them mean a duplicate key, or a colon within a text.
        if not 1 <= len(records) <= max_rows or np.count_nonzero(np.frombuffer(body, np.uint8) == _COLON) != keys:
            return None
        codes = self._codes(records)
        if codes is None:
            return None
        rows = RecordTable(self.fields, codes, lambda: cast(list[dict[str, Any]], orjson.loads(body)[_RECORDS]))
        return ScoringRequest(rows, client_request_id=None if request_id is UNSET else request_id)

    def _codes(self, records: Sequence[Any]) -> Floats | None:
        """(records, fields) codes; None if a whole number has a fraction, or a choice no place."""
        values, as_tuple, width = list[Any](), msgspec.structs.astuple, len(self.fields.names)
        for record in records:
            values += as_tuple(record)
        for at, places, elsewhere in self._looked_up:
            found = list(map(places.get, values[at::width], repeat(elsewhere)))
            if None in found:
                return None
            values[at::width] = found
        try:
            codes = _array(values).reshape(-1, width)
        except struct.error:  # some are null
            codes = _array([math.nan if value is None else value for value in values]).reshape(-1, width).copy()
            choices = codes[:, self.fields.numbers :]
            choices[np.isnan(choices)] = NO_PLACE
        whole = codes[:, : self.fields.whole]
        fractions = whole != np.trunc(whole)
        return None if fractions.any() and (fractions & ~np.isnan(whole)).any() else codes

    @cached_property
    def _looked_up(self) -> list[tuple[int, Mapping[str | None, float], float | None]]:
        """Fields with many choices: where they are in a record, the code of each choice, and that of other text."""
        return [
            (
                at,
                {value: float(place) for place, value in enumerate(each.values)}
                | ({None: float(NO_PLACE)} if each.nullable else {}),
                float(NO_PLACE) if each.is_open else None,
            )
            for at, each in enumerate(self.fields.types.values())
            if isinstance(each, ChoiceField) and _is_looked_up(each)
        ]

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        fields = [(name, _decoded_type(each)) for name, each in self.fields.types.items()]
        record = msgspec.defstruct("Record", fields, gc=False, forbid_unknown_fields=True)
        content = msgspec.defstruct(
            "Content",
            [(_RECORDS, list[record]), ("client_request_id", str | UnsetType, UNSET)],  # type: ignore[valid-type]
            forbid_unknown_fields=True,
        )
        return msgspec.json.Decoder(content)


def _array(numbers: Sequence[float]) -> Floats:
    # `struct` is twice as fast as numpy here.
    return np.frombuffer(struct.pack(f"{len(numbers)}d", *numbers), np.float64)


def _is_looked_up(field: ChoiceField) -> bool:
    return field.values != BOOLEANS and not 1 <= len(field.values) <= MANY_CHOICES


def _decoded_type(field: FieldType) -> Any:
    """The type that msgspec decodes a value as, whose objects are the codes."""
    if isinstance(field, NumberField):
        kind: Any = Annotated[float, msgspec.Meta(ge=field.low, le=field.high)]
    elif _is_looked_up(field):
        kind = str
    else:
        kind = bool if field.values == BOOLEANS else _places(field)
    return kind | None if field.nullable else kind


class _Place(float, Enum):
    """A choice whose value is its text, and whose number is its place."""

    def __new__(cls, text: str, place: int) -> "_Place":
        member = float.__new__(cls, place)
        member._value_ = text
        return member


def _places(field: ChoiceField) -> Any:
    texts: Sequence[str] = field.values
    members = EnumMeta.__prepare__("Places", (_Place,))
    for place, text in enumerate(texts):
        members[f"at_{place}"] = text, place
    if field.is_open:
        members["elsewhere"] = max(texts, key=len) + "*", NO_PLACE  # the value of no other member
        members["_missing_"] = classmethod(lambda cls, text: cls.elsewhere)
    return EnumMeta("Places", (_Place,), members)
