//! The order of a tensor's numbers on the host, [O, C, places], and on a device, [O, places, C].
//!
//! For everything that travels between a network and a device: weights, gradients, moments.

use rayon::prelude::*;

/// How the numbers of one tensor are ordered. Kernels are [O, C, kh, kw]; a linear layer over a map
/// is a kernel as large as the map; what is neither has one place and keeps its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) outputs: usize,
    pub(crate) channels: usize,
    /// Channels on the device: zeros fill them up.
    pub(crate) filled_channels: usize,
    pub(crate) places: usize,
}

impl Order {
    /// The same order on both sides.
    pub(crate) fn same(len: usize) -> Self {
        Self {
            outputs: 1,
            channels: len,
            filled_channels: len,
            places: 1,
        }
    }

    fn is_same(self) -> bool {
        self.places == 1 && self.channels == self.filled_channels
    }

    /// Numbers on the host.
    pub(crate) fn host_len(self) -> usize {
        self.outputs * self.channels * self.places
    }

    /// Numbers on the device.
    pub(crate) fn device_len(self) -> usize {
        self.outputs * self.filled_channels * self.places
    }

    /// [O, C, places] → [O, places, C].
    pub(crate) fn to_device(self, host: &[f32]) -> Vec<f32> {
        if self.is_same() {
            return host.to_vec();
        }
        let mut device = vec![0.0; self.device_len()];
        let (of_device, of_host) = (self.filled_channels * self.places, self.host_stride());
        device
            .par_chunks_mut(of_device)
            .zip(host.par_chunks(of_host))
            .for_each(|(device, host)| {
                for (place, numbers) in device.chunks_exact_mut(self.filled_channels).enumerate() {
                    let planes = host.iter().skip(place).step_by(self.places);
                    numbers
                        .iter_mut()
                        .zip(planes)
                        .for_each(|(to, of)| *to = *of);
                }
            });
        device
    }

    /// [O, places, C] → [O, C, places].
    pub(crate) fn to_host(self, device: Vec<f32>) -> Vec<f32> {
        if self.is_same() {
            return device;
        }
        let mut host = vec![0.0; self.host_len()];
        let (of_device, of_host) = (self.filled_channels * self.places, self.host_stride());
        host.par_chunks_mut(of_host)
            .zip(device.par_chunks(of_device))
            .for_each(|(host, device)| {
                for (channel, plane) in host.chunks_exact_mut(self.places).enumerate() {
                    let numbers = device.iter().skip(channel).step_by(self.filled_channels);
                    plane.iter_mut().zip(numbers).for_each(|(to, of)| *to = *of);
                }
            });
        host
    }

    fn host_stride(self) -> usize {
        self.channels * self.places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_move_behind_places_and_are_filled_up_with_zeros() {
        let order = Order {
            outputs: 2,
            channels: 3,
            filled_channels: 4,
            places: 2,
        };
        let host: Vec<f32> = (1..=12_u8).map(f32::from).collect();
        let device = order.to_device(&host);
        let expected = [
            1.0, 3.0, 5.0, 0.0, 2.0, 4.0, 6.0, 0.0, 7.0, 9.0, 11.0, 0.0, 8.0, 10.0, 12.0, 0.0,
        ];
        assert_eq!(device, expected);
        assert_eq!(order.to_host(device), host);
    }

    #[test]
    fn a_vector_keeps_its_order() {
        let order = Order::same(3);
        assert_eq!(order.to_device(&[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(order.to_host(vec![1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
    }
}
