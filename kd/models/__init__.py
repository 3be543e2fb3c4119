"""Networks, one family per file; each public function is a model of the catalogue."""
