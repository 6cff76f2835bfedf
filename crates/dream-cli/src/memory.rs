//! How much memory this process had resident at most.

/// Peak in MiB; 0 where the system does not say.
pub fn peak_rss_mib() -> u64 {
    peak_rss_bytes().unwrap_or(0) >> 20
}

/// Peak in bytes since the process began or [`forget_peak`], where the system says.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// Counts the peak from what is resident now; where the system cannot, nothing happens.
pub fn forget_peak() {
    // proc(5): 5 resets the peak resident set size.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
