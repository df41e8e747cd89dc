//! Pure functions from scores and truths to numbers.
