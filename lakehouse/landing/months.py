"""Names of months in English and German, in full and short."""

import pyarrow as pa
import pyarrow.compute as pc

# Longer names first, as a pattern needs them.
NAMES = (
    ("january", "januar", "jänner", "jan", "jän"),
    ("february", "februar", "feb"),
    ("march", "märz", "mar", "mär", "mrz"),
    ("april", "apr"),
    ("may", "mai"),
    ("june", "juni", "jun"),
    ("july", "juli", "jul"),
    ("august", "aug"),
    ("september", "sept", "sep"),
    ("october", "oktober", "oct", "okt"),
    ("november", "nov"),
    ("december", "dezember", "dec", "dez"),
)
_POSITIONS = {name: position for position, names in enumerate(NAMES, 1) for name in names}


def month_numbers(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """Number of each month, from 1; NULL where the name is unknown. A point behind a short name is left out."""
    plain = pc.utf8_rtrim(pc.utf8_lower(names), ".")
    found = pc.index_in(plain, value_set=pa.array(list(_POSITIONS)))
    return pc.take(pa.array(list(_POSITIONS.values())), found)
