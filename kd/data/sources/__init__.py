"""One file per data set; the public function of each is its entry in the catalogue."""
