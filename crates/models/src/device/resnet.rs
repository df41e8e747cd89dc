//! `ResNet` 18 and 34 on a device: which layer reads what, forward and backward.
//!
//! The stem's normalised map is never written: its pooling reads the convolution's output. On the
//! way back three maps carry gradients: `current` that of a block's output, `hidden` that of the
//! map inside a block, `inner` that of a convolution's output.

use cxr_ops::Conv2dGeometry;
use cxr_ops::device::Device;
use cxr_ops::nhwc::{MapSize, Onto};

use super::backward::{Backward, Gated};
use super::pass::{Added, Pass};
use super::plan::{ConvNorm, INPUT, LinearPlan, MapId, PoolPlan};
use super::planner::Planner;
use crate::architecture::ModelConfig;
use crate::fault::ModelFault;
use crate::resnet::{BlockPlan, STEM_GEOMETRY, STEM_POOL};

/// Everything before fc.
#[derive(Debug)]
pub(crate) struct ResNetPlan {
    stem: ConvNorm,
    pool: PoolPlan,
    blocks: Vec<Block>,
    /// None where nothing is trained.
    gradients: Option<GradientMaps>,
}

#[derive(Debug)]
struct Block {
    first: ConvNorm,
    /// Behind the first norm's ReLU.
    hidden: MapId,
    second: ConvNorm,
    downsample: Option<ConvNorm>,
    input: MapId,
    output: MapId,
    /// Whether something in it or before it trains.
    is_reached: bool,
}

#[derive(Clone, Copy, Debug)]
struct GradientMaps {
    current: MapId,
    hidden: MapId,
    inner: MapId,
}

/// Numbers of the maps that layers share in prediction, and of those for gradients in training.
/// A convolution's output is read by its norm alone; the other two change places.
const RAW: usize = 0;
const ONE: usize = 1;
const OTHER: usize = 2;

impl ResNetPlan {
    pub(crate) fn new(
        config: &ModelConfig,
        planner: &mut Planner<'_>,
    ) -> Result<(Self, LinearPlan), ModelFault> {
        let image = (INPUT, planner.input);
        let stem = conv_norm(planner, ["conv1", "bn1"], image, STEM_GEOMETRY, RAW)?;
        let window = STEM_POOL.over(stem.conv.output_size());
        let before = (stem.conv.output, stem.conv.output_size());
        let pool = planner.pool("maxpool", before, window, ONE);
        let mut map = (pool.output, pool.output_size());
        let mut shared = [ONE, OTHER];
        let mut blocks = Vec::new();
        for block in BlockPlan::of(config.architecture) {
            let (block, size) = Block::new(&block, planner, map, &mut shared)?;
            map = (block.output, size);
            blocks.push(block);
        }
        let last = planner.linear("fc")?;
        let mut plan = Self {
            stem,
            pool,
            blocks,
            gradients: None,
        };
        if planner.is_training() {
            plan.gradients = Some(plan.gradient_maps(planner));
        }
        Ok((plan, last))
    }

    fn gradient_maps(&self, planner: &mut Planner<'_>) -> GradientMaps {
        let mut maps = GradientMaps {
            current: planner.shared_map(ONE, self.pool.output_size().len()),
            hidden: planner.shared_map(OTHER, 0),
            inner: planner.shared_map(RAW, self.stem.conv.output_size().len()),
        };
        for block in &self.blocks {
            let [first, second] = [&block.first, &block.second].map(|l| l.conv.output_size().len());
            maps.current = planner.shared_map(ONE, second);
            maps.hidden = planner.shared_map(OTHER, first);
            maps.inner = planner.shared_map(RAW, first.max(second));
        }
        maps
    }

    /// Images to features.
    pub(crate) fn forward<D: Device>(&self, pass: &mut Pass<'_, D>) -> Result<(), ModelFault> {
        pass.convolve(&self.stem.conv)?;
        pass.measure(&self.stem.norm)?;
        pass.pool_norm(&self.pool, &self.stem.norm)?;
        for block in &self.blocks {
            block.forward(pass)?;
        }
        match self.blocks.last() {
            Some(block) => pass.average(&block.second.norm, block.output),
            None => Ok(()),
        }
    }

    /// From the gradient of the features to those of all that trains before them.
    pub(crate) fn backward<D: Device>(&self, back: &mut Backward<'_, D>) -> Result<(), ModelFault> {
        let (Some(maps), Some(last)) = (self.gradients, self.blocks.last()) else {
            return Ok(());
        };
        back.spread(&last.second.norm, maps.current)?;
        for block in self.blocks.iter().rev() {
            if !block.is_reached {
                return Ok(());
            }
            block.backward(back, maps)?;
        }
        let stem = &self.stem;
        if stem.norm.is_fixed && !stem.conv.trains {
            return Ok(());
        }
        back.pool_norm_sums(&self.pool, &stem.norm, maps.current)?;
        if stem.conv.trains {
            back.unpool(&self.pool, Some(&stem.norm), maps.current, maps.inner)?;
            back.kernel(&stem.conv, maps.inner)?;
        }
        Ok(())
    }
}

impl Block {
    fn new(
        plan: &BlockPlan,
        planner: &mut Planner<'_>,
        map: (MapId, MapSize),
        shared: &mut [usize; 2],
    ) -> Result<(Self, MapSize), ModelFault> {
        let [one, other] = *shared;
        let name = |part: &str| format!("{}.{part}", plan.name);
        let geometry = |stride, padding| Conv2dGeometry { stride, padding };
        let trained_before = planner.trains;
        let names = [name("conv1"), name("bn1")];
        let first = conv_norm(planner, names, map, geometry(plan.stride, 1), RAW)?;
        let hidden_size = first.conv.output_size();
        let hidden = planner.kept_map(other, hidden_size.len());
        let names = [name("conv2"), name("bn2")];
        let inside = (hidden, hidden_size);
        let second = conv_norm(planner, names, inside, geometry(1, 1), RAW)?;
        let size = second.conv.output_size();
        let (downsample, output) = if plan.has_downsample() {
            let names = [name("downsample.0"), name("downsample.1")];
            let trained = std::mem::replace(&mut planner.trains, trained_before);
            let downsample = conv_norm(planner, names, map, geometry(plan.stride, 0), other)?;
            planner.trains |= trained;
            // Its input was read for the last time.
            (Some(downsample), planner.kept_map(one, size.len()))
        } else {
            shared.swap(0, 1);
            (None, planner.kept_map(other, size.len()))
        };
        let block = Self {
            first,
            hidden,
            second,
            downsample,
            input: map.0,
            output,
            is_reached: planner.trains,
        };
        Ok((block, size))
    }

    fn forward<D: Device>(&self, pass: &mut Pass<'_, D>) -> Result<(), ModelFault> {
        pass.convolve(&self.first.conv)?;
        pass.measure(&self.first.norm)?;
        pass.activate(&self.first.norm, Added::Nothing, self.hidden)?;
        pass.convolve(&self.second.conv)?;
        pass.measure(&self.second.norm)?;
        let added = match &self.downsample {
            Some(shortcut) => {
                pass.convolve(&shortcut.conv)?;
                pass.measure(&shortcut.norm)?;
                Added::Norm(&shortcut.norm)
            }
            None => Added::Map(self.input),
        };
        pass.activate(&self.second.norm, added, self.output)
    }

    /// From the gradient of its output, in `current`, to that of its input, there too.
    fn backward<D: Device>(
        &self,
        back: &mut Backward<'_, D>,
        maps: GradientMaps,
    ) -> Result<(), ModelFault> {
        let GradientMaps {
            current,
            hidden,
            inner,
        } = maps;
        // From here on the ReLU's part is in `current`, which is the shortcut's gradient as well.
        let second = &self.second;
        back.norm_sums(&second.norm, Gated::ByMap(self.output), current)?;
        if second.conv.is_reached() {
            back.norm_input(&second.norm, Gated::Already, current, inner)?;
            back.kernel(&second.conv, inner)?;
        }
        if second.conv.trains_before {
            back.conv_input(&second.conv, inner, Onto::Unset, hidden)?;
        }
        if let Some(shortcut) = &self.downsample {
            back.norm_sums(&shortcut.norm, Gated::Already, current)?;
            if shortcut.conv.is_reached() {
                back.norm_input(&shortcut.norm, Gated::Already, current, inner)?;
                back.kernel(&shortcut.conv, inner)?;
            }
            // The first convolution adds its part.
            if shortcut.conv.trains_before {
                back.conv_input(&shortcut.conv, inner, Onto::Unset, current)?;
            }
        }
        if !second.conv.trains_before {
            return Ok(());
        }
        let first = &self.first;
        back.norm_sums(&first.norm, Gated::ByNorm, hidden)?;
        if first.conv.is_reached() {
            back.norm_input(&first.norm, Gated::ByNorm, hidden, inner)?;
            back.kernel(&first.conv, inner)?;
        }
        if first.conv.trains_before {
            back.conv_input(&first.conv, inner, Onto::Sum, current)?;
        }
        Ok(())
    }
}

/// A convolution and the norm behind it; without a way back its output is the shared map of this
/// number.
fn conv_norm<S: AsRef<str>>(
    planner: &mut Planner<'_>,
    [conv, norm]: [S; 2],
    input: (MapId, MapSize),
    geometry: Conv2dGeometry,
    shared: usize,
) -> Result<ConvNorm, ModelFault> {
    let mut conv = planner.conv(conv.as_ref(), input, geometry)?;
    conv.output = planner.kept_map(shared, conv.output_size().len());
    let norm = planner.norm(norm.as_ref(), &conv)?;
    Ok(ConvNorm { conv, norm })
}
