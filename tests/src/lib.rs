//! Nothing: this package is its tests. `tests/tidy` holds the repository to the invariants of the house, `tests/e2e`
//! runs the real programs.
