"""The operator's page: people log in, look, and act. Off by default; `[web] operate` turns it on.

Apart from `web`, which promises that watching cannot hurt: here every request has a person behind it, every act is
asked once more in words, and stands in the history under that person's name.
"""
