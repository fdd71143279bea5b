//! A configuration's text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::config::EnsembleConfig;

fuzz_target!(|text: &str| {
    if let Ok(config) = text.parse::<EnsembleConfig>() {
        assert_eq!(config.to_string().parse(), Ok(config));
    }
    let _ = EnsembleConfig::joining(text);
    let _ = EnsembleConfig::leaving(text);
});
