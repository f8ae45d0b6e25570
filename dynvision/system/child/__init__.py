"""The computing child: a process that runs library functions for one that must outlive them."""
