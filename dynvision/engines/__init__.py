"""Where calls of library functions are computed: here, on all cores and GPUs of a machine, or on a cluster."""
