"""Holds the calibrated probabilities of a phantom run against the ideal observer, who knows whether
a finding is present and nothing more.

    python docs/bench/phantom_calibration.py RUN COHORT

RUN is a run folder of the phantom preset, COHORT the folder its cohort was drawn into (runs/cohorts/…).
For each finding of test: AUROC beside the ideal observer's on the same rows, and whether the latter
lies inside the model's interval; where it does, the Brier score minus the ideal observer's with a
patient-clustered standard error, and the ECE beside the 95 % band that probabilities exactly right
would show. Needs numpy and pandas.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd


def ece(p, y, bins=15):
    place = np.clip(np.ceil(p * bins).astype(int) - 1, 0, bins - 1)
    n = np.bincount(place, minlength=bins)
    gap = np.bincount(place, p, bins) - np.bincount(place, y, bins)
    return np.abs(gap).sum() / n.sum()


def main() -> None:
    run, cohort = Path(sys.argv[1]), Path(sys.argv[2])
    evaluation = json.loads((run / "evaluation.json").read_text())["test"]
    ceilings = {f["name"]: f for f in json.loads((run / "data/ceilings.json").read_text())["findings"]}
    logits = pd.read_csv(run / "predictions/test_logits.csv").set_index("Image")
    labels = pd.read_csv(cohort / "test.csv").set_index("Image").loc[logits.index]
    severity = pd.read_csv(cohort / "truth.csv").set_index("Image").loc[logits.index]
    patients = pd.factorize(logits["PatientId"])[0]
    rng = np.random.default_rng(0)
    for figures in evaluation["findings"]:
        name = figures["name"]
        ceiling = ceilings[name]
        test = next(s for s in ceiling["splits"] if s["split"] == "test")
        y, present = labels[name].to_numpy(float), severity[name].to_numpy() > 0
        given = (ceiling["present_given_positive"], ceiling["present_given_negative"])
        prior = test["prevalence"]
        odds = [prior * q / (prior * q + (1 - prior) * r)
                for q, r in (given, (1 - given[0], 1 - given[1]))]
        ideal = np.where(present, odds[0], odds[1])
        auroc, interval, oracle = figures["auroc"], figures["auroc_ci"], test["oracle"]
        line = f"{name:<20} AUROC {auroc:.3f}, ideal {oracle['auroc']:.3f}"
        if interval is None or not interval[0] <= oracle["auroc"] <= interval[1]:
            print(f"{line}  the ideal is not reached")
            continue
        for row in figures["calibrations"]:
            if row["slope"] is None or not (row["in_force"] or row["method"] == "as-trained"):
                continue
            p = 1 / (1 + np.exp(-(row["slope"] * logits[name].to_numpy() + row["intercept"])))
            p = row["floor"] + (row["ceiling"] - row["floor"]) * p
            d = (p - y) ** 2 - (ideal - y) ** 2
            per_patient = np.bincount(patients, d - d.mean()) / len(d)
            k = len(per_patient)
            error = np.sqrt(k / (k - 1) * (per_patient**2).sum())
            own = (p - y) ** 2
            per_patient = np.bincount(patients, own - own.mean()) / len(own)
            of_brier = np.sqrt(k / (k - 1) * (per_patient**2).sum())
            draws = np.array([ece(p, rng.random(len(p)) < p) for _ in range(2000)])
            print(f"{line}  {row['method']:<12} Brier − ideal {d.mean():+.4f} ± {error:.4f} "
                  f"paired, ± {of_brier:.4f} of the score itself; ECE {row['ece']:.4f}, by chance "
                  f"{np.quantile(draws, 0.025):.4f}–{np.quantile(draws, 0.975):.4f}")


if __name__ == "__main__":
    main()
