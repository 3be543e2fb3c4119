-- Stands in for the cluster's CUDA module: the variables are set, the toolkit itself is not there.
whatis("Name: CUDA")
whatis("Version: 12.1.1")
conflict("CUDA")
local root = "/usr/local/cuda"
setenv("EBROOTCUDA", root)
setenv("EBVERSIONCUDA", "12.1.1")
setenv("CUDA_HOME", root)
prepend_path("PATH", pathJoin(root, "bin"))
prepend_path("LD_LIBRARY_PATH", pathJoin(root, "lib64"))
