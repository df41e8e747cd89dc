//! The same bits with 1, 2 and 4 threads, forward and backward, for every operation.

use crate::reference::values;
use crate::tensors::{backward, gradient, numbers, tensor, var};
use cxr_ops::{
    AdamMoments, AdamParameters, Conv2dGeometry, DropoutKey, Pool2dGeometry, adam_step,
    avg_pool_global, batch_norm_train, bce_with_logits, conv2d, dropout, linear, max_pool2d, relu,
};

/// A small network with every operation, one step of training: loss, gradients, new weights.
fn one_step() -> Vec<Vec<f32>> {
    let images = var(&values(1, 5 * 3 * 45 * 38), (5, 3, 45, 38));
    let stem = var(&values(2, 24 * 3 * 49), (24, 3, 7, 7));
    let inner = var(&values(3, 40 * 24 * 9), (40, 24, 3, 3));
    let down = var(&values(4, 17 * 40 * 9), (17, 40, 3, 3));
    let (scale, shift) = (var(&values(5, 24), 24), var(&values(6, 24), 24));
    let head = var(&values(7, 150 * 17), (150, 17));
    let last = var(&values(8, 14 * 150), (14, 150));
    let bias = var(&values(9, 14), 14);
    let geometry = |stride, padding| Conv2dGeometry { stride, padding };

    let y = conv2d(&images, &stem, None, geometry(2, 3)).unwrap();
    let normed = batch_norm_train(&y, &scale, &shift, 1e-5).unwrap();
    let y = relu(&normed.y).unwrap();
    let y = max_pool2d(
        &y,
        Pool2dGeometry {
            kernel: 3,
            stride: 2,
            padding: 1,
        },
    )
    .unwrap();
    let y = conv2d(&y, &inner, None, geometry(1, 1)).unwrap();
    let y = conv2d(&y, &down, None, geometry(2, 1)).unwrap();
    let y = avg_pool_global(&y).unwrap();
    let y = linear(&y, &head, None).unwrap();
    let y = dropout(
        &y,
        0.25,
        DropoutKey {
            seed: 1,
            step: 1,
            layer: 0,
        },
    )
    .unwrap();
    let logits = linear(&y, &last, Some(&bias)).unwrap();
    let ones = tensor(&[1.0; 70], (5, 14));
    let targets = tensor(
        &values(10, 70)
            .iter()
            .map(|&v| f32::from(v > 0.0))
            .collect::<Vec<_>>(),
        (5, 14),
    );
    let loss = bce_with_logits(&logits, &targets, &ones, &tensor(&[3.0; 14], 14)).unwrap();
    let gradients = backward(&loss, &[1.0]);

    let mut bits = vec![
        numbers(&loss),
        numbers(&logits),
        normed.mean,
        normed.var_unbiased,
    ];
    for parameter in [
        &images, &stem, &inner, &down, &scale, &shift, &head, &last, &bias,
    ] {
        let of = gradients.get(parameter).unwrap();
        let mut moments = AdamMoments::zeros(parameter.elem_count());
        adam_step(parameter, of, &mut moments, 1, &AdamParameters::default()).unwrap();
        bits.extend([gradient(&gradients, parameter), numbers(parameter)]);
    }
    bits
}

#[test]
fn one_step_of_training_has_the_same_bits_with_1_2_and_4_threads() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(one_step)
    };
    let reference = with(1);
    assert!(reference.iter().flatten().all(|value| value.is_finite()));
    for threads in [2, 4] {
        for (place, (got, expected)) in with(threads).iter().zip(&reference).enumerate() {
            let equal = got
                .iter()
                .map(|g| g.to_bits())
                .eq(expected.iter().map(|e| e.to_bits()));
            assert!(equal, "part {place} differs with {threads} threads");
        }
    }
}
