"""Making a network: taking it as it is, or training it, also on from where a training was interrupted."""
