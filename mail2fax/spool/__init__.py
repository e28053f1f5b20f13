"""Every accepted mail and fax, durable: the only door to the database and to the contents beside it."""
