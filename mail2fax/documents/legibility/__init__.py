"""What the other machine prints: is each page legible there, and if not, made ready for a fax."""
