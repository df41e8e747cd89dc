//! The networks and their saved form.
