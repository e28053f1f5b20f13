"""The way out: one mail is handed to the outgoing mail server."""
