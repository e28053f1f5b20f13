"""How fast, and by what it is bounded. `make bench` runs all of it; README.md says what each program measures."""
