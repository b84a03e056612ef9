#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| vgpuctl_fuzz::run("imports", input));
