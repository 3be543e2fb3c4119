"""From result files to report.json, tables and figures. Reads JSON and CSV only."""
