#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dream_fuzz::training_formats(bytes));
