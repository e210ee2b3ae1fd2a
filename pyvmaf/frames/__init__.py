"""Stage frames: pictures sampled from clips, encodes, pairs and folders of images, for models that look at pixels."""
