//! The named tensors of a network: what they must be, where they lie, how they are filled.
//!
//! For `Network` and its layers, which share the storage kept here. Not here: the arithmetic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{DType, Tensor, Var};

use crate::fault::{AtLayer, ModelFault};
use crate::init::{Initial, draw};
use crate::numbers::{Numbers, with_numbers};
use crate::tensor_fault::{TensorFault, TensorFaults};

/// Whether an optimizer moves a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorRole {
    /// Moved by the optimizer.
    Parameter,
    /// Moved by training passes: a running statistic or its count.
    Buffer,
}

/// One tensor that a network must have.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// PyTorch's name, `layer1.0.conv1.weight`.
    pub name: String,
    /// PyTorch's shape; empty for a count.
    pub shape: Vec<usize>,
    /// `F32`, or `I64` for a count.
    pub dtype: DType,
    /// Parameter or buffer.
    pub role: TensorRole,
    pub(crate) initial: Initial,
}

impl TensorSpec {
    pub(crate) fn parameter(name: String, shape: &[usize], initial: Initial) -> Self {
        Self {
            name,
            shape: shape.to_vec(),
            dtype: DType::F32,
            role: TensorRole::Parameter,
            initial,
        }
    }

    /// The five tensors of a batch norm over `channels`, in PyTorch's order.
    pub(crate) fn batch_norm(name: &str, channels: usize) -> [Self; 5] {
        let tensor = |word: &str, role, value| Self {
            name: format!("{name}.{word}"),
            shape: vec![channels],
            dtype: DType::F32,
            role,
            initial: Initial::Constant(value),
        };
        [
            tensor("weight", TensorRole::Parameter, 1.0),
            tensor("bias", TensorRole::Parameter, 0.0),
            tensor("running_mean", TensorRole::Buffer, 0.0),
            tensor("running_var", TensorRole::Buffer, 1.0),
            Self {
                name: format!("{name}.num_batches_tracked"),
                shape: Vec::new(),
                dtype: DType::I64,
                role: TensorRole::Buffer,
                initial: Initial::Count,
            },
        ]
    }

    /// Numbers in it.
    #[must_use]
    pub fn n_elements(&self) -> usize {
        self.shape.iter().product()
    }

    fn may_be_negative(&self) -> bool {
        self.dtype == DType::F32 && !self.name.ends_with("running_var")
    }
}

/// A parameter as its layer holds it.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) var: Var,
    frozen: Arc<AtomicBool>,
}

impl Parameter {
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Relaxed)
    }

    /// Shows its numbers.
    pub(crate) fn with_numbers<R>(&self, look: impl FnOnce(&[f32]) -> R) -> candle_core::Result<R> {
        let dtype = self.var.dtype();
        with_numbers(self.var.as_tensor(), |numbers| match numbers {
            Numbers::F32(numbers) => Ok(look(numbers)),
            Numbers::I64(_) => Err(candle_core::Error::UnsupportedDTypeForOp(dtype, "reading")),
        })?
    }

    /// The tensor to compute with; it carries gradients only where `tracked` and not frozen.
    pub(crate) fn tensor(&self, tracked: bool) -> Tensor {
        if tracked && !self.is_frozen() {
            self.var.as_tensor().clone()
        } else {
            self.var.as_detached_tensor()
        }
    }
}

#[derive(Debug)]
struct Slot {
    spec: TensorSpec,
    var: Var,
    frozen: Arc<AtomicBool>,
}

/// All tensors of one network, in the network's own order.
#[derive(Debug)]
pub(crate) struct Weights {
    slots: Vec<Slot>,
    places: BTreeMap<String, usize>,
}

impl Weights {
    /// Fresh weights: a pure function of the seed and the specs.
    pub(crate) fn fresh(specs: Vec<TensorSpec>, seed: u64) -> Result<Self, ModelFault> {
        let mut parameter_index = 0;
        let tensors = specs
            .iter()
            .map(|spec| {
                let tensor = draw(spec, seed, parameter_index).at(&spec.name);
                parameter_index += u64::from(spec.role == TensorRole::Parameter);
                tensor
            })
            .collect::<Result<Vec<Tensor>, ModelFault>>()?;
        Self::hold(specs, &tensors)
    }

    /// The given weights; each must be there and fit, and no other may be.
    pub(crate) fn given(
        specs: Vec<TensorSpec>,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<Self, ModelFault> {
        check_tensors(&specs, tensors, Coverage::All)?;
        let ordered: Vec<Tensor> = specs
            .iter()
            .filter_map(|spec| tensors.get(&spec.name).cloned())
            .collect();
        Self::hold(specs, &ordered)
    }

    fn hold(specs: Vec<TensorSpec>, tensors: &[Tensor]) -> Result<Self, ModelFault> {
        let mut slots = Vec::with_capacity(specs.len());
        let mut places = BTreeMap::new();
        for (spec, tensor) in specs.into_iter().zip(tensors) {
            let var = tensor
                .contiguous()
                .and_then(|tensor| Var::from_tensor(&tensor.detach()))
                .at(&spec.name)?;
            places.insert(spec.name.clone(), slots.len());
            slots.push(Slot {
                spec,
                var,
                frozen: Arc::default(),
            });
        }
        Ok(Self { slots, places })
    }

    fn slot(&self, name: &str) -> Result<&Slot, ModelFault> {
        let slot = self
            .places
            .get(name)
            .and_then(|&place| self.slots.get(place));
        slot.ok_or_else(|| ModelFault::UnknownLayer {
            value: name.to_owned(),
            known: self.top_level_names(),
        })
    }

    pub(crate) fn parameter(&self, name: &str) -> Result<Parameter, ModelFault> {
        let slot = self.slot(name)?;
        Ok(Parameter {
            var: slot.var.clone(),
            frozen: Arc::clone(&slot.frozen),
        })
    }

    pub(crate) fn buffer(&self, name: &str) -> Result<Var, ModelFault> {
        Ok(self.slot(name)?.var.clone())
    }

    /// A layer's buffer; the fault of a layer that has none names the layer.
    pub(crate) fn buffer_of(&self, layer: &str, word: &str) -> Result<Var, ModelFault> {
        let slot = self.slot(&format!("{layer}.{word}"));
        let unknown = |_| ModelFault::UnknownLayer {
            value: layer.to_owned(),
            known: self.top_level_names(),
        };
        Ok(slot.map_err(unknown)?.var.clone())
    }

    pub(crate) fn specs(&self) -> impl Iterator<Item = &TensorSpec> {
        self.slots.iter().map(|slot| &slot.spec)
    }

    /// Parameters that are not frozen, in order.
    pub(crate) fn trainable(&self) -> Vec<(String, Var)> {
        self.chosen(|slot| {
            slot.spec.role == TensorRole::Parameter && !slot.frozen.load(Ordering::Relaxed)
        })
    }

    pub(crate) fn buffers(&self) -> Vec<(String, Var)> {
        self.chosen(|slot| slot.spec.role == TensorRole::Buffer)
    }

    /// Parameters and buffers, in order.
    pub(crate) fn all(&self) -> Vec<(String, Var)> {
        self.chosen(|_| true)
    }

    fn chosen(&self, keep: impl Fn(&Slot) -> bool) -> Vec<(String, Var)> {
        self.slots
            .iter()
            .filter(|slot| keep(slot))
            .map(|slot| (slot.spec.name.clone(), slot.var.clone()))
            .collect()
    }

    /// Everything by name; the tensors share their storage with the network.
    pub(crate) fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.slots
            .iter()
            .map(|slot| (slot.spec.name.clone(), slot.var.as_detached_tensor()))
            .collect()
    }

    /// Overwrites the tensors that are given, none where any is at fault.
    pub(crate) fn fill(
        &self,
        tensors: &BTreeMap<String, Tensor>,
        coverage: Coverage,
    ) -> Result<Vec<String>, ModelFault> {
        let specs: Vec<TensorSpec> = self.specs().cloned().collect();
        check_tensors(&specs, tensors, coverage)?;
        let mut untouched = Vec::new();
        for slot in &self.slots {
            match tensors.get(&slot.spec.name) {
                // A copy first: `set` refuses a tensor that shares the variable's storage.
                Some(tensor) => tensor
                    .copy()
                    .and_then(|tensor| slot.var.set(&tensor))
                    .at(&slot.spec.name)?,
                None => untouched.push(slot.spec.name.clone()),
            }
        }
        Ok(untouched)
    }

    /// Freezes every parameter below `prefix`, a whole dotted name or its beginning.
    pub(crate) fn freeze(&self, prefix: &str) -> Result<(), ModelFault> {
        let below = |name: &str| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut met = false;
        for slot in &self.slots {
            if slot.spec.role == TensorRole::Parameter && below(&slot.spec.name) {
                slot.frozen.store(true, Ordering::Relaxed);
                met = true;
            }
        }
        if met {
            return Ok(());
        }
        Err(ModelFault::UnknownLayer {
            value: prefix.to_owned(),
            known: self.top_level_names(),
        })
    }

    pub(crate) fn unfreeze(&self) {
        for slot in &self.slots {
            slot.frozen.store(false, Ordering::Relaxed);
        }
    }

    fn top_level_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .specs()
            .filter_map(|spec| spec.name.split('.').next().map(str::to_owned))
            .collect();
        names.dedup();
        names
    }
}

/// Whether tensors may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coverage {
    All,
    Some,
}

/// Compares tensors with specs, name by name, and reports every fault.
pub(crate) fn check_tensors(
    specs: &[TensorSpec],
    tensors: &BTreeMap<String, Tensor>,
    coverage: Coverage,
) -> Result<(), ModelFault> {
    let mut faults = Vec::new();
    for spec in specs {
        match tensors.get(&spec.name) {
            Some(tensor) => faults.extend(fault_of(spec, tensor)?),
            None if coverage == Coverage::All => faults.push(TensorFault::Missing {
                name: spec.name.clone(),
                expected: spec.shape.clone(),
            }),
            None => {}
        }
    }
    let known: BTreeMap<&str, ()> = specs.iter().map(|spec| (spec.name.as_str(), ())).collect();
    for (name, tensor) in tensors {
        if !known.contains_key(name.as_str()) {
            faults.push(TensorFault::Extra {
                name: name.clone(),
                found: tensor.dims().to_vec(),
            });
        }
    }
    Ok(TensorFaults::refuse(faults)?)
}

fn fault_of(spec: &TensorSpec, tensor: &Tensor) -> Result<Option<TensorFault>, ModelFault> {
    let name = spec.name.clone();
    if tensor.dims() != spec.shape {
        return Ok(Some(TensorFault::Shape {
            name,
            expected: spec.shape.clone(),
            found: tensor.dims().to_vec(),
        }));
    }
    if tensor.dtype() != spec.dtype {
        return Ok(Some(TensorFault::Dtype {
            name,
            expected: spec.dtype.as_str(),
            found: tensor.dtype().as_str().to_owned(),
        }));
    }
    let signed = spec.may_be_negative();
    with_numbers(tensor, |numbers| match numbers {
        Numbers::F32(numbers) => fault_among(name.clone(), numbers, signed),
        Numbers::I64(numbers) => {
            let index = numbers.iter().position(|&number| number < 0)?;
            let value = numbers[index] as f32;
            Some(TensorFault::Negative {
                name: name.clone(),
                index,
                value,
            })
        }
    })
    .at(&spec.name)
}

fn fault_among(name: String, numbers: &[f32], signed: bool) -> Option<TensorFault> {
    if let Some(index) = numbers.iter().position(|number| !number.is_finite()) {
        let value = numbers[index];
        return Some(TensorFault::NotFinite { name, index, value });
    }
    let index = numbers.iter().position(|&number| !signed && number < 0.0)?;
    let value = numbers[index];
    Some(TensorFault::Negative { name, index, value })
}
