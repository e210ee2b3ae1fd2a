"""libvmaf's CUDA path as it is: an engine of its own, because its numbers are not those of the processor."""
