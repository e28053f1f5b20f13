"""Settings: one TOML file and the environment, read once, typed and strict."""
