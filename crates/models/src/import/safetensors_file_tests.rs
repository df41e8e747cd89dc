//! The table at the head of a safetensors file is believed only where it holds together.

use super::super::tensors::Values;
use super::*;

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        data,
    ]
    .concat()
}

fn parse(bytes: &[u8]) -> Result<Tensors, ImportFault> {
    parse_safetensors(Path::new("weights.safetensors"), bytes, &Limits::default())
}

fn code(header: &str, data: &[u8]) -> &'static str {
    parse(&file(header, data)).unwrap_err().code()
}

#[test]
fn each_type_is_read_and_a_shape_without_sizes_is_a_scalar() {
    let header = r#"{"__metadata__":{"format":"pt"},
        "half":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},
        "brain":{"dtype":"BF16","shape":[1,1],"data_offsets":[4,6]},
        "count":{"dtype":"I64","shape":[],"data_offsets":[6,14]},
        "empty":{"dtype":"F32","shape":[0,3],"data_offsets":[14,14]}}"#;
    let data = [&[0, 0x3c, 0, 0xc0, 0x80, 0xbf][..], &7i64.to_le_bytes()].concat();
    let tensors = parse(&file(header, &data)).unwrap();
    let values = |name: &str| tensors.get(name).unwrap().values.clone();
    assert_eq!(values("half"), Values::F32(vec![1.0, -2.0]));
    assert_eq!(values("brain"), Values::F32(vec![-1.0]));
    assert_eq!(values("count"), Values::I64(vec![7]));
    assert_eq!(tensors.get("empty").unwrap().shape, [0, 3]);
    assert_eq!(
        tensors.names().collect::<Vec<_>>(),
        ["brain", "count", "empty", "half"]
    );
}

#[test]
fn a_header_that_does_not_hold_together_is_refused() {
    let one = |fields: &str| format!(r#"{{"a":{{"dtype":"F32",{fields}}}}}"#);
    for (header, data) in [
        (one(r#""shape":[2],"data_offsets":[0,4]"#), 4),
        (one(r#""shape":[1],"data_offsets":[0,4]"#), 8),
        (one(r#""shape":[1],"data_offsets":[4,8]"#), 8),
        (one(r#""shape":[1],"data_offsets":[4,0]"#), 4),
        (one(r#""shape":[-1],"data_offsets":[0,4]"#), 4),
        (
            one(r#""shape":[18446744073709551615,2],"data_offsets":[0,4]"#),
            4,
        ),
        ("{}x".to_owned(), 0),
        ("{".to_owned(), 0),
        ("{\"a\":7}".to_owned(), 0),
    ] {
        assert_eq!(code(&header, &vec![0; data]), "M054", "{header}");
    }
    let overlapping = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    assert_eq!(code(overlapping, &[0; 8]), "M054");
}

#[test]
fn a_header_length_beyond_the_file_or_the_limit_is_refused_before_it_is_read() {
    let huge = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    assert_eq!(parse(&huge).unwrap_err().code(), "M052");
    let beyond = [&100u64.to_le_bytes()[..], b"{}"].concat();
    assert_eq!(parse(&beyond).unwrap_err().code(), "M054");
    assert_eq!(parse(b"1234").unwrap_err().code(), "M054");
}

#[test]
fn a_name_that_occurs_twice_is_refused_although_json_allows_it() {
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
        "a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let fault = parse(&file(header, &[0; 4])).unwrap_err();
    assert_eq!(
        (fault.code(), fault.value().as_deref()),
        ("M056", Some("\"a\""))
    );
}

#[test]
fn a_type_without_a_place_in_a_network_is_refused_by_name() {
    let header = r#"{"mask":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}"#;
    let fault = parse(&file(header, &[0; 4])).unwrap_err();
    assert_eq!(
        (fault.code(), fault.value().as_deref()),
        ("M055", Some("\"BOOL\""))
    );
    assert!(fault.to_string().contains("\"mask\""), "{fault}");
}

#[test]
fn numbers_of_tensors_dimensions_and_bytes_are_limited() {
    let header = r#"{"a":{"dtype":"F16","shape":[1,1,2],"data_offsets":[0,4]},
        "b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    let bytes = file(header, &[0; 8]);
    assert!(parse(&bytes).is_ok());
    for limits in [
        Limits {
            tensors: 1,
            ..Limits::default()
        },
        Limits {
            dimensions: 2,
            ..Limits::default()
        },
        Limits {
            value_bytes: 11,
            ..Limits::default()
        },
        Limits {
            header_bytes: 20,
            ..Limits::default()
        },
    ] {
        let fault = parse_safetensors(Path::new("x"), &bytes, &limits).unwrap_err();
        assert_eq!(fault.code(), "M052", "{limits:?}");
    }
    let exact = Limits {
        value_bytes: 12,
        ..Limits::default()
    };
    assert!(parse_safetensors(Path::new("x"), &bytes, &exact).is_ok());
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let header = r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#;
    let whole = file(header, &[1; 12]);
    assert!(parse(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(parse(&whole[..length]).is_err(), "{length} bytes");
    }
}
