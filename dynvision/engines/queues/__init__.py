"""Workers that are jobs of a batch system: Slurm, PBS, LSF, SGE, OAR and HTCondor."""
