"""Step 5's inside: the facts of a fax become a letter to its sender."""
