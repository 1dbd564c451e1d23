"""Names that a proposal's files share, and the files' paths."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from training.init.proposing.proposal import Proposal

MODELS = PurePosixPath("dbt_project/models")
LANDING = PurePosixPath("dbt_project/landing")
USE_CASES = PurePosixPath("training/use_cases")


@dataclass(frozen=True)
class Names:
    """Names of models, key and time.

    Attributes:
        name: name of the use case.
        key: columns of the entity; one column of row numbers if the table has no key.
        time: column of the time.
    """

    name: str
    key: tuple[str, ...]
    time: str

    @classmethod
    def of(cls, proposal: Proposal) -> "Names":
        """Names of a proposal; those that the table has already get a number."""
        taken = {column.name for column in proposal.table.columns}
        key = proposal.identity.key or (_free("row_id", taken),)
        return cls(proposal.name, key, proposal.identity.time or _free("as_of", taken))

    @property
    def raw(self) -> str:
        """The landing model."""
        return f"raw_{self.name}"

    @property
    def staging(self) -> str:
        """The cleaned model."""
        return f"stg_{self.name}"

    @property
    def features(self) -> str:
        """The feature table."""
        return f"{self.name}_features"

    @property
    def labels(self) -> str:
        """The label table."""
        return f"{self.name}_labels"

    def index(self, column: str) -> str:
        """The category index of a column."""
        return f"{self.name}_{column}_index"


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else _free(f"{name}_{len(name)}", taken)
