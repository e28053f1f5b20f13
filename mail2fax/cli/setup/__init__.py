"""`mail2fax init`: from a few answers to settings, secrets, a user and a unit that work."""
