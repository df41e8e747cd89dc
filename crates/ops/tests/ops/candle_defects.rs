//! What stock candle 0.11.1 gets wrong, beside what this crate gives. If candle mends one, its test
//! here fails and says that our own operation may no longer be needed.

use crate::reference::values;
use crate::tensors::{gradient, numbers, tensor, var};
use candle_core::Device;
use cxr_ops::{
    Conv2dGeometry, DropoutKey, Pool2dGeometry, bce_with_logits, conv2d, dropout, max_pool2d, relu,
};

#[test]
fn max_pool_backward_gives_a_unique_maximum_its_whole_gradient() {
    let x = var(&[1.0, 4.0, 3.0, 2.0], (1, 1, 2, 2));
    let stock = x.max_pool2d(2).unwrap().backward().unwrap();
    assert_eq!(
        gradient(&stock, &x),
        [0.0, 0.25, 0.0, 0.0],
        "stock candle is right by now"
    );
    let pool = Pool2dGeometry {
        kernel: 2,
        stride: 2,
        padding: 0,
    };
    let ours = max_pool2d(&x, pool).unwrap().backward().unwrap();
    assert_eq!(gradient(&ours, &x), [0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn max_pool_backward_gives_a_tie_one_gradient_not_four() {
    let x = var(&[2.0; 4], (1, 1, 2, 2));
    let stock = x.max_pool2d(2).unwrap().backward().unwrap();
    assert_eq!(
        gradient(&stock, &x),
        [1.0; 4],
        "stock candle is right by now"
    );
    let pool = Pool2dGeometry {
        kernel: 2,
        stride: 2,
        padding: 0,
    };
    let ours = max_pool2d(&x, pool).unwrap().backward().unwrap();
    assert_eq!(gradient(&ours, &x), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn max_pool_with_kernel_3_and_stride_2_trains() {
    let x = var(&values(1, 49), (1, 1, 7, 7));
    let stock = x
        .max_pool2d_with_stride(3, 2)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward();
    assert!(stock.is_err(), "stock candle is right by now");
    let pool = Pool2dGeometry {
        kernel: 3,
        stride: 2,
        padding: 1,
    };
    let ours = max_pool2d(&x, pool)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    assert_eq!(gradient(&ours, &x).iter().sum::<f32>(), 16.0);
}

#[test]
fn relu_has_gradient_0_at_0() {
    let x = var(&[0.0], 1);
    let stock = x.relu().unwrap().backward().unwrap();
    assert_eq!(gradient(&stock, &x), [1.0], "stock candle is right by now");
    let ours = relu(&x).unwrap().backward().unwrap();
    assert_eq!(gradient(&ours, &x), [0.0]);
}

/// candle-nn's formula (loss.rs), which this crate does not link: log of a sigmoid.
fn stock_loss(logit: f32, target: f32) -> f32 {
    let (logit, target) = (tensor(&[logit], 1), tensor(&[target], 1));
    let probability = ((logit.neg().unwrap().exp().unwrap() + 1.0).unwrap())
        .recip()
        .unwrap();
    let left = (&target * probability.log().unwrap()).unwrap();
    let one_minus = |t: &candle_core::Tensor| t.affine(-1.0, 1.0).unwrap();
    let right = (one_minus(&target) * one_minus(&probability).log().unwrap()).unwrap();
    (left + right)
        .unwrap()
        .neg()
        .unwrap()
        .mean_all()
        .unwrap()
        .to_scalar()
        .unwrap()
}

#[test]
fn the_loss_of_a_confident_logit_is_finite() {
    assert!(
        stock_loss(17.0, 1.0).is_nan(),
        "the logarithm of a sigmoid is right by now"
    );
    assert!(
        stock_loss(20.0, 0.0).is_infinite(),
        "the logarithm of a sigmoid is right by now"
    );
    let one = tensor(&[1.0], (1, 1));
    for (logit, target, expected) in [(17.0, 1.0, 4.14e-8), (20.0, 0.0, 20.0f32)] {
        let (z, t) = (tensor(&[logit], (1, 1)), tensor(&[target], (1, 1)));
        let loss = bce_with_logits(&z, &t, &one, &one.flatten_all().unwrap()).unwrap();
        let loss: f32 = loss.to_scalar().unwrap();
        assert!((loss / expected - 1.0).abs() < 1e-3, "{loss}");
    }
}

#[test]
fn convolution_of_a_non_square_image_with_a_stride_has_a_gradient() {
    let (x, w) = (
        var(&values(1, 72), (1, 1, 9, 8)),
        var(&values(2, 9), (1, 1, 3, 3)),
    );
    let stock = x
        .conv2d(&w, 1, 2, 1, 1)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward();
    assert!(stock.is_err(), "stock candle is right by now");
    let geometry = Conv2dGeometry {
        stride: 2,
        padding: 1,
    };
    let ours = conv2d(&x, &w, None, geometry)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    assert_eq!(ours.get(&x).unwrap().dims(), [1, 1, 9, 8]);
}

#[test]
fn stock_convolution_agrees_where_it_works() {
    let (x, w) = (
        var(&values(1, 2 * 3 * 49), (2, 3, 7, 7)),
        var(&values(2, 4 * 27), (4, 3, 3, 3)),
    );
    let stock = x.conv2d(&w, 1, 2, 1, 1).unwrap();
    let ours = conv2d(
        &x,
        &w,
        None,
        Conv2dGeometry {
            stride: 2,
            padding: 1,
        },
    )
    .unwrap();
    let (of_stock, of_ours) = (stock.sqr().unwrap(), ours.sqr().unwrap());
    let of_stock = of_stock.sum_all().unwrap().backward().unwrap();
    let of_ours = of_ours.sum_all().unwrap().backward().unwrap();
    for (got, expected) in [
        (numbers(&ours), numbers(&stock)),
        (gradient(&of_ours, &x), gradient(&of_stock, &x)),
        (gradient(&of_ours, &w), gradient(&of_stock, &w)),
    ] {
        assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn dropout_is_reproducible_on_the_cpu() {
    assert!(
        Device::Cpu.set_seed(1).is_err(),
        "stock candle is right by now"
    );
    let x = tensor(&[1.0; 100], 100);
    let key = DropoutKey {
        seed: 1,
        step: 0,
        layer: 0,
    };
    let draw = || numbers(&dropout(&x, 0.5, key).unwrap());
    assert_eq!(draw(), draw());
}
