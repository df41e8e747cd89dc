//! Every image of reliability's list: what is whole is read, what is not is refused by its own
//! name, and nothing is guessed or filled in.

#![expect(clippy::unwrap_used, reason = "a test's own files are there")]

use std::path::Path;

use cxr_augment::{
    BitDepthPolicy, Channels, Decoded, ImageFault, ImageWarning, Pixels, Preprocess, decode,
};

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images");
    std::fs::read(folder.join(name)).unwrap()
}

fn decoded(bytes: &[u8]) -> Result<Decoded, ImageFault> {
    decode(bytes, "film.png", &Preprocess::default())
}

fn code(bytes: &[u8]) -> &'static str {
    match decoded(bytes) {
        Ok(_) => "read",
        Err(fault) => {
            assert_eq!(fault.exit_code(), 3);
            assert_eq!(fault.location().unwrap(), "film.png");
            assert!(fault.help().is_some());
            assert!(!fault.to_string().is_empty());
            fault.code()
        }
    }
}

/// (offset of the length, type, data range) of each chunk.
fn chunks(png: &[u8]) -> Vec<(usize, [u8; 4], std::ops::Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 8;
    while at + 8 <= png.len() {
        let length = u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
        let data = at + 8..at + 8 + length;
        found.push((at, png[at + 4..at + 8].try_into().unwrap(), data.clone()));
        at = data.end + 4;
    }
    found
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut bytes = (data.len() as u32).to_be_bytes().to_vec();
    bytes.extend(kind);
    bytes.extend(data);
    let crc = crc32(&bytes[4..]);
    bytes.extend(crc.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| {
            (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg())
        })
    })
}

/// A PNG with this header and these bytes as its IDAT.
fn png(width: u32, height: u32, depth: u8, color: u8, idat: &[u8]) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([depth, color, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    file.extend(chunk(b"IHDR", &header));
    file.extend(chunk(b"IDAT", idat));
    file.extend(chunk(b"IEND", b""));
    file
}

/// A zlib stream of stored blocks.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks: Vec<_> = data.chunks(65_535).collect();
    for (place, block) in blocks.iter().enumerate() {
        stream.push(u8::from(place + 1 == blocks.len()));
        let length = block.len() as u16;
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(*block);
    }
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), &v| {
        let a = (a + u32::from(v)) % 65_521;
        (a, (b + a) % 65_521)
    });
    stream.extend((b << 16 | a).to_be_bytes());
    stream
}

#[test]
fn an_empty_file_and_a_cut_one_are_refused_wherever_the_cut_is() {
    assert_eq!(code(b""), "I006");
    for name in [
        "gray8.png",
        "gray8-interlaced.png",
        "rgba8.png",
        "palette8.png",
        "gray16.png",
    ] {
        let file = read(name);
        assert_eq!(code(&file), "read", "{name}");
        for length in 1..file.len() {
            let found = code(&file[..length]);
            let expected: &[&str] = if length < 8 {
                &["I008"]
            } else {
                &["I011", "I012"]
            };
            assert!(expected.contains(&found), "{name} cut to {length}: {found}");
        }
        assert_eq!(code(&file[..file.len() / 2]), "I011", "{name}");
    }
}

#[test]
fn a_png_without_iend_or_with_its_idat_cut_is_cut_short() {
    let file = read("gray8.png");
    let all = chunks(&file);
    let (iend, _, _) = all[all.len() - 1];
    assert_eq!(code(&file[..iend]), "I011");
    let (_, kind, data) = &all[all.len() - 2];
    assert_eq!(kind, b"IDAT");
    assert_eq!(code(&file[..data.end - 10]), "I011");
}

#[test]
fn every_flipped_bit_of_a_png_is_noticed() {
    for name in ["gray8.png", "gray8-trns.png"] {
        let file = read(name);
        let whole = decoded(&file).unwrap();
        for byte in 0..file.len() {
            let mut broken = file.clone();
            broken[byte] ^= 1 << (byte % 8);
            if let Ok(found) = decoded(&broken) {
                panic!(
                    "{name}: bit at byte {byte} unnoticed, same: {}",
                    found == whole
                );
            }
        }
    }
}

#[test]
fn bad_checksums_bad_zlib_and_short_or_long_data_are_told_apart_from_a_picture() {
    let rows = |n: usize| [0, 1, 2, 3].repeat(n);
    assert_eq!(code(&png(3, 5, 8, 0, &stored(&rows(5)))), "read");
    let mut bad_adler = stored(&rows(5));
    *bad_adler.last_mut().unwrap() ^= 1;
    assert_eq!(code(&png(3, 5, 8, 0, &bad_adler)), "I012");
    let mut bad_block = stored(&rows(5));
    bad_block[2] = 7; // a block type that does not exist
    assert_eq!(code(&png(3, 5, 8, 0, &bad_block)), "I012");
    assert_eq!(code(&png(3, 5, 8, 0, b"")), "I012");
    assert_eq!(code(&png(3, 5, 8, 0, &stored(&rows(4)))), "I012");
    let mut file = png(3, 5, 8, 0, &stored(&rows(5)));
    let last = file.len() - 13; // in the CRC of IDAT
    file[last] ^= 0x80;
    assert_eq!(code(&file), "I012");
    assert_eq!(
        code(&png(3, 5, 8, 0, &stored(&[9, 1, 2, 3].repeat(5)))),
        "I012"
    ); // filter 9
}

#[test]
fn more_data_than_the_picture_needs_does_no_harm() {
    // 40 MB of zeros behind the last row, as libpng and Pillow too ignore them.
    let mut data = [0, 1, 2, 3].repeat(5);
    data.resize(40_000_000, 0);
    let found = decoded(&png(3, 5, 8, 0, &stored(&data))).unwrap();
    assert_eq!(found.pixels.data(), [1, 2, 3].repeat(5));
}

#[test]
fn sizes_beyond_the_limits_are_refused_by_the_header_alone() {
    assert_eq!(code(&png(100_000, 100_000, 8, 0, b"")), "I009");
    assert_eq!(code(&png(16_000, 16_000, 8, 0, b"")), "I009");
    assert_eq!(code(&png(70_000, 10, 8, 0, b"")), "I009");
    assert_eq!(code(&png(8000, 8000, 8, 6, b"")), "I009"); // 64 megapixels of RGBA: 256 MB
    assert_eq!(code(&png(7000, 7000, 1, 3, b"")), "I009"); // 6 MB packed, 147 MB as colours
    assert_eq!(code(&png(0, 10, 8, 0, b"")), "I010");
    assert_eq!(code(&png(10, 0, 8, 0, b"")), "I010");
    assert_eq!(code(&png(u32::MAX, u32::MAX, 8, 0, b"")), "I009");
    let huge = vec![0; (64 << 20) + 1];
    assert_eq!(code(&huge), "I007");
}

#[test]
fn depths_and_colour_types_that_do_not_exist_are_refused() {
    for (depth, color) in [
        (3, 0),
        (0, 0),
        (32, 0),
        (4, 2),
        (16, 3),
        (8, 1),
        (8, 5),
        (8, 7),
    ] {
        assert_eq!(
            code(&png(3, 5, depth, color, &stored(&[0; 80]))),
            "I012",
            "{depth} {color}"
        );
    }
    // A palette picture without a palette, and one that names a colour beyond it.
    assert_eq!(
        code(&png(3, 5, 8, 3, &stored(&[0, 1, 2, 3].repeat(5)))),
        "I012"
    );
    let mut header = [3u32.to_be_bytes(), 1u32.to_be_bytes()].concat();
    header.extend([8, 3, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    file.extend(chunk(b"IHDR", &header));
    file.extend(chunk(b"PLTE", &[1, 2, 3, 4, 5, 6]));
    file.extend(chunk(b"IDAT", &stored(&[0, 0, 1, 2])));
    file.extend(chunk(b"IEND", b""));
    let Err(fault) = decoded(&file) else { panic!() };
    assert!(
        fault
            .to_string()
            .ends_with("a pixel names colour 2 of a palette of 2"),
        "{fault}"
    );
}

#[test]
fn text_and_colour_profile_bombs_are_not_unpacked() {
    let rows = [0, 1, 2, 3].repeat(5);
    let plain = png(3, 5, 8, 0, &stored(&rows));
    let first_idat = chunks(&plain)[1].0;
    let bomb = stored(&vec![b'A'; 20_000_000]);
    for (kind, start) in [(b"zTXt", b"Comment\0\0"), (b"iCCP", b"profile\0\0")] {
        let mut file = plain[..first_idat].to_vec();
        file.extend(chunk(kind, &[start.as_slice(), &bomb].concat()));
        file.extend(&plain[first_idat..]);
        assert_eq!(decoded(&file).unwrap().pixels.data(), [1, 2, 3].repeat(5));
    }
}

#[test]
fn other_formats_are_refused_by_content_and_a_jpeg_named_png_is_read() {
    for (name, expected) in [
        ("gif-named.png", "a GIF"),
        ("bmp-named.png", "a BMP"),
        ("tiff-named.png", "a TIFF"),
        ("webp-named.png", "a WebP"),
    ] {
        let Err(fault) = decoded(&read(name)) else {
            panic!("{name} was read")
        };
        assert_eq!(fault.code(), "I008");
        assert_eq!(
            fault.to_string(),
            format!("neither PNG nor JPEG but {expected}")
        );
    }
    let Err(fault) = decoded(b"<!DOCTYPE html><title>404</title>") else {
        panic!()
    };
    assert_eq!(fault.to_string(), "neither PNG nor JPEG but an HTML page");
    assert_eq!(code(&read("gray.jpg")), "read"); // its name here is film.png
}

#[test]
fn a_jpeg_cut_anywhere_is_an_error_never_a_grey_patch() {
    for name in [
        "gray.jpg",
        "rgb-420.jpg",
        "gray-progressive.jpg",
        "gray-restarts.jpg",
    ] {
        let file = read(name);
        assert_eq!(code(&file), "read", "{name}");
        for length in 3..file.len() {
            let found = code(&file[..length]);
            assert!(
                ["I011", "I012"].contains(&found),
                "{name} cut to {length}: {found}"
            );
        }
        for percent in [50, 90] {
            let cut = &file[..file.len() * percent / 100];
            assert_eq!(code(cut), "I011", "{name} at {percent} %");
        }
    }
}

#[test]
fn a_jpeg_cut_and_closed_again_is_an_error_too() {
    for name in [
        "gray.jpg",
        "rgb-420.jpg",
        "rgb-444.jpg",
        "gray-restarts.jpg",
    ] {
        let file = read(name);
        for percent in [50, 60, 75, 90, 95] {
            let mut cut = file[..file.len() * percent / 100].to_vec();
            while cut.last() == Some(&0xff) {
                cut.pop();
            }
            cut.extend([0xff, 0xd9]);
            let found = code(&cut);
            assert!(
                ["I011", "I012"].contains(&found),
                "{name} at {percent} %: {found}"
            );
        }
    }
}

#[test]
fn kinds_of_jpeg_that_are_not_read_are_named() {
    let kind = |name: &str| match decoded(&read(name)) {
        Err(fault @ ImageFault::Unsupported { .. }) => fault.to_string(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(kind("cmyk.jpg"), "a kind of JPEG that is not read: CMYK");
    assert_eq!(
        kind("twelve-bits.jpg"),
        "a kind of JPEG that is not read: 12 bits a sample"
    );
    let mut lossless = read("gray.jpg");
    let at = lossless.windows(2).position(|w| w == b"\xff\xc0").unwrap();
    lossless[at + 1] = 0xc3;
    let Err(fault) = decoded(&lossless) else {
        panic!()
    };
    assert_eq!(
        fault.to_string(),
        "a kind of JPEG that is not read: lossless"
    );
    let mut empty = read("gray.jpg");
    empty[at + 5..at + 9].fill(0);
    assert_eq!(code(&empty), "I010");
    let mut large = read("gray.jpg");
    large[at + 5..at + 9].fill(0xff);
    assert_eq!(code(&large), "I009");
}

#[test]
fn an_orientation_and_an_animation_are_ignored_with_a_warning() {
    let upright = decoded(&read("gray.jpg")).unwrap();
    let tagged = decoded(&read("gray-orientation.jpg")).unwrap();
    assert_eq!(tagged.pixels, upright.pixels);
    assert_eq!(upright.warnings, []);
    let expected = ImageWarning::OrientationIgnored {
        name: "film.png".to_owned(),
        orientation: 6,
    };
    assert_eq!(tagged.warnings.as_slice(), std::slice::from_ref(&expected));
    assert_eq!(
        decoded(&read("gray8-orientation.png")).unwrap().warnings,
        [expected]
    );
    let animated = decoded(&read("gray8-animated.png")).unwrap();
    assert_eq!(animated.warnings[0].code(), "I104");
    assert_eq!(
        animated.pixels,
        decoded(&read("gray8-orientation.png")).unwrap().pixels
    );
}

#[test]
fn sixteen_bits_follow_their_policy() {
    let with = |name: &str, bit_depth| {
        let spec = Preprocess {
            bit_depth,
            ..Preprocess::default()
        };
        decode(&read(name), name, &spec).unwrap()
    };
    let scaled = with("gray16.png", BitDepthPolicy::Scale);
    assert_eq!(scaled.warnings, []);
    let (low, high) = extremes(&scaled.pixels);
    assert!(low < 30 && high > 220, "{low} {high}");
    let clipped = with("gray16.png", BitDepthPolicy::ClipLikePillow).pixels;
    let n_white = clipped.data().iter().filter(|&&v| v == 255).count();
    assert!(n_white * 100 > 98 * clipped.data().len());
    let narrow = with("gray16-twelve-bits.png", BitDepthPolicy::Scale);
    assert_eq!(narrow.warnings[0].code(), "I101");
    assert!(extremes(&narrow.pixels).1 <= 16);
    let twelve = with("gray16-twelve-bits.png", BitDepthPolicy::TwelveInSixteen);
    assert_eq!(twelve.warnings, []);
    // The same pattern at 12 and at 16 bits differs by rounding alone.
    let pairs = twelve.pixels.data().iter().zip(scaled.pixels.data());
    assert!(pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap() <= 1);
}

fn extremes(pixels: &Pixels) -> (u8, u8) {
    let (low, high) = (pixels.data().iter().min(), pixels.data().iter().max());
    (*low.unwrap(), *high.unwrap())
}

#[test]
fn the_smallest_and_the_thinnest_pictures_are_read() {
    for (name, width, height) in [("gray8-1x1.png", 1, 1), ("gray8-1x400.png", 1, 400)] {
        let pixels = decoded(&read(name)).unwrap().pixels;
        assert_eq!((pixels.width(), pixels.height()), (width, height));
        assert_eq!(pixels.channels(), Channels::Gray);
    }
    let thin = png(1, 4000, 8, 0, &stored(&[0, 9].repeat(4000)));
    let spec = Preprocess::default();
    let pixels = cxr_augment::prepare(&thin, "thin", &spec).unwrap().pixels;
    assert!(pixels.data().iter().all(|&v| v == 9));
    let constant = decoded(&read("gray8-constant.png")).unwrap().pixels;
    assert!(constant.statistics().std.abs() < f64::EPSILON);
}
