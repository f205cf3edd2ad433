//! `aya::Pod` for values of maps and globals.
#![expect(unsafe_code, reason = "aya::Pod is an unsafe trait")]

use crate::runtime::Runtime;
use crate::settings::Settings;
use crate::watch::Policy;

// SAFETY: `repr(C)`, all fields are integers, zerocopy's `IntoBytes` proves there is no padding.
unsafe impl aya::Pod for Settings {}
// SAFETY: as above.
unsafe impl aya::Pod for Policy {}
// SAFETY: as above.
unsafe impl aya::Pod for Runtime {}
