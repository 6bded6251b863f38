#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| team_agentd::fuzzing::events(data));
