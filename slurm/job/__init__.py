"""What runs inside a job: one attempt at one stage, from claiming its folder to publishing its result."""
