//! Synthetic chest radiographs whose best reachable AUROC is known.
