"""How long tests wait for what must come: it costs nothing where it comes, and a busy machine is no fault of ours."""

PATIENCE = 60.0  # seconds
