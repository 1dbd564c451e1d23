"""Large requests of records with known fields, decoded as columns.

A decoder of the fields of a version makes no dictionary of a record. It takes a part of what `decode` and `parse`
take, and gives the same request; they decode the rest, and find the reason of a refusal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

import msgspec
from msgspec import UNSET, UnsetType

from deployment.model_server.http.scoring_request import ScoringRequest
from scoring.encoder import Encoder
from scoring.hooks.fields import Kind
from scoring.record_table import RecordTable

LARGE_BODY = 4096  # bytes of about a dozen records, from which columns are faster
_INTEGER = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # larger ones are a float to the other decoder
_TYPES: Mapping[Kind, Any] = {
    "boolean": bool | None,
    "integer": _INTEGER | float | None,
    "number": _INTEGER | float | None,
    "text": str | None,
}


@dataclass(frozen=True)
class RecordDecoder:
    """Decodes `dataframe_records` whose records have exactly these fields.

    Attributes:
        fields: name and kind of each field.
    """

    fields: tuple[tuple[str, Kind], ...]

    @classmethod
    def of(cls, encoder: Encoder) -> Self | None:
        """The decoder of the raw fields that an encoder reads; None if a name cannot be that of an attribute."""
        kinds = {encoding.column: encoding.field_kind for encoding in encoder.encodings}
        plain = all(name.isidentifier() and not name.startswith("_") for name in kinds)
        return cls(tuple(kinds.items())) if plain else None

    def request(self, body: bytes, max_rows: int) -> ScoringRequest | None:
        """The request, or None if it has another form, or anything is wrong with it."""
        try:
            content = self._decoder.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return None
        records, request_id = content.dataframe_records, content.client_request_id
        keys = 1 + (request_id is not UNSET) + len(records) * len(self.fields)
        # Each key has one colon. More of them mean a duplicate key, or a colon within a text.
        if not 1 <= len(records) <= max_rows or body.count(b":") != keys:
            return None
        values = zip(*map(msgspec.structs.astuple, records), strict=True)
        columns = dict(zip((name for name, _ in self.fields), values, strict=True))
        rows = RecordTable(columns, lambda: list(map(msgspec.structs.asdict, records)))
        return ScoringRequest(rows, client_request_id=None if request_id is UNSET else request_id)

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        fields = [(name, _TYPES[kind]) for name, kind in self.fields]
        record = msgspec.defstruct("Record", fields, gc=False, forbid_unknown_fields=True)
        content = msgspec.defstruct(
            "Content",
            [("dataframe_records", list[record]), ("client_request_id", str | UnsetType, UNSET)],  # type: ignore[valid-type]
            forbid_unknown_fields=True,
        )
        return msgspec.json.Decoder(content)
