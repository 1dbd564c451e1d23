"""Landing sources whose columns have types of their own: Parquet, JSON lines, Excel, tables of databases, Delta."""
