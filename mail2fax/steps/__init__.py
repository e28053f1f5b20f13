"""Steps 2 to 5, and the loop that drives them: prepare, submit, poll, reply."""
