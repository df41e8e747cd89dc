"""CXR's figures beside scikit-learn's on scores of the same size: seconds, in turns.

    python docs/bench/metrics_beside_sklearn.py [--rows 22433] [--findings 14] [--rounds 7]
        [--bootstrap 1000] [--program target/release/cxr]

Needs numpy, scikit-learn and a release build of cxr. Three pieces of work:

- `order`: AUROC and average precision of every finding. CXR's row has the clustered 95 % interval too.
- `all`: the same with Brier score, log loss, precision, recall and F1 at 0.5, subset and label accuracy.
  CXR's row has intervals and two calibration errors too.
- `bootstrap`: the mean AUROC over findings in draws of the patients. scikit-learn gets few draws, times
  their number: it ranks again in each.

Both make their scores up, by the same recipe. A round runs each row once; the table has medians over the
rounds, and the median of the rounds' ratios.
"""
import argparse
import json
import statistics
import subprocess
import time
import warnings

import numpy
import sklearn
from sklearn import metrics

FEW_DRAWS = 3


def made_up(rows, findings):
    random = numpy.random.default_rng(0)
    patients = numpy.repeat(numpy.arange(rows), random.integers(1, 7, rows))[:rows]
    share = 0.002 + 0.18 * numpy.arange(findings) / findings
    labels = random.random((rows, findings)) < share
    logits = random.normal(size=(rows, findings)) + 1.2 * labels - 2.0
    return labels.astype(int), logits, patients


def order(labels, logits):
    for truths, scores in zip(labels.T, logits.T):
        metrics.roc_auc_score(truths, scores)
        metrics.average_precision_score(truths, scores)


def everything(labels, logits):
    order(labels, logits)
    probabilities = 1 / (1 + numpy.exp(-logits))
    decisions = (probabilities >= 0.5).astype(int)
    for truths, likely, decided in zip(labels.T, probabilities.T, decisions.T):
        metrics.brier_score_loss(truths, likely)
        metrics.log_loss(truths, likely, labels=[0, 1])
        metrics.precision_score(truths, decided, zero_division=0)
        metrics.recall_score(truths, decided, zero_division=0)
        metrics.f1_score(truths, decided, zero_division=0)
    metrics.accuracy_score(labels, decisions)
    metrics.accuracy_score(labels.ravel(), decisions.ravel())


def bootstrap(labels, logits, patients, draws):
    random = numpy.random.default_rng(1)
    of_patient = numpy.split(numpy.arange(len(patients)), numpy.flatnonzero(numpy.diff(patients)) + 1)
    for _ in range(draws):
        drawn = random.integers(0, len(of_patient), len(of_patient))
        rows = numpy.concatenate([of_patient[patient] for patient in drawn])
        metrics.roc_auc_score(labels[rows], logits[rows], average="macro")


def seconds(work, *arguments):
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


def ours(arguments):
    command = [arguments.program, "bench", "metrics", "--rows", arguments.rows, "--findings", arguments.findings]
    command += ["--rounds", 3, "--bootstrap", arguments.bootstrap, "--json"]
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True, check=True)
    measured = json.loads(done.stdout)
    return measured["median_seconds"], measured["evaluation_seconds"], measured["bootstrap"]["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=22_433)
    parser.add_argument("--findings", type=int, default=14)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--program", default="target/release/cxr")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    labels, logits, patients = made_up(arguments.rows, arguments.findings)
    order(labels, logits)
    theirs_of, ours_of = [], []
    for _ in range(arguments.rounds):
        theirs_of.append((
            seconds(order, labels, logits),
            seconds(everything, labels, logits),
            seconds(bootstrap, labels, logits, patients, FEW_DRAWS) * arguments.bootstrap / FEW_DRAWS,
        ))
        ours_of.append(ours(arguments))
    print(
        f"{arguments.rows} radiographs, {arguments.findings} findings, {arguments.rounds} rounds, "
        f"scikit-learn {sklearn.__version__}, numpy {numpy.__version__}\n"
    )
    print("| work | scikit-learn, seconds | CXR, seconds | ratio | smallest to largest |\n|---|---|---|---|---|")
    for name, theirs, own in zip(("order", "all", f"bootstrap, {arguments.bootstrap} draws"), zip(*theirs_of), zip(*ours_of)):
        ratios = [there / here for there, here in zip(theirs, own)]
        print(
            f"| {name} | {statistics.median(theirs):.4f} | {statistics.median(own):.4f} "
            f"| {statistics.median(ratios):.1f} | {min(ratios):.1f}–{max(ratios):.1f} |"
        )


main()
