"""The seasonal naive forecast: a later time repeats the last known one of its season."""

from scoring.forecasts.column_forecast import ColumnForecast


class SeasonalNaive(ColumnForecast):
    """The column with the last known value of the same season.

    Attributes:
        season: the column; None if the rows lack it.
    """

    def __init__(self, season: int | None) -> None:
        self.season = season

    @property
    def column(self) -> int | None:  # type: ignore[override]  # registered versions name it `season`
        """The column with the forecast."""
        return self.season
