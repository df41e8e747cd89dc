//! The orientation in an EXIF block, so that its being ignored can be said.

const ORIENTATION_TAG: u16 = 0x0112;
const SHORT: u16 = 3;

/// The orientation, 1 to 8, of a TIFF-shaped EXIF block (after JPEG's `Exif\0\0`).
pub(crate) fn orientation(block: &[u8]) -> Option<u16> {
    let little = match block.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let pair: [u8; 2] = block.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        })
    };
    let offset: [u8; 4] = block.get(4..8)?.try_into().ok()?;
    let directory = if little {
        u32::from_le_bytes(offset)
    } else {
        u32::from_be_bytes(offset)
    } as usize;
    let n_entries = usize::from(u16_at(directory)?);
    (0..n_entries)
        .map(|entry| directory + 2 + entry * 12)
        .find(|&at| u16_at(at) == Some(ORIENTATION_TAG) && u16_at(at + 2) == Some(SHORT))
        .and_then(|at| u16_at(at + 8))
        .filter(|value| (1..=8).contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orientation_is_found_in_either_byte_order_and_rubbish_gives_none() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0";
        assert_eq!(orientation(little), Some(6));
        assert_eq!(orientation(big), Some(6));
        for length in 0..little.len() - 2 {
            assert_eq!(orientation(&little[..length]), None);
        }
        assert_eq!(orientation(b"II*\0\xff\xff\xff\xff"), None);
    }
}
