"""The user's own code: read as syntax trees, identified, frozen with a run, and imported in jobs alone."""
