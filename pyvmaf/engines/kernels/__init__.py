"""Own kernels for features of libvmaf: equal to its plain C to the last bit, and faster."""
