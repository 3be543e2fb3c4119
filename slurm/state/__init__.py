"""How a run is going: what was submitted, where each job stands, and which files say so."""
