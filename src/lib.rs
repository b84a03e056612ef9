//! `vgpuctl`: mediated devices and virtual GPUs, listed, created and brought back at boot.
