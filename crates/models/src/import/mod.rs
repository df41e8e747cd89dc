//! Weights from elsewhere: torchvision's safetensors, anybody's `.pth`, matched with a network here
//! by name and shape.
//!
//! For the `import-weights` command and for training from pretrained weights. Files from strangers
//! are hostile until read: sizes are bounded, pickles are read by a machine that can build tensors
//! and nothing else ([`read_pth`]), and a `.pth` is read in a process with limits of its own
//! ([`read_pth_guarded`]). Not here: checkpoints of this project (`checkpoint`), downloads
//! ([`hub`](crate::hub)).
//!
//! ```
//! use cxr_models::import::{
//!     Completeness, Element, Head, ImportOptions, ImportPlan, ImportedTensor, Tensors, Values,
//! };
//! use cxr_models::{Architecture, ModelConfig};
//!
//! // One tensor of a file, as `read_weights` gives it; wrappers' prefixes are taken away.
//! let mut tensors = Tensors::new();
//! let bias = ImportedTensor {
//!     shape: vec![16],
//!     values: Values::F32(vec![0.5; 16]),
//!     stored_as: Element::F32,
//! };
//! tensors.insert("module.conv1.bias".to_owned(), bias).unwrap();
//!
//! let config = ModelConfig::new(Architecture::XrayCnn, 2, 16, 16);
//! let strict = ImportOptions { head: Head::Fresh, completeness: Completeness::Whole };
//! let fault = ImportPlan::new(&tensors, &config, strict).unwrap_err();
//! assert_eq!(fault.code(), "M064"); // nine tensors are missing, all of them named
//!
//! let partial = ImportOptions { completeness: Completeness::Partial, ..strict };
//! let plan = ImportPlan::new(&tensors, &config, partial).unwrap();
//! assert_eq!(plan.report().filled.len(), 1);
//! assert_eq!(plan.report().fresh.len(), 11);
//! let network = plan.build(7, &[]).unwrap();
//! assert_eq!(network.tensors()["conv1.bias"].to_vec1::<f32>().unwrap(), [0.5; 16]);
//! ```

mod advice;
mod fault;
mod guard;
mod hint;
mod limits;
mod matching;
mod misfit;
mod pickle;
mod plan;
mod safetensors_file;
mod source;
mod state_dict;
mod tensors;
mod torch_file;

pub use fault::{ImportFault, ReportedFault};
pub use guard::{Guard, ProcessBounds, read_pth_guarded, read_weights, serve_pth};
pub use limits::Limits;
pub use misfit::{Misfit, WrongShape, WrongType};
pub use plan::{
    Completeness, Filled, Head, ImportOptions, ImportPlan, ImportReport, Unused,
    calibration_batches,
};
pub use safetensors_file::read_safetensors;
pub use source::{Format, sniff};
pub use tensors::{Element, ImportedTensor, Tensors, Values};
pub use torch_file::read_pth;
