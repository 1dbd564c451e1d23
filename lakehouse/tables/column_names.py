"""Column names of a table for the fields of a response, whose class names may be any text."""

import re
from collections.abc import Iterable

_REFUSED = re.compile(r"[ ,;{}()\n\t=]+")  # characters that Delta refuses


def column_names(fields: Iterable[str]) -> dict[str, str]:
    """The column of each field: characters that Delta refuses become `_`; a name that is taken gets a number.

    Delta compares names without regard to case.

    >>> column_names(["an oak", "an_oak", "elm's"])
    {'an oak': 'an_oak_2', 'an_oak': 'an_oak', "elm's": "elm's"}
    """
    fields = list(fields)
    names, taken = dict.fromkeys(fields, ""), set[str]()
    for field in sorted(fields, key=lambda field: _REFUSED.search(field) is not None):  # plain names keep theirs
        name = plain = _REFUSED.sub("_", field) or "_"
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.lower())
        names[field] = name
    return names
