"""May this be faxed, and when is it tried again: pure rules, without network, clock or database."""
