"""Step 2's inside: a mail becomes letter pages, in a process of its own. Forked workers load this: it stays empty."""
