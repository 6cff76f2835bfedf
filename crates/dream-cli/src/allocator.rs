//! How the system's allocator treats a training step's matrices.

/// Keeps freed memory for the next step instead of giving each matrix's pages back to the system and
/// asking for them again: of the 77 processor seconds of a short bf16 run the system took 9.3, and 2.9 so.
/// One arena for all threads, so that what one thread freed serves another: 33 MiB of a step, no time.
///
/// Only glibc has these settings; elsewhere nothing happens.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Smaller blocks get no mapping of their own; the most that glibc accepts.
        const MAPPED_FROM_BYTES: libc::c_int = 32 << 20;
        const GIVEN_BACK_FROM_BYTES: libc::c_int = libc::c_int::MAX;
        // SAFETY: plain settings of the allocator, made before any thread starts.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, GIVEN_BACK_FROM_BYTES);
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
        use_huge_pages();
    }
}

/// Has the heap grow once by `HEAP_BYTES` of address space, which cost nothing until they are used, and
/// asks for pages of 2 MiB there: weights and activations then take a few hundred entries of the
/// processor's page tables instead of a few hundred thousand.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn use_huge_pages() {
    /// More than a gigabyte-sized model and its step take; what lies beyond has ordinary pages.
    const HEAP_BYTES: libc::c_int = 1 << 30;
    const HUGE_PAGE: usize = 2 << 20;
    const DEFAULT_TOP_PAD: libc::c_int = 128 << 10;
    // SAFETY: settings of the allocator and advice about pages that its heap has just been given, made
    // before any thread starts; where either is refused, everything goes on without.
    unsafe {
        libc::mallopt(libc::M_TOP_PAD, HEAP_BYTES);
        let start = libc::sbrk(0) as usize;
        libc::free(std::hint::black_box(libc::malloc(HUGE_PAGE)));
        libc::mallopt(libc::M_TOP_PAD, DEFAULT_TOP_PAD);
        let (first, end) = (start.next_multiple_of(HUGE_PAGE), libc::sbrk(0) as usize);
        if end > first {
            libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE);
        }
    }
}
