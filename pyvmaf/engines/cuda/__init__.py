"""Kernels on devices of CUDA: VIF, ADM and motion, equal to those of the processor to the last bit."""
