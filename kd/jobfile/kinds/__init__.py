"""One file per kind of stage, named like it: everything that the kind is, except the code that its job runs."""
