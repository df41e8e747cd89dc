//! One encoded image into the numbers a network eats, many at once with rayon.
