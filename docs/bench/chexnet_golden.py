"""Evaluates the public CheXNet scores of jrzech/reproduce-chexnet (pretrained/preds.csv, 22,433
radiographs, 14 findings) with `cxr evaluate`, and the same with scikit-learn, and prints both.

    python docs/bench/chexnet_golden.py PREDS.csv LABELS.csv [CXR]

PREDS.csv is that repository's file; LABELS.csv a table of NIH's labels with the columns Image,
PatientId and one 0/1 column a finding. Needs numpy, pandas and scikit-learn.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score


def main() -> None:
    predictions, labels = Path(sys.argv[1]), Path(sys.argv[2])
    cxr = sys.argv[3] if len(sys.argv) > 3 else "target/release/cxr"
    scores = pd.read_csv(predictions)
    scores = scores.rename(columns=lambda c: c.removeprefix("prob_")).rename(
        columns={"Image Index": "Image"}
    )
    findings = [c for c in scores.columns if c != "Image" and not c.startswith("Unnamed")]
    table = pd.read_csv(labels).set_index("Image").loc[scores["Image"]].reset_index()
    with tempfile.TemporaryDirectory() as folder:
        table_csv, scores_csv = Path(folder) / "labels.csv", Path(folder) / "scores.csv"
        table[["Image", "PatientId", *findings]].to_csv(table_csv, index=False)
        scores[["Image", *findings]].to_csv(scores_csv, index=False)
        command = [cxr, "evaluate", "--predictions", scores_csv, "--table", table_csv, "--json"]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    truths, p = table[findings].to_numpy(), scores[findings].to_numpy()
    decided = p >= 0.5
    theirs = {
        "macro auroc": roc_auc_score(truths, p, average="macro"),
        "macro average precision": average_precision_score(truths, p, average="macro"),
        "label accuracy": accuracy_score(truths.ravel(), decided.ravel()),
        "subset accuracy": accuracy_score(truths, decided),
        "macro f1": f1_score(truths, decided, average="macro", zero_division=0),
    }
    mean = ours["macro"]
    f1 = [f["f1"] or 0.0 for f in ours["findings"]]
    cxr_says = {
        "macro auroc": mean["auroc"],
        "macro average precision": mean["average_precision"],
        "label accuracy": ours["label_accuracy"],
        "subset accuracy": ours["subset_accuracy"],
        "macro f1": sum(f1) / len(f1),
    }
    print(f"{ours['rows']} radiographs of {ours['patients']} patients")
    for key, value in theirs.items():
        print(f"{key:<26} {cxr_says[key]:.10f} scikit-learn {value:.10f}  "
              f"difference {abs(cxr_says[key] - value):.1e}")
    print(f"macro auroc: clustered standard error {mean['auroc_se']:.6f}, "
          f"all-negative subset accuracy {ours['baselines']['subset_accuracy_all_negative']:.4f}")
    for finding in ours["findings"]:
        print(f"{finding['name']:<20} AUROC {finding['auroc']:.5f}  DeLong {finding['auroc_se_delong']:.5f}  "
              f"clustered {finding['auroc_se']:.5f}  ({finding['auroc_se'] / finding['auroc_se_delong']:.2f} ×)")


if __name__ == "__main__":
    main()
