"""The dbt adapter `embedded`: Sail in process, or any Spark Connect server, on Delta tables in a folder."""

from dbt.adapters.base.plugin import AdapterPlugin
from dbt.adapters.embedded.connections import EmbeddedCredentials
from dbt.adapters.embedded.impl import EmbeddedAdapter
from dbt.include import embedded

Plugin = AdapterPlugin(
    adapter=EmbeddedAdapter,  # type: ignore[arg-type]  # dbt's protocol fits none of dbt's own adapters either
    credentials=EmbeddedCredentials,
    include_path=embedded.PACKAGE_PATH,
    dependencies=["sail"],
)
