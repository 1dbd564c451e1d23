"""Declaration of a forecast: the features that describe the series of a row at its origin."""

from collections.abc import Mapping, Sequence

from pydantic import Field

from lakehouse.declaration import Declaration
from lakehouse.errors import nearest
from training.models import FAMILIES


class ForecastColumns(Declaration):
    """Features of a forecast's rows. A row is a series at an origin, and one step of the horizon.

    Models learn (label - level) / scale, so that large and small series are alike.

    Attributes:
        level: level of the series at the origin, in the unit of the label.
        scale: error of the seasonal naive forecast in the history, in the unit of the label, above 0: the
            denominator of MASE.
        season: last known value of the season of the step, in scales above the level: the seasonal naive forecast.
        step: steps from the origin to the row's time, from 0; bounds are measured at each step.
        fits: features with the forecast of a family that is fitted for each series at its origin, in scales above the
            level, by the name of the family.
    """

    level: str = Field(min_length=1)
    scale: str = Field(min_length=1)
    season: str = Field(min_length=1)
    step: str = Field(min_length=1)
    fits: dict[str, str] = Field(default_factory=dict)

    @property
    def roles(self) -> dict[str, str]:
        """The feature of each role that every forecast has."""
        return self.model_dump(exclude={"fits"})


def unfit_fits(fits: Mapping[str, str], families: Sequence[str]) -> str | None:
    """Describe a fit of no such family, or a family without its fit; None if there is neither."""
    known = [name for name, family in FAMILIES.items() if family.reads_fit]
    for method in fits:
        if method not in known:
            return f"forecast.fits names {method}, which no series is fitted by. {nearest(method, known)}"
    for name in families:
        if FAMILIES[name].reads_fit and name not in fits:
            return f"search.families has {name}, whose forecast is a feature: name it in forecast.fits.{name}"
    return None
