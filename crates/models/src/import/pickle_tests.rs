//! What the pickle machine accepts, and that hostile pickles cost no more than their length.

use proptest::prelude::*;

use super::super::tensors::Element;
use super::*;

/// A pickle of protocol 2 around these instructions.
fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

fn run(body: &[u8]) -> Result<Unpickled, Refusal> {
    unpickle(&pickle(body), &Limits::default()).map_err(|it| it.refusal)
}

fn run_within(body: &[u8], limits: &Limits) -> Refusal {
    unpickle(&pickle(body), limits)
        .map_err(|it| it.refusal)
        .unwrap_err()
}

fn root(unpickled: &Unpickled) -> &Node {
    unpickled.node(unpickled.root)
}

fn text(value: &str) -> Vec<u8> {
    [
        &[b'X'][..],
        &(value.len() as u32).to_le_bytes(),
        value.as_bytes(),
    ]
    .concat()
}

fn number(value: i32) -> Vec<u8> {
    [&[b'J'][..], &value.to_le_bytes()].concat()
}

fn long(value: i64) -> Vec<u8> {
    [&[0x8a, 8][..], &value.to_le_bytes()].concat()
}

/// A tensor with this offset, sizes and strides over a float storage of `length` elements.
fn tensor(length: i64, offset: i64, sizes: &[i64], strides: &[i64]) -> Vec<u8> {
    let tuple = |values: &[i64]| {
        let items: Vec<u8> = values.iter().flat_map(|value| long(*value)).collect();
        [b"(", items.as_slice(), b"t"].concat()
    };
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".as_slice(),
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        &long(length),
        b"tQ",
        &long(offset),
        &tuple(sizes),
        &tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtR",
    ]
    .concat()
}

#[test]
fn a_tensor_is_a_window_on_a_storage() {
    let unpickled = run(&tensor(24, 6, &[3, 2], &[6, 2])).unwrap();
    assert_eq!(*root(&unpickled), Node::Tensor(0));
    let storage = StorageRef {
        key: "0".to_owned(),
        element: Element::F32,
        length: 24,
    };
    assert_eq!(unpickled.storages, [storage]);
    let window = TensorRef {
        storage: 0,
        offset: 6,
        shape: vec![3, 2],
        strides: vec![6, 2],
    };
    assert_eq!(unpickled.tensors, [window]);
}

#[test]
fn a_window_may_touch_the_last_element_and_no_further() {
    assert!(run(&tensor(24, 6, &[3, 2], &[8, 1])).is_ok()); // last element 6 + 16 + 1 = 23
    for (offset, sizes, strides) in [
        (7, vec![3, 2], vec![8, 1]),
        (6, vec![3, 2], vec![9, 1]),
        (24, vec![1], vec![1]),
        (24, vec![], vec![]),
        (i64::MAX, vec![2], vec![i64::MAX]),
        (0, vec![i64::MAX, i64::MAX], vec![0, 0]),
        (0, vec![2, 2], vec![1]),
        (-1, vec![1], vec![1]),
        (5, vec![2], vec![-1]),
        (0, vec![-2], vec![1]),
    ] {
        let refusal = run(&tensor(24, offset, &sizes, &strides)).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Layout { .. }),
            "{offset} {sizes:?} {strides:?}"
        );
    }
}

#[test]
fn an_empty_tensor_needs_no_place() {
    assert!(run(&tensor(0, 0, &[0, 3], &[3, 1])).is_ok());
    assert!(run(&tensor(0, i64::MAX, &[i64::MAX, 0, i64::MAX], &[1, 1, 1])).is_ok());
}

#[test]
fn whole_numbers_of_every_width_keep_sign_and_value() {
    for (body, expected) in [
        (b"K\xff".to_vec(), 255),
        (b"M\x34\x12".to_vec(), 0x1234),
        (number(-5), -5),
        (b"\x8a\x00".to_vec(), 0),
        (b"\x8a\x01\xff".to_vec(), -1),
        (b"\x8a\x02\xff\x00".to_vec(), 255),
        (long(i64::MIN), i64::MIN),
    ] {
        assert_eq!(*root(&run(&body).unwrap()), Node::Int(expected), "{body:?}");
    }
    let nine = run(b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01").unwrap();
    assert!(matches!(root(&nine), Node::LongInt(_)));
}

#[test]
fn whatever_is_not_on_the_list_is_refused_where_it_is_named() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.nn.modules.linear", "Linear"),
        ("collections", "defaultdict"),
        ("torch", "FloatStorage "),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ] {
        let refusal = Refusal::Global(format!("{module}.{name}"));
        assert_eq!(
            run(format!("c{module}\n{name}\n").as_bytes()).unwrap_err(),
            refusal
        );
        let by_stack = [text(module), text(name), b"\x93".to_vec()].concat();
        assert_eq!(run(&by_stack).unwrap_err(), refusal);
    }
}

#[test]
fn every_instruction_outside_of_the_list_is_refused() {
    let known = b"\x80\x95(.N\x88\x89JKM\x8aGX\x8cc\x93)t\x85\x86\x87]ae}suqr\x94hjQRb";
    for instruction in 0..=u8::MAX {
        let refusal = run(&[instruction]).err();
        let refused = refusal == Some(Refusal::Instruction(instruction));
        assert_eq!(
            refused,
            !known.contains(&instruction),
            "0x{instruction:02x}"
        );
    }
}

#[test]
fn only_the_listed_callables_are_called_and_only_with_their_arguments() {
    for body in [
        b"ctorch\nFloatStorage\n)R".to_vec(),
        b"NNR".to_vec(),
        b"ccollections\nOrderedDict\nK\x01\x85R".to_vec(),
        b"ctorch._utils\n_rebuild_parameter\n(NNNtR".to_vec(),
        b"ctorch._utils\n_rebuild_tensor_v2\n)R".to_vec(),
        b"]}b".to_vec(),
        b"NN}b".to_vec(),
        b"N)a".to_vec(),
        b"NQ".to_vec(),
        b"(NNNNNtQ".to_vec(),
    ] {
        let refusal = run(&body).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Damaged(_)),
            "{body:?}: {refusal:?}"
        );
    }
}

#[test]
fn stack_and_memo_that_do_not_hold_together_are_refused() {
    for body in [
        &b""[..],
        b"t",
        b"NN",
        b"(N",
        b"a",
        b"]Ne",
        b"hN",
        b"q\x01",
        b"}Ns",
        b"(]e",
        b"N(\x85",
    ] {
        let refusal = run(body).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Damaged(_)),
            "{body:?}: {refusal:?}"
        );
    }
}

#[test]
fn one_storage_cannot_have_two_lengths() {
    let two = [
        b"(".to_vec(),
        tensor(24, 0, &[1], &[1]),
        tensor(25, 0, &[1], &[1]),
        b"t".to_vec(),
    ]
    .concat();
    assert!(matches!(run(&two).unwrap_err(), Refusal::Layout { .. }));
}

/// Each doubling puts the same object into a pair twice: five bytes, and a reader that copies needs
/// twice as much memory as before.
fn doublings(count: usize) -> Vec<u8> {
    [b"Nq\x00".to_vec(), b"h\x00\x86q\x00".repeat(count)].concat()
}

#[test]
fn an_object_that_doubles_itself_costs_one_entry_a_doubling() {
    let unpickled = run(&doublings(100_000)).unwrap();
    assert_eq!(unpickled.nodes.len(), 100_001);
}

#[test]
fn nesting_of_any_depth_needs_no_recursion() {
    let limits = Limits::default();
    let depth = limits.pickle_objects - 1;
    let nested = run(&[b"N".to_vec(), vec![0x85; depth]].concat()).unwrap();
    drop(nested);
    let list_in_itself = run(b"]q\x00h\x00a").unwrap();
    assert_eq!(
        *root(&list_in_itself),
        Node::List(vec![list_in_itself.root])
    );
}

#[test]
fn every_limit_holds() {
    let small = Limits {
        pickle_objects: 10,
        pickle_stack: 5,
        pickle_memo: 3,
        string_bytes: 4,
        tensors: 1,
        dimensions: 2,
        ..Limits::default()
    };
    let is_over = |body: &[u8], limits: &Limits, words: &str| {
        let refusal = run_within(body, limits);
        assert!(
            matches!(&refusal, Refusal::Over { what, .. } if what.contains(words)),
            "{words}: {refusal:?}"
        );
    };
    is_over(&b"N\x85".repeat(20), &small, "objects");
    is_over(&b"N".repeat(6), &small, "stack");
    is_over(&b"(".repeat(6), &small, "stack");
    is_over(b"Nq\x00q\x01q\x02q\x03", &small, "memo");
    is_over(b"N\x94\x94\x94\x94", &small, "memo");
    is_over(&text("abcde"), &small, "string");
    is_over(b"X\xff\xff\xff\xffabcd", &small, "string");
    let wide = Limits {
        pickle_objects: 100,
        pickle_stack: 100,
        string_bytes: 30,
        ..small
    };
    is_over(&tensor(8, 0, &[1, 1, 1], &[1, 1, 1]), &wide, "dimensions");
    let two = [tensor(8, 0, &[1], &[1]), tensor(8, 0, &[1], &[1])].concat();
    is_over(&two, &wide, "tensors");
}

#[test]
fn a_name_without_an_end_is_not_searched_beyond_the_limit() {
    let endless = [b"c".to_vec(), vec![b'a'; 1 << 20]].concat();
    assert!(matches!(run(&endless).unwrap_err(), Refusal::Damaged(_)));
}

#[test]
fn a_long_tuple_used_again_and_again_is_not_copied() {
    // 60,000 arguments, 100,000 calls: copying them would be 24 GB of traffic.
    let mut body = b"ccollections\nOrderedDict\nq\x00((".to_vec();
    body.extend(b"N".repeat(60_000));
    body.extend(b"tq\x01");
    body.extend(b"h\x00h\x01R".repeat(100_000));
    assert!(matches!(run(&body).unwrap_err(), Refusal::Damaged(_)));
}

#[test]
fn a_pickle_that_is_cut_anywhere_is_refused() {
    let whole = pickle(&tensor(24, 6, &[3, 2], &[6, 2]));
    assert!(unpickle(&whole, &Limits::default()).is_ok());
    for length in 0..whole.len() {
        assert!(
            unpickle(&whole[..length], &Limits::default()).is_err(),
            "{length} bytes"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_machine_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(unpickle(&bytes, &Limits::default()));
    }

    #[test]
    fn no_order_of_known_instructions_makes_the_machine_panic(
        picks in proptest::collection::vec(0usize..35, 0..200),
    ) {
        let known = b"\x80\x95(N\x88\x89JKM\x8aGX\x8cc\x93)t\x85\x86\x87]ae}suqr\x94hjQRb";
        let body: Vec<u8> = picks.iter().map(|pick| known[pick % known.len()]).collect();
        drop(unpickle(&pickle(&body), &Limits::default()));
    }

    #[test]
    fn no_window_is_accepted_that_leaves_its_storage(
        length in 0i64..50,
        offset in -2i64..60,
        sizes in proptest::collection::vec(0i64..6, 0..4),
        strides in proptest::collection::vec(-1i64..12, 0..4),
    ) {
        if let Ok(unpickled) = run(&tensor(length, offset, &sizes, &strides)) {
            let it = &unpickled.tensors[0];
            let last = it.shape.iter().zip(&it.strides)
                .fold(it.offset, |last, (size, stride)| last + size.saturating_sub(1) * stride);
            prop_assert!(it.shape.contains(&0) || last < length.unsigned_abs());
        }
    }
}
