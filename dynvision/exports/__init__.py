"""Results for other programs: netCDF files, as a tree of layers or as an assembly of neuroids."""
