"""What the other fax machine prints: mails through the bridge and over a real T.30 line, read back."""
