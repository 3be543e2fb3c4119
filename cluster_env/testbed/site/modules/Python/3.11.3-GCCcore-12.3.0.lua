-- Stands in for the cluster's Python module: offers this machine's own Python, whatever its version.
-- Template, see slurm.conf.
whatis("Name: Python")
whatis("Version: 3.11.3-GCCcore-12.3.0")
conflict("Python")
local root = "@PYTHON@"
setenv("EBROOTPYTHON", root)
setenv("EBVERSIONPYTHON", "3.11.3")
prepend_path("PATH", pathJoin(root, "bin"))
