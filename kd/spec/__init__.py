"""The job file: schema, YAML loading with exact error positions, and planning. Never imports torch."""
