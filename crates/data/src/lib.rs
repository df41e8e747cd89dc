//! Label tables into cohorts that are safe to split.
