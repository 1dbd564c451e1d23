"""Declaration of a forecast: the features that describe the series of a row at its origin."""

from collections.abc import Sequence

from pydantic import Field

from lakehouse.declaration import Declaration
from lakehouse.errors import nearest
from training.models import FAMILIES


class SeriesHistory(Declaration):
    """The last values of a series before its origin, each a feature in scales above the level.

    Attributes:
        prefix: name of each feature before its number: the steps before the origin, from 1.
        length: count of the values.
    """

    prefix: str = Field(min_length=1)
    length: int = Field(ge=2, le=1_000)

    @property
    def features(self) -> tuple[str, ...]:
        """The features, the oldest value first.

        >>> SeriesHistory(prefix="days_ago_", length=3).features
        ('days_ago_3', 'days_ago_2', 'days_ago_1')
        """
        return tuple(f"{self.prefix}{ago}" for ago in range(self.length, 0, -1))


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
        history: the last values of the series in order, which networks read.
    """

    level: str = Field(min_length=1)
    scale: str = Field(min_length=1)
    season: str = Field(min_length=1)
    step: str = Field(min_length=1)
    fits: dict[str, str] = Field(default_factory=dict)
    history: SeriesHistory | None = None

    @property
    def roles(self) -> dict[str, str]:
        """The feature of each role that every forecast has."""
        return self.model_dump(exclude={"fits", "history"})


def unreadable(declared: ForecastColumns, families: Sequence[str]) -> str | None:
    """Describe a fit of no such family, or a family without what it reads; None if there is neither."""
    known = [name for name, family in FAMILIES.items() if family.reads_fit]
    for method in declared.fits:
        if method not in known:
            return f"forecast.fits names {method}, which no series is fitted by. {nearest(method, known)}"
    for name in families:
        if FAMILIES[name].reads_fit and name not in declared.fits:
            return f"search.families has {name}, whose forecast is a feature: name it in forecast.fits.{name}"
        if FAMILIES[name].reads_history and declared.history is None:
            return (
                f"search.families has {name}, which reads the last values of a series in order: declare their "
                "features as forecast.history"
            )
    return None
