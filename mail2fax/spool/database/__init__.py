"""The spool's ground: one writer, SQLite's WAL, the schema and its migrations."""
