"""How the images of class groups are kept and opened, one module (or folder) a store.

A new store is a module here that defines `STORE`: a subclass of `ImageStore`, or of `WrittenStore` if the processed
stage writes its files. `image_store` in config_data.yaml names the module; without it `use_ffcv` chooses one of two.
"""
