//! The differentiable operations that candle lacks or gets wrong, as candle custom ops.
