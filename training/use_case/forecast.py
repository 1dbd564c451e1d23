"""Declaration of a forecast: the features that describe the series of a row at its origin."""

from pydantic import Field

from lakehouse.declaration import Declaration


class ForecastColumns(Declaration):
    """Features of a forecast's rows. A row is a series at an origin, and one step of the horizon.

    Models learn (label - level) / scale, so that large and small series are alike.

    Attributes:
        level: level of the series at the origin, in the unit of the label.
        scale: error of the seasonal naive forecast in the history, in the unit of the label, above 0: the
            denominator of MASE.
        season: last known value of the season of the step, in scales above the level: the seasonal naive forecast.
        step: steps from the origin to the row's time, from 0; bounds are measured at each step.
    """

    level: str = Field(min_length=1)
    scale: str = Field(min_length=1)
    season: str = Field(min_length=1)
    step: str = Field(min_length=1)
