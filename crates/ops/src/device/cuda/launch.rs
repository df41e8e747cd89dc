//! Our own kernels: found by name in a module made from PTX, and launched with plain arguments.
//!
//! For the files that launch. A kernel for maps exists for f32 and for bf16; it is asked for by the
//! name that both share.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::fmt;
use std::sync::Arc;

use cudarc::driver::sys::{CUfunction, CUmodule};
use cudarc::driver::{CudaContext, DriverError, result};

use super::fault;
use super::grid::Grid;
use super::stream::Streams;
use crate::device::{DeviceFault, Precision, Result};

/// For cards from compute capability 8.0 on.
const PTX_80: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels_80.ptx"));
/// For cards from compute capability 9.0 on.
const PTX_90: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels_90.ptx"));

/// Kernels that are asked for by their own name: `cxr_<name>`.
const PLAIN: [&str; 31] = [
    "norm_moments_finish",
    "norm_running",
    "norm_of_running",
    "norm_gradient_finish",
    "norm_fixed_factors",
    "bias_gradient_finish",
    "scale",
    "add_bias",
    "column_sums",
    "bce",
    "root_of_sum",
    "squares_f32",
    "adam_f32",
    "planes_to_rows",
    "rows_to_planes",
    "plane_moment_sums",
    "plane_moments",
    "plane_norm_factors",
    "plane_normalize",
    "plane_gradient_sums",
    "plane_bias_gradient",
    "plane_norm_gradients",
    "plane_norm_backward",
    "plane_pool",
    "plane_pool_backward",
    "plane_means",
    "plane_spread",
    "relu",
    "relu_gradient",
    "times",
    "dropout",
];

/// Kernels for maps: `cxr_<name>_f32` and `cxr_<name>_bf16`.
const FOR_MAPS: [&str; 29] = [
    "norm_moments",
    "norm_apply_none",
    "norm_apply_map",
    "norm_apply_norm",
    "norm_gradient_sums_open",
    "norm_gradient_sums_norm",
    "norm_gradient_sums_map",
    "norm_backward_open",
    "norm_backward_norm",
    "norm_backward_map",
    "gate",
    "pool_forward_any",
    "pool_forward_2",
    "pool_forward_3",
    "pool_gradient_sums",
    "bias_gradient_sums",
    "pool_backward_plain_any",
    "pool_backward_plain_1",
    "pool_backward_plain_2",
    "pool_backward_norm_any",
    "pool_backward_norm_1",
    "pool_backward_norm_2",
    "mean_of_places",
    "spread_to_places",
    "round",
    "squares",
    "adam",
    "fill_pictures",
    "fill_planes",
];

/// One argument of a kernel, as its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Argument(u64);

/// An address of the card.
impl From<u64> for Argument {
    fn from(address: u64) -> Self {
        Self(address)
    }
}

/// A count in 64 bits.
impl From<usize> for Argument {
    fn from(count: usize) -> Self {
        Self(count as u64)
    }
}

// Of an argument of 32 bits the driver reads the first four bytes.
impl From<i32> for Argument {
    fn from(number: i32) -> Self {
        Self(u64::from(number.cast_unsigned()).to_le())
    }
}

impl From<u32> for Argument {
    fn from(number: u32) -> Self {
        Self(u64::from(number).to_le())
    }
}

impl From<f32> for Argument {
    fn from(number: f32) -> Self {
        Self(u64::from(number.to_bits()).to_le())
    }
}

impl From<f64> for Argument {
    fn from(number: f64) -> Self {
        Self(number.to_bits())
    }
}

/// A list of arguments, each of its own type.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => {
        &[$($crate::device::cuda::launch::Argument::from($argument)),*]
    };
}
pub(super) use arguments;

/// Every kernel of one precision, ready on a card.
pub(super) struct Kernels {
    context: Arc<CudaContext>,
    module: CUmodule,
    functions: HashMap<&'static str, CUfunction>,
}

// SAFETY: modules and functions belong to the context; every thread that has it may use them.
unsafe impl Send for Kernels {}
// SAFETY: as above; nothing of them is changed after they were loaded.
unsafe impl Sync for Kernels {}

impl fmt::Debug for Kernels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} kernels", self.functions.len())
    }
}

impl Kernels {
    /// Compiles the kernels for the card, or takes them from the driver's cache.
    pub(super) fn load(streams: &Streams, precision: Precision) -> Result<Self> {
        streams.bind("Cuda::new")?;
        let ptx = if streams.capability >= (9, 0) {
            PTX_90
        } else {
            PTX_80
        };
        let ptx = CString::new(ptx).map_err(|_| broken("the PTX"))?;
        // SAFETY: a text that ends with a 0.
        let module = unsafe { result::module::load_data(ptx.as_ptr().cast()) }
            .map_err(fault::of_driver("cuModuleLoadData of the kernels"))?;
        let mut kernels = Self {
            context: streams.context.clone(),
            module,
            functions: HashMap::new(),
        };
        for name in PLAIN {
            kernels.find(name, format!("cxr_{name}"))?;
        }
        let numbers = match precision {
            Precision::F32 | Precision::Tf32 => "f32",
            Precision::Bf16 => "bf16",
        };
        for name in FOR_MAPS {
            kernels.find(name, format!("cxr_{name}_{numbers}"))?;
        }
        Ok(kernels)
    }

    fn find(&mut self, name: &'static str, symbol: String) -> Result<()> {
        let symbol = CString::new(symbol).map_err(|_| broken(name))?;
        // SAFETY: a module that is loaded, and a name that ends with a 0.
        let function = unsafe { result::module::get_function(self.module, symbol) }
            .map_err(fault::of_driver(name))?;
        self.functions.insert(name, function);
        Ok(())
    }

    /// Puts the kernel `name` behind the work so far.
    ///
    /// The arguments are those of its definition in `kernels/`, with addresses of buffers that are
    /// long enough.
    pub(super) fn launch(
        &self,
        streams: &Streams,
        name: &'static str,
        grid: Grid,
        arguments: &[Argument],
    ) -> Result<()> {
        let function = self.functions.get(name).ok_or_else(|| broken(name))?;
        streams.bind(name)?;
        let mut pointers: Vec<*mut c_void> = arguments
            .iter()
            .map(|argument| std::ptr::from_ref(&argument.0).cast_mut().cast())
            .collect();
        let [x, y] = grid.blocks;
        let stream = streams.work.cu_stream();
        // SAFETY: the pointers outlive the call, which copies what they point to; the callers give
        // each kernel its arguments and have held buffers against shapes.
        let launched: std::result::Result<(), DriverError> = unsafe {
            result::launch_kernel(
                *function,
                (x, y, 1),
                (grid.threads, 1, 1),
                grid.shared,
                stream,
                &mut pointers,
            )
        };
        launched.map_err(fault::of_driver(name))?;
        streams.after(name)
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        self.context.record_err(self.context.bind_to_thread());
        // SAFETY: the module was loaded once and is unloaded once; what was launched before is
        // finished by the driver first.
        let unloaded = unsafe { result::module::unload(self.module) };
        self.context.record_err(unloaded);
    }
}

fn broken(name: &'static str) -> DeviceFault {
    DeviceFault::Library {
        call: name,
        problem: "no such kernel in this program".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: [&str; 8] = [
        include_str!("kernels/norm.cuh"),
        include_str!("kernels/pool.cuh"),
        include_str!("kernels/head.cuh"),
        include_str!("kernels/optimizer.cuh"),
        include_str!("kernels/input.cuh"),
        include_str!("kernels/turn.cuh"),
        include_str!("kernels/planes.cuh"),
        include_str!("kernels/elements.cuh"),
    ];

    /// Every word of the sources that begins like a kernel.
    fn words_of_sources() -> std::collections::BTreeSet<&'static str> {
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        SOURCES
            .iter()
            .flat_map(|source| source.split(move |c| !is_of_word(c)))
            .filter(|word| word.starts_with("cxr_"))
            .collect()
    }

    #[test]
    fn every_kernel_of_the_sources_is_listed_and_the_other_way_round() {
        let plain = PLAIN.iter().map(|name| format!("cxr_{name}"));
        let for_maps = FOR_MAPS
            .iter()
            .flat_map(|name| ["f32", "bf16"].map(|numbers| format!("cxr_{name}_{numbers}")));
        let listed: std::collections::BTreeSet<String> = plain.chain(for_maps).collect();
        let found: std::collections::BTreeSet<String> =
            words_of_sources().into_iter().map(str::to_owned).collect();
        assert_eq!(listed, found);
    }

    #[test]
    fn arguments_keep_the_bits_of_their_type_in_front() {
        let bytes = |argument: Argument| argument.0.to_ne_bytes();
        assert_eq!(bytes((-2_i32).into())[..4], (-2_i32).to_ne_bytes());
        assert_eq!(bytes(0.1_f32.into())[..4], 0.1_f32.to_ne_bytes());
        assert_eq!(bytes(0.1_f64.into()), 0.1_f64.to_ne_bytes());
        assert_eq!(
            bytes(0x1234_5678_9abc_u64.into()),
            0x1234_5678_9abc_u64.to_ne_bytes()
        );
    }
}
