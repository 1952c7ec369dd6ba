//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

/// Below Linux's range of ephemeral ports (32768–60999): there an outgoing connection could take the port between the moment
/// it is found free and the moment its program binds it.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// Each process starts at a place of its own, so that two test binaries at once seldom meet.
static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    AtomicU32::new(std::process::id().wrapping_mul(7919).wrapping_add(nanos / 1000) % COUNT)
});

/// A port that nothing listens on now and that this process has not given out before.
///
/// # Errors
/// None of the 12,000 ports is free.
pub fn free() -> Result<u16> {
    for _ in 0..COUNT {
        let port = u16::try_from(FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port from {FIRST} to {}", FIRST + COUNT)
}
