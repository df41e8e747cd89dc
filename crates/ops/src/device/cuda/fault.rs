//! What the driver, cuDNN and cuBLAS said, as [`DeviceFault`].
//!
//! For this module. A fault names the call; memory that is full says how much there is.

use std::ffi::{CStr, c_char};

use cudarc::cublas::sys::{self as cublas, cublasStatus_t};
use cudarc::cudnn::result::CudnnError;
use cudarc::cudnn::sys::{self as cudnn, cudnnStatus_t};
use cudarc::driver::DriverError;
use cudarc::driver::result::mem_get_info;
use cudarc::driver::sys::CUresult;

use crate::device::{DeviceFault, Result};

/// Bytes that cuDNN may write of what went wrong last.
const CUDNN_WORDS: usize = 512;

/// A fault of a call of the driver.
pub(super) fn of_driver(call: &'static str) -> impl Fn(DriverError) -> DeviceFault {
    of_allocation(call, 0)
}

/// A fault of a call of the driver that needs `asked` bytes.
pub(super) fn of_allocation(
    call: &'static str,
    asked: usize,
) -> impl Fn(DriverError) -> DeviceFault {
    move |error| {
        if error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY {
            return out_of_memory(asked);
        }
        let problem = words_of(&error);
        DeviceFault::Library { call, problem }
    }
}

/// Refuses a status of cuDNN that is no success; the call needed `asked` bytes.
pub(super) fn check_cudnn(call: &'static str, asked: usize, status: cudnnStatus_t) -> Result<()> {
    (status.result()).map_err(|error| of_cudnn(call, asked, error))
}

/// A fault of a call of cuDNN that needs `asked` bytes.
pub(super) fn of_cudnn(call: &'static str, asked: usize, error: CudnnError) -> DeviceFault {
    match error.0 {
        cudnnStatus_t::CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED => out_of_memory(asked),
        status => DeviceFault::Library {
            call,
            problem: format!("{status:?}{}", last_words_of_cudnn()),
        },
    }
}

/// Refuses a status of cuBLAS that is no success; the call needed `asked` bytes.
pub(super) fn check_cublas(call: &'static str, asked: usize, status: cublasStatus_t) -> Result<()> {
    match status {
        cublasStatus_t::CUBLAS_STATUS_SUCCESS => Ok(()),
        cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED => Err(out_of_memory(asked)),
        status => {
            // SAFETY: the library gives a string that it keeps, for every status.
            let words = unsafe { CStr::from_ptr(cublas::cublasGetStatusString(status)) };
            Err(DeviceFault::Library {
                call,
                problem: format!("{status:?}: {}", words.to_string_lossy()),
            })
        }
    }
}

/// A call that may not be recorded.
pub(super) fn recorded(call: &'static str, why: &str) -> DeviceFault {
    DeviceFault::Library {
        call,
        problem: format!("called while work is recorded; {why}"),
    }
}

/// A size beyond what a library counts in.
pub(super) fn too_large(call: &'static str, what: &str, found: usize) -> DeviceFault {
    DeviceFault::Shape {
        call,
        problem: format!("{found} {what} are more than the device's libraries count"),
    }
}

fn out_of_memory(asked: usize) -> DeviceFault {
    // Where even this fails, nothing is known to be free.
    let (free, total) = mem_get_info().unwrap_or_default();
    DeviceFault::OutOfMemory {
        asked: asked as u64,
        free: free as u64,
        total: total as u64,
    }
}

/// Name and meaning of an error of the driver.
pub(super) fn words_of(error: &DriverError) -> String {
    let name = error.error_name().map(CStr::to_string_lossy);
    let meaning = error.error_string().map(CStr::to_string_lossy);
    match (name, meaning) {
        (Ok(name), Ok(meaning)) => format!("{name}: {meaning}"),
        _ => format!("{:?}", error.0),
    }
}

/// What cuDNN has to say beside a status, if anything.
fn last_words_of_cudnn() -> String {
    let mut words = [0_u8; CUDNN_WORDS];
    // SAFETY: the library writes at most so many bytes, the last one a 0.
    unsafe { cudnn::cudnnGetLastErrorString(words.as_mut_ptr().cast::<c_char>(), words.len()) };
    match CStr::from_bytes_until_nul(&words) {
        Ok(words) if !words.is_empty() => format!(": {}", words.to_string_lossy()),
        _ => String::new(),
    }
}
