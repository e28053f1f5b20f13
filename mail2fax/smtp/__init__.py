"""Step 1 of 5: everything a mail client hears, up to the 250 after a mail is durable."""
