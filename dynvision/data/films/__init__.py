"""Films of stored images, and of images that nothing has been made from yet."""
