//! Draws and writes what was measured.
