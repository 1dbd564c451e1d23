"""Everything a run of monitoring leaves behind: table, alerts, report and metrics."""
