//! Tensors as they come out of a file: a name, a shape, and values as f32 or as whole numbers.
//!
//! For the readers, which fill a [`Tensors`], and for the plan, which reads it. No candle here: a
//! file is judged before any of it becomes part of a network.

use std::collections::BTreeMap;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Serialize;

/// The element types that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 64-bit float, rounded to f32.
    F64,
    /// 16-bit float, widened to f32.
    F16,
    /// 16-bit "brain" float, widened to f32.
    Bf16,
    /// 64-bit whole number (`num_batches_tracked`).
    I64,
    /// 32-bit whole number.
    I32,
}

impl Element {
    /// Bytes of one element in the file.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Bytes of one element after conversion.
    pub fn decoded_bytes(self) -> usize {
        match self {
            Self::I64 | Self::I32 => 8,
            _ => 4,
        }
    }

    /// Little-endian bytes as values. Bytes beyond the last whole element are dropped; callers
    /// check lengths first.
    pub(crate) fn decode(self, bytes: &[u8]) -> Values {
        match self {
            Self::F32 => Values::F32(fixed(bytes, f32::from_le_bytes)),
            // Rounding is what is wanted; a value beyond f32 turns infinite and is refused later.
            Self::F64 => Values::F32(fixed(bytes, |it| f64::from_le_bytes(it) as f32)),
            Self::F16 => Values::F32(fixed(bytes, |it| widen_half(u16::from_le_bytes(it)))),
            Self::Bf16 => Values::F32(fixed(bytes, |it| {
                f32::from_bits(u32::from(u16::from_le_bytes(it)) << 16)
            })),
            Self::I64 => Values::I64(fixed(bytes, i64::from_le_bytes)),
            Self::I32 => Values::I64(fixed(bytes, |it| i64::from(i32::from_le_bytes(it)))),
        }
    }
}

fn fixed<const N: usize, T>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|chunk| convert(*chunk))
        .collect()
}

/// IEEE 754 binary16 to binary32; exact.
fn widen_half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits & 0x3ff);
    match exponent {
        0 => {
            let magnitude = fraction as f32 * 2f32.powi(-24);
            f32::from_bits(sign | magnitude.to_bits())
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
    }
}

/// The values of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Weights.
    F32(Vec<f32>),
    /// Counters.
    I64(Vec<i64>),
}

impl Values {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedTensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major, as many as the shape says.
    pub values: Values,
    /// The type that it had in the file.
    pub stored_as: Element,
}

/// The named tensors of a file, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensors {
    by_name: BTreeMap<String, ImportedTensor>,
    /// The key of the table inside the file, where it was not the whole file.
    table: Option<String>,
}

impl Tensors {
    /// No tensors yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor; gives the name back when it is taken already.
    ///
    /// # Errors
    /// The name, when a tensor of this name is there.
    pub fn insert(&mut self, name: String, tensor: ImportedTensor) -> Result<(), String> {
        if self.by_name.contains_key(&name) {
            return Err(name);
        }
        self.by_name.insert(name, tensor);
        Ok(())
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&ImportedTensor> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ImportedTensor)> {
        self.by_name
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The key under which the table of tensors lay in the file (`state_dict`, `model`, …), if it
    /// was not the whole of it.
    pub fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    pub(crate) fn set_table(&mut self, key: String) {
        self.table = Some(key);
    }

    /// As one safetensors file (f32 and i64), the form in which the reader's process hands over.
    ///
    /// # Errors
    /// When the safetensors crate refuses.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let bytes: Vec<(&str, Dtype, &[usize], Vec<u8>)> = self
            .iter()
            .map(|(name, tensor)| {
                let (dtype, bytes) = match &tensor.values {
                    Values::F32(values) => (
                        Dtype::F32,
                        values.iter().flat_map(|it| it.to_le_bytes()).collect(),
                    ),
                    Values::I64(values) => (
                        Dtype::I64,
                        values.iter().flat_map(|it| it.to_le_bytes()).collect(),
                    ),
                };
                (name, dtype, tensor.shape.as_slice(), bytes)
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((*name, TensorView::new(*dtype, shape.to_vec(), bytes)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        let metadata = self
            .table
            .as_ref()
            .map(|table| std::iter::once((TABLE_KEY.to_owned(), table.clone())).collect());
        safetensors::serialize(views, metadata)
    }
}

/// The metadata key that carries [`Tensors::table`] through a safetensors file.
pub(crate) const TABLE_KEY: &str = "table";

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::*;

    #[test]
    fn every_half_widens_to_what_candle_says() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let candle = Tensor::from_raw_buffer(&bytes, DType::F16, &[65536], &Device::Cpu)
            .and_then(|it| it.to_dtype(DType::F32))
            .and_then(|it| it.to_vec1::<f32>())
            .unwrap();
        let Values::F32(ours) = Element::F16.decode(&bytes) else {
            panic!("halves are floats")
        };
        for (bits, (ours, candle)) in ours.iter().zip(&candle).enumerate() {
            let same = ours.to_bits() == candle.to_bits() || (ours.is_nan() && candle.is_nan());
            assert!(same, "{bits:04x}: {ours} and {candle}");
        }
    }

    #[test]
    fn each_element_type_decodes_its_little_endian_bytes() {
        assert_eq!(
            Element::F32.decode(&1.5f32.to_le_bytes()),
            Values::F32(vec![1.5])
        );
        assert_eq!(
            Element::F64.decode(&(-0.1f64).to_le_bytes()),
            Values::F32(vec![-0.1])
        );
        assert_eq!(Element::Bf16.decode(&[0x80, 0xbf]), Values::F32(vec![-1.0]));
        assert_eq!(
            Element::I64.decode(&(-7i64).to_le_bytes()),
            Values::I64(vec![-7])
        );
        assert_eq!(
            Element::I32.decode(&(-7i32).to_le_bytes()),
            Values::I64(vec![-7])
        );
        let Values::F32(beyond) = Element::F64.decode(&1e300f64.to_le_bytes()) else {
            panic!()
        };
        assert!(beyond[0].is_infinite());
    }

    #[test]
    fn a_second_tensor_of_one_name_is_refused() {
        let tensor = ImportedTensor {
            shape: vec![],
            values: Values::F32(vec![1.0]),
            stored_as: Element::F32,
        };
        let mut tensors = Tensors::new();
        assert_eq!(tensors.insert("a".to_owned(), tensor.clone()), Ok(()));
        assert_eq!(tensors.insert("a".to_owned(), tensor), Err("a".to_owned()));
    }
}
