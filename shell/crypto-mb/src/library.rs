//! Finding the library.
#![expect(unsafe_code, reason = "the interface of a C library")]

use std::ffi::{CStr, c_char};

use crate::api::Manager;
use crate::manager::Managed;

/// The library, loaded; it stays loaded while anybody holds it.
pub(crate) struct Library {
    alloc: unsafe extern "C" fn(u64) -> *mut Manager,
    free: unsafe extern "C" fn(*mut Manager),
    init: unsafe extern "C" fn(*mut Manager, *mut u32),
    version: String,
    /// Keeps the code of the functions above in memory.
    _handle: libloading::Library,
}

/// Why the library is not used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not there, or not what it says.
    #[error("libipsec-mb is not installed ({0}); on Debian it is the package libipsec-mb1")]
    Missing(#[from] libloading::Error),
    /// Its interface is not known.
    #[error("libipsec-mb {0} is installed; only version 1.3 is known here")]
    Version(String),
    /// It has no memory, or no code for this processor.
    #[error("libipsec-mb does not work on this processor")]
    Processor,
    /// It computes something else than the other provider.
    #[error("libipsec-mb computes a wrong result for {0}")]
    Wrong(&'static str),
}

impl Library {
    /// Loads what `dlopen` finds.
    pub(crate) fn load() -> Result<Self, LoadError> {
        // SAFETY: the library's initialisers only fill tables of its own; it is the system's library
        // of this name, trusted like the system's C library.
        let handle = unsafe { libloading::Library::new(NAME)? };
        // SAFETY: these are functions of the library since version 0.5x with these signatures
        // (intel-ipsec-mb.h); `imb_get_version_str` returns a static string.
        unsafe {
            let version =
                handle.get::<unsafe extern "C" fn() -> *const c_char>(b"imb_get_version_str\0")?;
            let version = CStr::from_ptr(version()).to_string_lossy().into_owned();
            if !version.starts_with(VERSION_PREFIX) {
                return Err(LoadError::Version(version));
            }
            Ok(Self {
                alloc: *handle.get(b"alloc_mb_mgr\0")?,
                free: *handle.get(b"free_mb_mgr\0")?,
                init: *handle.get(b"init_mb_mgr_auto\0")?,
                version,
                _handle: handle,
            })
        }
    }

    /// A manager for one thread.
    pub(crate) fn manager(&self) -> Option<std::ptr::NonNull<Manager>> {
        // SAFETY: `alloc` takes flags and returns memory of its own or null; `init` fills such memory
        // and writes one number.
        unsafe {
            let manager = std::ptr::NonNull::new((self.alloc)(0))?;
            let mut architecture = 0;
            (self.init)(manager.as_ptr(), &raw mut architecture);
            if architecture == NO_ARCHITECTURE {
                (self.free)(manager.as_ptr());
                return None;
            }
            Some(manager)
        }
    }

    /// # Safety
    /// `manager` is of [`Library::manager`] of this library and is not used any more.
    pub(crate) unsafe fn free(&self, manager: std::ptr::NonNull<Manager>) {
        // SAFETY: the caller's.
        unsafe { (self.free)(manager.as_ptr()) }
    }

    /// Version and instruction set.
    pub(crate) fn describe(self: &std::sync::Arc<Self>) -> Result<String, LoadError> {
        let manager = Managed::new(self).ok_or(LoadError::Processor)?;
        let set = match manager.architecture() {
            2 => "SSE",
            3 => "AVX",
            4 => "AVX2",
            5 => "AVX-512",
            _ => "no vector instructions",
        };
        Ok(format!("libipsec-mb {} ({set})", self.version))
    }
}

/// The name that every version with this binary interface has.
const NAME: &str = "libIPSec_MB.so.1";
/// Later versions lay out jobs otherwise.
const VERSION_PREFIX: &str = "1.3.";
/// `IMB_ARCH_NONE`.
const NO_ARCHITECTURE: u32 = 0;
