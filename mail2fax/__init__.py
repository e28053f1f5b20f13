"""mail2fax: an email-to-fax bridge. `docs/flow.md` tells the way of one message."""

__version__ = "0.1.0"
