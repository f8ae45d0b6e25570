"""Response stores: what a store holds, how it is written block by block, resumed, read back and opened."""
