//! Where the tensors of a network lie on a device: three arenas, a part for each tensor.
//!
//! For the parameters, the optimizer and the plans of the layers. A function of config, precision
//! and of what is frozen. What an optimizer moves lies in front of what is frozen, so that a step
//! of Adam and the length of the gradient take the beginning of an arena and no more.

use std::collections::BTreeMap;

use candle_core::DType;
use cxr_ops::device::{Part, Precision};

use super::order::Order;
use crate::architecture::{Architecture, INPUT_CHANNELS, ModelConfig};
use crate::fault::ModelFault;
use crate::network::tensor_specs;
use crate::weights::{TensorRole, TensorSpec};
use crate::xray_cnn::XrayCnn;

/// Parts begin at multiples of this: whole lines of a card's memory in any type.
const ALIGNMENT: usize = 64;

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arena {
    /// Kernels and the weights of linear layers, in the maps' type.
    Weights,
    /// Weights and biases of norms, biases.
    Vectors,
    /// Running means and variances.
    Running,
}

/// A tensor's place.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) arena: Arena,
    pub(crate) part: Part,
    pub(crate) order: Order,
    /// Whether an optimizer moves it.
    pub(crate) trains: bool,
    /// PyTorch's shape.
    pub(crate) shape: Vec<usize>,
}

/// The places of all tensors; counts of batches are none of them.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    slots: BTreeMap<String, Slot>,
    /// Numbers of each arena, and how many in front are trained.
    pub(crate) weights: ArenaSize,
    pub(crate) vectors: ArenaSize,
    pub(crate) running: ArenaSize,
}

/// The numbers of an arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ArenaSize {
    pub(crate) len: usize,
    pub(crate) trained: usize,
}

impl ArenaSize {
    fn take(&mut self, len: usize, trains: bool) -> Part {
        let part = Part {
            start: self.len,
            len,
        };
        self.len += len.next_multiple_of(ALIGNMENT);
        if trains {
            self.trained = self.len;
        }
        part
    }
}

impl Layout {
    /// The layout of a network whose parameters train where `trains` says so of their name.
    pub(crate) fn new(
        config: &ModelConfig,
        precision: Precision,
        trains: impl Fn(&str) -> bool,
    ) -> Result<Self, ModelFault> {
        let specs = tensor_specs(config)?;
        let of_numbers = specs.into_iter().filter(|spec| spec.dtype == DType::F32);
        let is_trained =
            |spec: &TensorSpec| spec.role == TensorRole::Parameter && trains(&spec.name);
        let (trained, rest): (Vec<_>, Vec<_>) = of_numbers.partition(is_trained);
        let mut layout = Self {
            slots: BTreeMap::new(),
            weights: ArenaSize::default(),
            vectors: ArenaSize::default(),
            running: ArenaSize::default(),
        };
        let trained = trained.into_iter().map(|spec| (spec, true));
        for (spec, trains) in trained.chain(rest.into_iter().map(|spec| (spec, false))) {
            let order = order_of(config, precision, &spec);
            layout.place(spec, order, trains);
        }
        // A network without norms has no running statistics; no buffer of a device is empty.
        layout.running.len = layout.running.len.max(ALIGNMENT);
        Ok(layout)
    }

    fn place(&mut self, spec: TensorSpec, order: Order, trains: bool) {
        let (arena, size) = match (spec.role, spec.shape.len()) {
            (TensorRole::Buffer, _) => (Arena::Running, &mut self.running),
            (TensorRole::Parameter, 0 | 1) => (Arena::Vectors, &mut self.vectors),
            (TensorRole::Parameter, _) => (Arena::Weights, &mut self.weights),
        };
        let slot = Slot {
            arena,
            part: size.take(order.device_len(), trains),
            order,
            trains,
            shape: spec.shape,
        };
        self.slots.insert(spec.name, slot);
    }

    /// The place of a tensor.
    ///
    /// # Errors
    /// A name that is none of the network's tensors.
    pub(crate) fn slot(&self, name: &str) -> Result<&Slot, ModelFault> {
        self.slots
            .get(name)
            .ok_or_else(|| ModelFault::UnknownLayer {
                value: name.to_owned(),
                known: self.slots.keys().cloned().collect(),
            })
    }

    /// All places, by name.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (&str, &Slot)> {
        self.slots.iter().map(|(name, slot)| (name.as_str(), slot))
    }

    /// Those that an optimizer moves.
    pub(crate) fn trained(&self) -> impl Iterator<Item = (&str, &Slot)> {
        self.slots().filter(|(_, slot)| slot.trains)
    }
}

fn order_of(config: &ModelConfig, precision: Precision, spec: &TensorSpec) -> Order {
    match *spec.shape.as_slice() {
        [outputs, channels, height, width] => Order {
            outputs,
            channels,
            filled_channels: filled_channels(channels, precision),
            places: height * width,
        },
        [outputs, inputs] if config.architecture == Architecture::XrayCnn => {
            let [channels, height, width] = XrayCnn::pooled_shape(config);
            let places = height * width;
            if inputs != channels * places || spec.name != "fc1.weight" {
                return Order::same(outputs * inputs);
            }
            // The layer reads the pooled map as it lies.
            Order {
                outputs,
                channels,
                filled_channels: channels,
                places,
            }
        }
        _ => Order::same(spec.n_elements()),
    }
}

/// Channels of a map on the device: only those of the images are filled up.
pub(crate) fn filled_channels(channels: usize, precision: Precision) -> usize {
    match channels {
        INPUT_CHANNELS => precision.input_channels(),
        _ => channels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(trains: impl Fn(&str) -> bool) -> Layout {
        let config = ModelConfig::new(Architecture::ResNet18, 3, 32, 48);
        Layout::new(&config, Precision::F32, trains).unwrap()
    }

    #[test]
    fn what_is_trained_lies_in_front_and_no_two_parts_meet() {
        let layout = layout(|name| !name.starts_with("layer1") && name != "bn1.weight");
        for arena in [Arena::Weights, Arena::Vectors, Arena::Running] {
            let size = match arena {
                Arena::Weights => layout.weights,
                Arena::Vectors => layout.vectors,
                Arena::Running => layout.running,
            };
            let mut parts: Vec<(Part, bool)> = layout
                .slots()
                .filter(|(_, slot)| slot.arena == arena)
                .map(|(_, slot)| (slot.part, slot.trains))
                .collect();
            parts.sort_by_key(|(part, _)| part.start);
            for pair in parts.windows(2) {
                assert!(pair[0].0.end() <= pair[1].0.start);
            }
            for (part, trains) in parts {
                assert_eq!(part.start % ALIGNMENT, 0);
                assert!(part.end() <= size.len);
                assert_eq!(trains, part.end() <= size.trained, "{arena:?} {part:?}");
            }
        }
    }

    #[test]
    fn only_the_channels_of_images_are_filled_up() {
        let layout = layout(|_| true);
        for (name, slot) in layout.slots() {
            let filled = slot.order.filled_channels - slot.order.channels;
            assert_eq!(filled, usize::from(name == "conv1.weight"), "{name}");
        }
    }
}
