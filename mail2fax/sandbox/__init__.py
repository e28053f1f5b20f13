"""A stand-in for the fax provider's API, as a server."""
