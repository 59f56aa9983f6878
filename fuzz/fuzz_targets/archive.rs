#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| node_red_cluster_core::fuzzing::archive(data));
