//! The serialisable description of how a file becomes a tensor, the same wherever a network meets
//! an image: training, evaluation, prediction, export.
//!
//! For checkpoints and configurations. Deliberately not here: anything random (`AffineRanges`).

use serde::{Deserialize, Serialize};

use crate::limits::MAX_OUTPUT_SIDE;
use crate::spec_fault::{SpecFault, SpecFaults, from_json};

/// How a file becomes a tensor `[3, height, width]`: decode, resize, divide by 255, normalise.
///
/// ```
/// use cxr_augment::Preprocess;
/// let spec = Preprocess { width: 64, height: 48, ..Preprocess::default() };
/// assert!(spec.check().is_ok());
/// assert_ne!(spec.digest(), Preprocess::default().digest());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preprocess {
    /// Pixels in a row of the tensor.
    pub width: u32,
    /// Rows of the tensor.
    pub height: u32,
    /// Subtracted from red, green, blue after the division by 255.
    pub mean: [f32; 3],
    /// Divides red, green, blue after that.
    pub std: [f32; 3],
    /// How 16 bits become 8.
    pub bit_depth: BitDepthPolicy,
    /// Whether light and dark change places.
    pub polarity: Polarity,
}

/// How a 16-bit sample becomes an 8-bit one. Pictures of 8 bits or less are not concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BitDepthPolicy {
    /// 0–65535 to 0–255, rounded; a warning where a grey picture spans less than 1/8 of it.
    #[default]
    Scale,
    /// 0–4095 to 0–255, rounded: 12-bit values in 16-bit samples. Larger values are clipped, with
    /// a warning.
    TwelveInSixteen,
    /// What Pillow's `convert("RGB")` does: grey values above 255 become 255, so that a radiograph
    /// comes out nearly white; colour and grey with alpha keep their high byte. For parity only.
    ClipLikePillow,
}

/// Whether light and dark change places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Polarity {
    /// As the file has it.
    #[default]
    AsStored,
    /// 255 minus each value.
    Inverted,
}

impl Default for Preprocess {
    /// 320 × 320 with the means and deviations of ImageNet.
    fn default() -> Self {
        Self {
            width: 320,
            height: 320,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            bit_depth: BitDepthPolicy::Scale,
            polarity: Polarity::AsStored,
        }
    }
}

impl Preprocess {
    /// From JSON, as a checkpoint holds it; missing keys have their default, unknown ones are
    /// refused.
    ///
    /// # Errors
    /// Where the text is not such JSON, or a field cannot be used.
    pub fn from_json(text: &str) -> Result<Self, SpecFaults> {
        let spec: Self = from_json(text, "a preprocessing")?;
        spec.check()?;
        Ok(spec)
    }

    /// Whether a tensor can be made as this says.
    ///
    /// # Errors
    /// All unusable fields at once.
    pub fn check(&self) -> Result<(), SpecFaults> {
        let mut faults = Vec::new();
        for (field, side) in [("width", self.width), ("height", self.height)] {
            if !(1..=MAX_OUTPUT_SIDE).contains(&side) {
                faults.push(SpecFault::Setting {
                    field,
                    expected: format!("must be 1 to {MAX_OUTPUT_SIDE}"),
                    value: side.to_string(),
                });
            }
        }
        if self.mean.iter().any(|m| !m.is_finite()) {
            faults.push(SpecFault::Setting {
                field: "mean",
                expected: "must be three finite numbers".to_owned(),
                value: format!("{:?}", self.mean),
            });
        }
        if self.std.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
            faults.push(SpecFault::Setting {
                field: "std",
                expected: "must be three positive numbers".to_owned(),
                value: format!("{:?}", self.std),
            });
        }
        SpecFaults::unless_empty(faults)
    }

    /// BLAKE3 of the canonical JSON, in hex: equal where two specifications make equal tensors of
    /// every file. Names a cache.
    #[must_use]
    pub fn digest(&self) -> String {
        // The fields' order is the struct's; numbers are written in their shortest exact form.
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&canonical).to_hex().to_string()
    }

    /// How many numbers a tensor has: 3 × height × width.
    #[must_use]
    pub fn tensor_len(&self) -> usize {
        3 * self.width as usize * self.height as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_and_its_digest_do_not_drift() {
        let spec = Preprocess::default();
        assert_eq!(
            serde_json::to_string(&spec).unwrap(),
            r#"{"width":320,"height":320,"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225],"bit_depth":"scale","polarity":"as-stored"}"#
        );
        let again: Preprocess =
            serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(again, spec);
        assert_eq!(again.digest(), spec.digest());
        let changes: [fn(&mut Preprocess); 6] = [
            |s| s.width = 321,
            |s| s.height = 321,
            |s| s.mean[1] = 0.5,
            |s| s.std[2] = 0.5,
            |s| s.bit_depth = BitDepthPolicy::ClipLikePillow,
            |s| s.polarity = Polarity::Inverted,
        ];
        for change in changes {
            let mut other = spec.clone();
            change(&mut other);
            assert_ne!(other.digest(), spec.digest(), "{other:?}");
        }
    }

    #[test]
    fn every_unusable_field_is_named_at_once() {
        let spec = Preprocess {
            width: 0,
            height: 5000,
            mean: [f32::NAN, 0.0, 0.0],
            std: [1.0, 0.0, 1.0],
            ..Preprocess::default()
        };
        let faults = spec.check().unwrap_err();
        let fields: Vec<_> = faults
            .faults()
            .iter()
            .map(|f| f.location().unwrap())
            .collect();
        assert_eq!(fields, ["width", "height", "mean", "std"]);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let faults = Preprocess::from_json(r#"{"widht":320}"#).unwrap_err();
        assert!(
            faults.to_string().contains("unknown field `widht`"),
            "{faults}"
        );
        assert_eq!(faults.faults()[0].code(), "I205");
        assert_eq!(Preprocess::from_json("{}").unwrap(), Preprocess::default());
        let faults = Preprocess::from_json(r#"{"width":0,"std":[0,1,1]}"#).unwrap_err();
        assert_eq!(faults.faults().len(), 2);
    }
}
